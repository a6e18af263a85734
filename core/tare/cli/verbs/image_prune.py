"""tare image prune."""

from __future__ import annotations

from tare.cli import listings, pruning, render
from tare.cli.flags import Flag
from tare.cli.verb import Verb
from tare.client import images

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client

FLAGS = (Flag("all", "a", "bool", "Remove every image that no container uses"), pruning.FILTER, pruning.FORCE)


def image_prune(options: Options, client: Client) -> int:
    everything = options.flag("all")
    what = "images without at least one container associated to them" if everything else "dangling images"
    if not pruning.agreed(options, f"This will remove all {what}."):
        return 0
    words = [*options.many("filter"), f"dangling={'false' if everything else 'true'}"]
    pruned = images.prune(client, listings.filters(words))
    if pruned["ImagesDeleted"]:
        render.line("Deleted Images:")
        for entry in pruned["ImagesDeleted"]:
            for what, name in entry.items():
                render.line(f"{what.lower()}: {name}")
        render.line("")
    pruning.reclaimed(pruned["SpaceReclaimed"])
    return 0


VERB = Verb(image_prune, "Remove images that nobody uses", flags=FLAGS)
