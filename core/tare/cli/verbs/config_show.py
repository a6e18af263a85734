"""tare config show: what the daemon was told, and by what."""

from __future__ import annotations

from tare.cli import render
from tare.cli.flags import Flag
from tare.cli.verb import Verb
from tare.client import system
from tare.errors import Invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client

FLAGS = (Flag("format", "f", "string", "toml (default) or json"),)


def config_show(options: Options, client: Client) -> int:
    format = options.text("format", "toml")
    if format not in ("toml", "json"):
        raise Invalid(f"unknown format {format!r}", subject=format, hint="use toml or json")
    settings = system.settings(client)
    if format == "json":
        from tare.client import quickjson

        render.line(quickjson.indented(settings))
        return 0
    from tare.config import show

    render.out(show.text({"key": key, "value": row["Value"], "origin": row["Origin"]} for key, row in settings.items()))
    return 0


VERB = Verb(config_show, "Show the daemon's settings and where each comes from", flags=FLAGS)
