"""tare version: the client's and the daemon's."""

from __future__ import annotations

from tare.cli import inspecting, render
from tare.cli.flags import Flag
from tare.cli.verb import Verb
from tare.client import system
from tare.errors import TareError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tare.cli.flags import Options
    from tare.client.client import Client

FLAGS = (Flag("format", "f", "string", "Go template, or 'json'"),)


def version(options: Options, client: Client) -> int:
    format = options.text("format")
    if format not in ("", "json") and not inspecting.readable(format):
        return inspecting.BAD_TEMPLATE
    versions: dict[str, Any] = {"Client": about(client), "Server": None}
    failure = None
    try:
        versions["Server"] = system.version(client)
    except TareError as error:
        failure = error
    versions["Client"]["ApiVersion"] = client.version
    if format == "json":
        from tare.client import quickjson

        render.line(quickjson.dumps(versions))
    elif format:
        from tare.present import template

        try:
            render.line(template.render(format, versions, "version"))
        except TareError as error:
            # What is said of a daemon that did not answer cannot be shown: that it did not is what matters.
            failure = failure or error
    else:
        from tare.present import version as texts

        render.out(texts.render(versions))
    if failure:
        render.failure(failure)
        return 1
    return 0


def about(client: Client) -> dict[str, Any]:
    """What we are, in the members of Docker's client version."""
    from importlib.metadata import version as installed
    from os import uname

    from tare.client.client import VERSION

    machine = uname().machine
    return {
        "Version": installed("tare-engine"),
        "ApiVersion": client.version,
        "DefaultAPIVersion": VERSION,
        "Os": "linux",
        "Arch": {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine),
        "Context": "default",
    }


VERB = Verb(version, "Show the versions of client and daemon", flags=FLAGS)
