"""tare container prune."""

from __future__ import annotations

from tare.cli import listings, pruning
from tare.cli.verb import Verb
from tare.client import containers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client


def container_prune(options: Options, client: Client) -> int:
    if not pruning.agreed(options, "This will remove all stopped containers."):
        return 0
    pruned = containers.prune(client, listings.filters(options.many("filter")))
    pruning.gone("Containers", pruned["ContainersDeleted"] or ())
    pruning.reclaimed(pruned["SpaceReclaimed"])
    return 0


VERB = Verb(container_prune, "Remove all stopped containers", flags=(pruning.FILTER, pruning.FORCE))
