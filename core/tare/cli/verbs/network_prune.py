"""tare network prune."""

from __future__ import annotations

from tare.cli import listings, pruning
from tare.cli.verb import Verb
from tare.client import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client


def network_prune(options: Options, client: Client) -> int:
    if not pruning.agreed(options, "This will remove all custom networks not used by at least one container."):
        return 0
    pruning.gone("Networks", system.prune_networks(client, listings.filters(options.many("filter"))))
    return 0


VERB = Verb(network_prune, "Remove networks that nobody uses", flags=(pruning.FILTER, pruning.FORCE))
