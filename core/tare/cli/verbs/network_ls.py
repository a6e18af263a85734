"""tare network ls."""

from __future__ import annotations

from tare.cli import listings
from tare.cli.verb import Verb
from tare.client import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client

FLAGS = (listings.FILTER, listings.FORMAT, listings.NO_TRUNC, listings.QUIET)


def network_ls(options: Options, client: Client) -> int:
    asked = listings.query(options)
    return listings.show(system.networks(client, asked), "networks", asked)


VERB = Verb(network_ls, "List networks", flags=FLAGS)
