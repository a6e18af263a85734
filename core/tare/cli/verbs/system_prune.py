"""tare system prune: stopped containers, networks and images that nobody uses, with one question."""

from __future__ import annotations

from tare.cli import listings, pruning
from tare.cli.flags import Flag
from tare.cli.verb import Verb
from tare.client import containers, images, system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client

FLAGS = (
    Flag("all", "a", "bool", "Remove every image that no container uses, not only dangling ones"),
    pruning.FILTER,
    pruning.FORCE,
    Flag("volumes", "", "bool", "Remove anonymous volumes too", refused=True, hidden=True),
)


def system_prune(options: Options, client: Client) -> int:
    words = options.many("filter")
    everything = options.flag("all")
    if not pruning.agreed(options, _warning(words, everything=everything)):
        return 0
    filters = listings.filters(words)
    stopped = containers.prune(client, filters)
    pruning.gone("Containers", stopped["ContainersDeleted"] or ())
    pruning.gone("Networks", system.prune_networks(client, filters))
    unused = images.prune(client, listings.filters(pruning.images_filter(words, everything=everything)))
    pruning.images_gone(unused["ImagesDeleted"])
    pruning.reclaimed(stopped["SpaceReclaimed"] + unused["SpaceReclaimed"])
    return 0


def _warning(words: list[str], *, everything: bool) -> str:
    meant = pruning.images_meant(everything=everything)
    every = ("all stopped containers", "all networks not used by at least one container", f"all {meant}")
    lines = ["This will remove:", *(f"  - {line}" for line in every), ""]
    if words:
        lines += ["  Items to be pruned will be filtered with:", *(f"  - {word}" for word in words), ""]
    return "\n".join(lines)


VERB = Verb(system_prune, "Remove containers, networks and images that nobody uses", flags=FLAGS)
