"""tare port: which host ports lead into a container."""

from __future__ import annotations

from tare.cli import render
from tare.cli.verb import Verb
from tare.client import containers
from tare.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client


def port(options: Options, client: Client) -> int:
    ref, *wanted = options.words
    ports = containers.inspect(client, ref)["NetworkSettings"].get("Ports") or {}
    if wanted:
        key = wanted[0] if "/" in wanted[0] else f"{wanted[0]}/tcp"
        if not ports.get(key):
            raise NotFound(f"no public port '{key}' published for {ref}", subject=wanted[0])
        ports = {key: ports[key]}
    for key in sorted(ports, key=_order):
        for binding in ports[key] or ():
            address = binding["HostIp"]
            shown = f"[{address}]" if ":" in address else address
            prefix = "" if wanted else f"{key} -> "
            render.line(f"{prefix}{shown}:{binding['HostPort']}")
    return 0


def _order(key: str) -> tuple[int, str]:
    number, _, protocol = key.partition("/")
    return int(number), protocol


VERB = Verb(port, "Show the published ports of a container", "CONTAINER [PORT[/PROTO]]", least=1, most=2)
