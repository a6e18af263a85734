"""tare network inspect."""

from __future__ import annotations

from tare.cli.flags import Flag
from tare.cli.inspecting import FORMAT, inspect
from tare.cli.verb import Verb
from tare.client import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tare.cli.flags import Options
    from tare.client.client import Client

FLAGS = (FORMAT, Flag("verbose", "v", "bool", "Show diagnostics too"))


def network_inspect(options: Options, client: Client) -> int:
    def find(ref: str) -> tuple[str, Any]:
        return "network", system.network(client, ref, verbose=options.flag("verbose"))

    return inspect(options.words, find, options.text("format"))


VERB = Verb(network_inspect, "Show everything about networks", "[OPTIONS] NETWORK [NETWORK...]", FLAGS, least=1, most=None)
