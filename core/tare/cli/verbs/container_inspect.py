"""tare container inspect."""

from __future__ import annotations

from tare.cli.flags import Flag
from tare.cli.inspecting import FORMAT, inspect
from tare.cli.verb import Verb
from tare.client import containers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tare.cli.flags import Options
    from tare.client.client import Client

FLAGS = (FORMAT, Flag("size", "s", "bool", "Show sizes"))


def container_inspect(options: Options, client: Client) -> int:
    def find(ref: str) -> tuple[str, Any]:
        return "container", containers.inspect(client, ref, size=options.flag("size"))

    return inspect(options.words, find, options.text("format"))


USAGE = "[OPTIONS] CONTAINER [CONTAINER...]"
VERB = Verb(container_inspect, "Show everything about containers", USAGE, FLAGS, least=1, most=None)
