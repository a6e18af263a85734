"""tare history: the layers of an image and what made them."""

from __future__ import annotations

from tare.cli import listings
from tare.cli.flags import Flag
from tare.cli.verb import Verb
from tare.client import images

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client

FLAGS = (
    listings.FORMAT,
    Flag("human", "H", "bool", "Show sizes and dates for people (default true)"),
    listings.NO_TRUNC,
    Flag("platform", "", "string", "Platform of the image (os[/arch[/variant]])"),
    listings.QUIET,
)


def history(options: Options, client: Client) -> int:
    plain = "human" in options.given and not options.flag("human")
    asked = listings.query(options, ("platform", options.text("platform")), ("human", "0" if plain else ""))
    return listings.show(images.history(client, options.words[0], asked, text=not plain), "history", asked)


VERB = Verb(history, "Show how an image came to be", "[OPTIONS] IMAGE", FLAGS, least=1, most=1)
