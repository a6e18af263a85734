"""tare info: the daemon's state and the host under it."""

from __future__ import annotations

from tare.cli import inspecting, render
from tare.cli.flags import Flag
from tare.cli.verb import Verb
from tare.client import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client

FLAGS = (Flag("format", "f", "string", "Go template, or 'json'"),)


def info(options: Options, client: Client) -> int:
    format = options.text("format")
    if format not in ("", "json") and not inspecting.readable(format):
        return inspecting.BAD_TEMPLATE
    found = system.info(client)
    if format == "json":
        from tare.client import quickjson

        render.line(quickjson.dumps(found))
    elif format:
        from tare.present import template

        render.line(template.render(format, found))
    else:
        from tare.cli.verbs.version import about
        from tare.present import info as texts

        render.out(texts.render(found, about(client)))
    return 0


VERB = Verb(info, "Show the daemon and its host", flags=FLAGS)
