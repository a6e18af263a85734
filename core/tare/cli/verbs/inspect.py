"""tare inspect: containers, images and networks by whatever name."""

from __future__ import annotations

from tare.cli.flags import Flag
from tare.cli.inspecting import FORMAT, first_of, inspect
from tare.cli.verb import Verb
from tare.client import containers, images, system
from tare.errors import Invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client

FLAGS = (
    FORMAT,
    Flag("size", "s", "bool", "Show a container's sizes"),
    Flag("type", "", "string", "Look among one sort only: container, image, network or plugin"),
)


def inspect_any(options: Options, client: Client) -> int:
    finders = {
        "container": lambda ref: containers.inspect(client, ref, size=options.flag("size")),
        "image": lambda ref: images.inspect(client, ref),
        "network": lambda ref: system.network(client, ref),
        "plugin": lambda ref: system.plugin(client, ref),
    }
    kind = options.text("type")
    if kind and kind not in finders:
        raise Invalid(f'"{kind}" is not a valid value for --type', subject=kind, hint=f"use {', '.join(finders)}")
    if kind:
        return inspect(options.words, lambda ref: (kind, finders[kind](ref)), options.text("format"))
    chosen = {kind: find for kind, find in finders.items() if kind != "plugin"}
    return inspect(options.words, lambda ref: first_of(chosen, ref), options.text("format"))


USAGE = "[OPTIONS] NAME|ID [NAME|ID...]"
VERB = Verb(inspect_any, "Show everything about containers, images, networks", USAGE, FLAGS, least=1, most=None)
