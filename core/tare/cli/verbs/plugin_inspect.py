"""tare plugin inspect."""

from __future__ import annotations

from tare.cli.inspecting import FORMAT, inspect
from tare.cli.verb import Verb
from tare.client import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tare.cli.flags import Options
    from tare.client.client import Client

FLAGS = (FORMAT,)


def plugin_inspect(options: Options, client: Client) -> int:
    def find(ref: str) -> tuple[str, Any]:
        return "", system.plugin(client, ref)

    return inspect(options.words, find, options.text("format"))


VERB = Verb(plugin_inspect, "Show everything about plugins", "[OPTIONS] PLUGIN [PLUGIN...]", FLAGS, least=1, most=None)
