"""tare system df: what images and containers take of the disk."""

from __future__ import annotations

from tare.cli import render
from tare.cli.flags import Flag
from tare.cli.verb import Verb
from tare.client import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client

FLAGS = (
    Flag("format", "", "string", "Go template, 'table TEMPLATE' or 'json'"),
    Flag("verbose", "v", "bool", "Show every image and container"),
)


def system_df(options: Options, client: Client) -> int:
    from datetime import datetime

    from tare.present import usage

    found = system.disk_usage(client)
    zone = datetime.now().astimezone().tzinfo
    render.out(usage.render(found, verbose=options.flag("verbose"), format=options.text("format") or None, tz=zone))
    return 0


VERB = Verb(system_df, "Show how much disk is used", flags=FLAGS)
