"""tare unpause: a paused container goes on."""

from __future__ import annotations

from tare.cli.several import each
from tare.cli.verb import Verb
from tare.client import containers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client


def unpause(options: Options, client: Client) -> int:
    return each(options.words, lambda ref: containers.unpause(client, ref))


VERB = Verb(unpause, "Let paused containers go on", "CONTAINER [CONTAINER...]", least=1, most=None)
