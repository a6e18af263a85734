"""tare stop: the stop signal, and a kill for who does not heed it."""

from __future__ import annotations

from tare.cli.flags import Flag
from tare.cli.several import each
from tare.cli.verb import Verb
from tare.client import containers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client

FLAGS = (
    Flag("signal", "s", "string", "Signal to send"),
    Flag("timeout", "t", "int", "Seconds to wait before killing the container"),
    Flag("time", "", "int", "Seconds to wait before killing the container", key="timeout", hidden=True),
)


def stop(options: Options, client: Client) -> int:
    timeout = options.number("timeout") if "timeout" in options.given else None
    return each(options.words, lambda ref: containers.stop(client, ref, timeout, options.text("signal")))


VERB = Verb(stop, "Stop running containers", "[OPTIONS] CONTAINER [CONTAINER...]", FLAGS, least=1, most=None)
