"""Network devices of a container: created from the host, configured from inside (rtnetlink(7), ip-link(8)).

``create`` runs in the supervisor, ``configure`` in the container's child; both take the fields of tare.model.network.Link
as a dict, with routes as dicts of ``destination`` and ``gateway``. A new device is born inside the container's namespace
under its final name, so nothing is ever moved or renamed, and whatever goes wrong it dies with the namespace.
"""

from __future__ import annotations

import errno
import struct

from tare.linux.netlink import CREATE, EXCLUSIVE, Netlink, attribute, index_of, nested, text, u32

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence
    from typing import Any

    Request = tuple[int, int, bytes]
else:
    import _socket as socket  # socket itself brings selectors and enum along: a quarter of a template's memory

NEWLINK = 16
SETLINK = 19
NEWADDR = 20
NEWROUTE = 24

_UP = 1
_LOOPBACK = 1
_ADDRESS, _NAME, _MTU, _LINK, _MASTER, _PROTINFO, _LINKINFO, _NET_NS_PID, _AF_SPEC = 1, 3, 4, 5, 10, 12, 18, 19, 26
_INFO_KIND, _INFO_DATA, _PEER = 1, 2, 1
_PORT_HAIRPIN, _PORT_ISOLATED = 4, 33
_ADDR_GEN_MODE, _GENERATE_NONE = 8, b"\1"
_MACVLAN_MODE = 1
_MACVLAN_MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST = 1, 2, 4
_PERMANENT_NODAD = 0x82
_RTA_DESTINATION, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_MAIN_TABLE, _BOOT, _UNICAST, _UNIVERSE, _ON_LINK = 254, 3, 1, 0, 253

_INTERFACE = struct.Struct("=BxHiII")
_INTERFACE_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")


def create(link: Mapping[str, Any], pid: int) -> None:
    """Create one link whose inner end is born in the network namespace of process ``pid``. Raises OSError."""
    with Netlink() as netlink:
        try:
            netlink.perform([_BUILDERS[link["kind"]](link, pid)])
            settings = _port_settings(link)
            if settings:
                netlink.perform([settings])
        except OSError as error:
            raise OSError(
                error.errno, f"creating {link['kind']} {link['host_name'] or link['name']}: {error.strerror or error}"
            ) from error


def configure(links: Sequence[Mapping[str, Any]]) -> None:
    """In the caller's network namespace: bring up loopback and ``links``, set addresses and routes. Raises OSError."""
    quiet: list[Request] = []
    requests: list[Request] = [(SETLINK, 0, _INTERFACE.pack(0, 0, _LOOPBACK, _UP, _UP))]
    steps = ["bringing up lo"]
    for link in links:
        name = link["name"]
        index = index_of(name)
        if not any(":" in address for address in link["addresses"]):
            quiet.append((SETLINK, 0, _INTERFACE.pack(0, 0, index, 0, 0) + _NO_LINK_LOCAL))
        requests.append((SETLINK, 0, _INTERFACE.pack(0, 0, index, _UP, _UP)))
        steps.append(f"bringing up {name}")
        for address in link["addresses"]:
            requests.append((NEWADDR, CREATE | EXCLUSIVE, _address(index, address)))
            steps.append(f"adding address {address} to {name}")
        for route in link["routes"]:
            requests.append((NEWROUTE, CREATE | EXCLUSIVE, _route(index, route["destination"], route["gateway"])))
            steps.append(f"adding route {route['destination']} to {name}")
    with Netlink() as netlink:
        if quiet:
            _perform_if_known(netlink, quiet)
        try:
            netlink.perform(requests)
        except OSError as error:
            raise OSError(error.errno, f"{steps[getattr(error, 'request', 0)]}: {error.strerror}") from error


def _perform_if_known(netlink: Netlink, requests: list[Request]) -> None:
    """A kernel without IPv6 does not know the setting, and needs it as little."""
    try:
        netlink.perform(requests)
    except OSError as error:
        if error.errno != errno.EAFNOSUPPORT:
            raise


