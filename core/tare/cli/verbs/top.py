"""tare top: the processes of a container. Everything after its name is ps(1)'s."""

from __future__ import annotations

from tare.cli import listings
from tare.cli.verb import Verb
from tare.client import containers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client


def top(options: Options, client: Client) -> int:
    ref, *arguments = options.words
    return listings.show(containers.top(client, ref, " ".join(arguments)), "top", ())


VERB = Verb(top, "Show the processes of a container", "CONTAINER [ps OPTIONS]", least=1, most=None, interspersed=False)
