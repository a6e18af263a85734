"""tare config import: Docker's daemon.json as tare's daemon.toml."""

from __future__ import annotations

from tare.cli import render
from tare.cli.verb import Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client


def config_import(options: Options, client: Client) -> int:
    from pathlib import Path

    from tare.config.daemonjson import import_json

    imported = import_json(Path(options.words[0]))
    for warning in imported.warnings:
        render.note(f"tare: {warning}")
    render.out(imported.text)
    return 0


VERB = Verb(config_import, "Write Docker's daemon.json as TOML", "DAEMON_JSON", least=1, most=1)
