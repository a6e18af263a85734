"""tare plugin ls: every plugin that was found, with the reason where it does not work."""

from __future__ import annotations

from tare.cli import listings
from tare.cli.flags import Flag
from tare.cli.verb import Verb
from tare.client import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client

FLAGS = (
    Flag("filter", "f", "filter", "Show only what matches", refused=True),
    listings.FORMAT,
    listings.NO_TRUNC,
    listings.QUIET,
)


def plugin_ls(options: Options, client: Client) -> int:
    asked = listings.query(options)
    return listings.show(system.plugins(client, asked), "plugins", asked)


VERB = Verb(plugin_ls, "List plugins", flags=FLAGS)
