"""tare image prune."""

from __future__ import annotations

from tare.cli import listings, pruning
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
    if not pruning.agreed(options, f"This will remove all {pruning.images_meant(everything=everything)}."):
        return 0
    words = pruning.images_filter(options.many("filter"), everything=everything)
    pruned = images.prune(client, listings.filters(words))
    pruning.images_gone(pruned["ImagesDeleted"])
    pruning.reclaimed(pruned["SpaceReclaimed"])
    return 0


VERB = Verb(image_prune, "Remove images that nobody uses", flags=FLAGS)
