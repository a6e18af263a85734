"""tare restart: stop, then start."""

from __future__ import annotations

from tare.cli.several import each
from tare.cli.verb import Verb
from tare.cli.verbs.stop import FLAGS
from tare.client import containers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client


def restart(options: Options, client: Client) -> int:
    timeout = options.number("timeout") if "timeout" in options.given else None
    return each(options.words, lambda ref: containers.restart(client, ref, timeout, options.text("signal")))


VERB = Verb(restart, "Restart containers", "[OPTIONS] CONTAINER [CONTAINER...]", FLAGS, least=1, most=None)
