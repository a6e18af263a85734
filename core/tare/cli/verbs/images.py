"""tare images."""

from __future__ import annotations

from tare.cli import listings
from tare.cli.flags import Flag
from tare.cli.verb import Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client

FLAGS = (
    Flag("all", "a", "bool", "Show intermediate images too"),
    Flag("digests", "", "bool", "Show digests"),
    listings.FILTER,
    listings.FORMAT,
    listings.NO_TRUNC,
    listings.QUIET,
    Flag("tree", "", "bool", "Show platforms as a tree", refused=True, hidden=True),
)
WITH_DIGESTS = "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"


def images(options: Options, client: Client) -> int:
    from tare.client import images as calls

    if options.words:
        options.given.setdefault("filter", []).append(f"reference={options.words[0]}")
    digests = options.flag("digests")
    asked = listings.query(
        options, ("all", options.flag("all")), ("digests", digests), format=WITH_DIGESTS if digests else ""
    )  # fmt: skip
    return listings.show(calls.listing(client, asked), "images", asked)


VERB = Verb(images, "List images", "[OPTIONS] [REPOSITORY[:TAG]]", FLAGS, most=1)
