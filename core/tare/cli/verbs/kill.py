"""tare kill: a signal, by default the last one."""

from __future__ import annotations

from tare.cli.flags import Flag
from tare.cli.several import each
from tare.cli.verb import Verb
from tare.client import containers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client

FLAGS = (Flag("signal", "s", "string", "Signal to send (default KILL)"),)


def kill(options: Options, client: Client) -> int:
    return each(options.words, lambda ref: containers.kill(client, ref, options.text("signal")))


VERB = Verb(kill, "Kill running containers", "[OPTIONS] CONTAINER [CONTAINER...]", FLAGS, least=1, most=None)
