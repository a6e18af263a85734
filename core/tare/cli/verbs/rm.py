"""tare rm: a container and its writable layer go."""

from __future__ import annotations

from tare.cli.flags import Flag
from tare.cli.several import each
from tare.cli.verb import Verb
from tare.client import containers
from tare.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client

FLAGS = (
    Flag("force", "f", "bool", "Remove a running container (kills it)"),
    Flag("link", "l", "bool", "Remove the link of that name"),
    Flag("volumes", "v", "bool", "Remove its anonymous volumes too"),
)


def rm(options: Options, client: Client) -> int:
    force, volumes, link = options.flag("force"), options.flag("volumes"), options.flag("link")
    # What --force wants gone and is not there is no failure, as in Docker: scripts rely on it.
    forgiven = (NotFound,) if force else ()
    return each(
        options.words, lambda ref: containers.remove(client, ref, force=force, volumes=volumes, link=link), forgiven=forgiven
    )


VERB = Verb(rm, "Remove containers", "[OPTIONS] CONTAINER [CONTAINER...]", FLAGS, least=1, most=None)
