"""tare create: a container that does not run yet."""

from __future__ import annotations

from tare.cli import render
from tare.cli.verb import Verb
from tare.cli.verbs.run import wanted
from tare.cli.wish import creation
from tare.cli.wish.flags import CREATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client


def create(options: Options, client: Client) -> int:
    render.line(creation.create(client, options, wanted(options)))
    return 0


VERB = Verb(
    create,
    "Create a container",
    "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    CREATE,
    least=1,
    most=None,
    interspersed=False,
)
