"""tare wait: until containers have ended, then their exit codes."""

from __future__ import annotations

from tare.cli import render
from tare.cli.several import each
from tare.cli.verb import Verb
from tare.client import containers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tare.cli.flags import Options
    from tare.client.client import Client


def wait(options: Options, client: Client) -> int:
    return each(options.words, lambda ref: containers.wait(client, ref), _show)


def _show(_ref: str, result: Any) -> None:
    from tare.cli.attachment import exit_code

    render.line(str(exit_code(result)))


VERB = Verb(wait, "Wait until containers end, then print their exit codes", "CONTAINER [CONTAINER...]", least=1, most=None)
