"""tare pause: every process of a container stands still."""

from __future__ import annotations

from tare.cli.several import each
from tare.cli.verb import Verb
from tare.client import containers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client


def pause(options: Options, client: Client) -> int:
    return each(options.words, lambda ref: containers.pause(client, ref))


VERB = Verb(pause, "Pause all processes of containers", "CONTAINER [CONTAINER...]", least=1, most=None)
