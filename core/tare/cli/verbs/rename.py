"""tare rename."""

from __future__ import annotations

from tare.cli.verb import Verb
from tare.client import containers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client


def rename(options: Options, client: Client) -> int:
    ref, name = options.words
    containers.rename(client, ref, name)
    return 0


VERB = Verb(rename, "Rename a container", "CONTAINER NEW_NAME", least=2, most=2)