def _veth(link: Mapping[str, Any], pid: int) -> Request:
    # The inner end must not be up in this message: ENOTCONN, its peer is not registered yet.
    inner = _INTERFACE.pack(0, 0, 0, 0, 0) + text(_NAME, link["name"]) + u32(_NET_NS_PID, pid) + _hardware(link)
    body = [_INTERFACE.pack(0, 0, 0, _UP, _UP), text(_NAME, link["host_name"])]
    if link["parent"]:
        body.append(u32(_MASTER, index_of(link["parent"])))
    if link["mtu"]:
        body.append(u32(_MTU, link["mtu"]))
    body.append(nested(_LINKINFO, text(_INFO_KIND, "veth"), nested(_INFO_DATA, nested(_PEER, inner))))
    return NEWLINK, CREATE | EXCLUSIVE, b"".join(body)


def _macvlan(link: Mapping[str, Any], pid: int) -> Request:
    mode = u32(_MACVLAN_MODE, _MACVLAN_MODES[link["options"].get("mode", "bridge")])
    parts = [
        _INTERFACE.pack(0, 0, 0, 0, 0),
        text(_NAME, link["name"]),
        u32(_LINK, index_of(link["parent"])),
        u32(_NET_NS_PID, pid),
        _hardware(link),
        nested(_LINKINFO, text(_INFO_KIND, "macvlan"), nested(_INFO_DATA, mode)),
    ]
    return NEWLINK, CREATE | EXCLUSIVE, b"".join(parts)


_BUILDERS = {"veth": _veth, "macvlan": _macvlan}


def _hardware(link: Mapping[str, Any]) -> bytes:
    mac = attribute(_ADDRESS, bytes.fromhex(link["mac"].replace(":", ""))) if link["mac"] else b""
    return mac + (u32(_MTU, link["mtu"]) if link["mtu"] else b"")


def _port_settings(link: Mapping[str, Any]) -> Request | None:
    """What a bridge's port can be told only once it is one: ``hairpin`` and ``isolated`` of ``options``."""
    wished = [kind for option, kind in (("hairpin", _PORT_HAIRPIN), ("isolated", _PORT_ISOLATED)) if option in link["options"]]
    if not wished:
        return None
    index = index_of(link["host_name"])
    settings = nested(_PROTINFO, *(attribute(kind, b"\1") for kind in wished))
    return SETLINK, 0, _INTERFACE.pack(socket.AF_BRIDGE, 0, index, 0, 0) + settings


def _address(index: int, address: str) -> bytes:
    family, packed, prefix = _parse(address)
    if family == socket.AF_INET6:
        return _INTERFACE_ADDRESS.pack(family, prefix, _PERMANENT_NODAD, 0, index) + attribute(_IFA_ADDRESS, packed)
    whole = int.from_bytes(packed, "big")
    broadcast = (whole | (0xFFFFFFFF >> prefix)).to_bytes(4, "big")
    body = _INTERFACE_ADDRESS.pack(family, prefix, 0, 0, index)
    body += attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed)
    return body + attribute(_IFA_BROADCAST, broadcast) if prefix < 31 else body


def _route(index: int, destination: str, gateway: str) -> bytes:
    via = b""
    family, packed, prefix = int(socket.AF_INET), b"", 0
    if gateway:
        family, target, _whole = _parse(gateway)
        via = attribute(_RTA_GATEWAY, target)
    if destination != "default":
        family, packed, prefix = _parse(destination)
    scope = _UNIVERSE if gateway or family == socket.AF_INET6 else _ON_LINK
    body = _ROUTE.pack(family, prefix, 0, 0, _MAIN_TABLE, _BOOT, scope, _UNICAST, 0)
    return body + (attribute(_RTA_DESTINATION, packed) if packed else b"") + via + u32(_RTA_OIF, index)


def _parse(cidr: str) -> tuple[int, bytes, int]:
    address, _slash, prefix = cidr.partition("/")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = socket.inet_pton(family, address)
    return family, packed, int(prefix) if prefix else len(packed) * 8


_NO_LINK_LOCAL = nested(_AF_SPEC, nested(socket.AF_INET6, attribute(_ADDR_GEN_MODE, _GENERATE_NONE)))
