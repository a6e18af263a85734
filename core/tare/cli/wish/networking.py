"""``--network`` and what belongs to it; ``-p`` and ``--expose``."""

from __future__ import annotations

from tare.errors import Invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tare.cli.flags import Options

ENDPOINT_FLAGS = ("ip", "ip6", "mac-address", "network-alias", "link-local-ip")


def put(body: dict[str, Any], options: Options) -> None:
    """Put networks, addresses and ports into Docker's create body. Raises Invalid."""
    host = body["HostConfig"]
    wishes = [_network(word) for word in options.many("network")]
    if wishes:
        host["NetworkMode"] = wishes[0][0]
    if any(flag in options.given for flag in ENDPOINT_FLAGS) or len(wishes) > 1 or any(endpoint for _, endpoint in wishes):
        wishes = wishes or [("default", {})]
        _from_flags(wishes[0][1], options)
        body["NetworkingConfig"] = {"EndpointsConfig": dict(wishes)}
    if options.many("publish") or options.many("expose"):
        _ports(body, options.many("publish"), options.many("expose"))


def _from_flags(endpoint: dict[str, Any], options: Options) -> None:
    addresses = endpoint.setdefault("IPAMConfig", {})
    for flag, member in (("ip", "IPv4Address"), ("ip6", "IPv6Address"), ("link-local-ip", "LinkLocalIPs")):
        if flag in options.given:
            addresses[member] = options.given[flag]
    if not addresses:
        del endpoint["IPAMConfig"]
    if "mac-address" in options.given:
        endpoint["MacAddress"] = options.given["mac-address"]
    if "network-alias" in options.given:
        endpoint["Aliases"] = [*endpoint.get("Aliases", []), *options.given["network-alias"]]


def _network(text: str) -> tuple[str, dict[str, Any]]:
    """``NAME`` or ``name=NAME,alias=A,ip=…`` as (name, endpoint settings)."""
    if "=" not in text:
        return text, {}
    name = ""
    endpoint: dict[str, Any] = {}
    for field in text.split(","):
        key, equals, value = field.partition("=")
        if not equals or not value:
            raise Invalid(f"invalid field {field!r} in --network {text}", subject=text, hint="use key=value, with commas between")
        if key == "name":
            name = value
        elif key == "alias":
            endpoint.setdefault("Aliases", []).append(value)
        elif key in ("ip", "ip6"):
            endpoint.setdefault("IPAMConfig", {})["IPv4Address" if key == "ip" else "IPv6Address"] = value
        elif key == "mac-address":
            endpoint["MacAddress"] = value
        elif key == "link-local-ip":
            endpoint.setdefault("IPAMConfig", {}).setdefault("LinkLocalIPs", []).append(value)
        elif key == "driver-opt":
            option, _, setting = value.partition("=")
            endpoint.setdefault("DriverOpts", {})[option] = setting
        elif key == "gw-priority":
            try:
                endpoint["GwPriority"] = int(value)
            except ValueError:
                raise Invalid(f"invalid gw-priority {value!r} in --network {text}", subject=text) from None
        else:
            raise Invalid(f"unknown key {key!r} in --network {text}", subject=text)
    if not name:
        raise Invalid(f"--network {text} has no name=", subject=text)
    return name, endpoint


def _ports(body: dict[str, Any], published: list[str], exposed: list[str]) -> None:
    from tare.model.ports import expose_range, publish_ranges

    ports: dict[str, Any] = {}
    bindings: dict[str, list[dict[str, str]]] = {}
    for word in published:
        for port, protocol, address, low, high in publish_ranges(word):
            key = f"{port}/{protocol}"
            ports[key] = {}
            wanted = f"{low}-{high}" if high != low else str(low or "")
            bindings.setdefault(key, []).append({"HostIp": address, "HostPort": wanted})
    for word in exposed:
        ports.update((f"{port}/{protocol}", {}) for port, protocol in expose_range(word))
    body["ExposedPorts"] = ports
    if bindings:
        body["HostConfig"]["PortBindings"] = bindings
