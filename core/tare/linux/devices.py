"""Network devices, addresses and routes of the host: listing them, making and removing bridges (rtnetlink(7)).

Standard library only. Everything acts on the caller's network namespace and raises OSError in the kernel's words.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import struct
import time
from collections.abc import Callable
from typing import NamedTuple

from tare.linux.netlink import (
    CREATE,
    EXCLUSIVE,
    REPLACE,
    ROUTE,
    Netlink,
    attribute,
    attributes,
    index_of,
    nested,
    string,
    text,
    u32,
)

_NEW_LINK, _DELETE_LINK, _GET_LINK, _SET_LINK = 16, 17, 18, 19
_NEW_ADDRESS, _DELETE_ADDRESS, _GET_ADDRESS, _GET_ROUTE = 20, 21, 22, 26
_HARDWARE, _NAME, _MTU, _MASTER, _LINKINFO, _ALIAS, _AF_SPEC = 1, 3, 4, 10, 18, 20, 26
_KIND = 1
_ADDRESS, _LOCAL, _BROADCAST = 1, 2, 4
_DESTINATION, _OUT, _TABLE = 1, 4, 15
_UP = 1
_LINK_GROUP = 1
_NODAD = 0x02
_LOCAL_TABLE = 255
_GENERATE_NONE = nested(_AF_SPEC, nested(socket.AF_INET6, attribute(8, b"\1")))

_INTERFACE = struct.Struct("=BxHiII")
_INTERFACE_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")


class Device(NamedTuple):
    """``number`` is the interface index; ``kind`` is ``bridge``, ``veth`` …, empty for hardware; ``master`` is the number
    of the bridge it is a port of, or 0."""

    number: int
    name: str
    kind: str
    master: int
    up: bool
    mtu: int
    mac: str
    alias: str


def devices() -> dict[str, Device]:
    """Every device by name."""
    found = {}
    with Netlink() as netlink:
        for payload in netlink.dump(_GET_LINK, _INTERFACE.pack(0, 0, 0, 0, 0)):
            _family, _type, index, flags, _change = _INTERFACE.unpack_from(payload)
            parts = attributes(payload[16:])
            name = string(parts[_NAME])
            found[name] = Device(
                number=index,
                name=name,
                kind=string(attributes(parts.get(_LINKINFO, b"")).get(_KIND, b"")),
                master=_number(parts.get(_MASTER)),
                up=bool(flags & _UP),
                mtu=_number(parts.get(_MTU)),
                mac=parts.get(_HARDWARE, b"").hex(":"),
                alias=string(parts.get(_ALIAS, b"")),
            )
    return found


def await_departure(met: Callable[[], bool], seconds: float) -> bool:
    """Wait until ``met()`` is true, which is asked at first and whenever a device has gone. False: not within ``seconds``."""
    deadline = time.monotonic() + seconds
    with Netlink(ROUTE, _LINK_GROUP) as netlink:
        poll = select.poll()
        poll.register(netlink.socket, select.POLLIN)
        while not met():
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                return met()
            with contextlib.suppress(OSError):  # so much has changed that some of it was not told
                for _event in netlink.events():
                    pass
    return True


def addresses(name: str) -> set[str]:
    """The addresses of a device as ``IP/prefix``, without link-local ones."""
    index = index_of(name)
    found = set()
    with Netlink() as netlink:
        for payload in netlink.dump(_GET_ADDRESS, _INTERFACE_ADDRESS.pack(0, 0, 0, 0, 0)):
            family, prefix, _flags, _scope, owner = _INTERFACE_ADDRESS.unpack_from(payload)
            parts = attributes(payload[8:])
            packed = parts.get(_LOCAL) or parts.get(_ADDRESS)
            if owner == index and packed and not packed.startswith(b"\xfe\x80"):
                found.add(f"{socket.inet_ntop(family, packed)}/{prefix}")
    return found


def routes() -> list[tuple[str, int]]:
    """(destination as CIDR, index of the device or 0) of every route but defaults, multicast and the host's own addresses."""
    found = []
    with Netlink() as netlink:
        for family in (socket.AF_INET, socket.AF_INET6):
            for payload in netlink.dump(_GET_ROUTE, _ROUTE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)):
                _family, prefix, _source, _tos, table, *_rest = _ROUTE.unpack_from(payload)
                parts = attributes(payload[12:])
                destination = parts.get(_DESTINATION)
                if destination and prefix and (_number(parts.get(_TABLE)) or table) != _LOCAL_TABLE:
                    found.append((f"{socket.inet_ntop(family, destination)}/{prefix}", _number(parts.get(_OUT))))
    return found


def create_bridge(name: str, mac: str, mtu: int) -> None:
    """Make a bridge, down, without IPv6 of its own accord. FileExistsError when the name is taken."""
    body = _INTERFACE.pack(0, 0, 0, 0, 0) + text(_NAME, name)
    body += attribute(_HARDWARE, bytes.fromhex(mac.replace(":", "")))
    body += (u32(_MTU, mtu) if mtu else b"") + nested(_LINKINFO, text(_KIND, "bridge"))
    _perform(f"creating bridge {name}", (_NEW_LINK, CREATE | EXCLUSIVE, body))


def mark(name: str, alias: str) -> None:
    """Give a device an alias. The kernel overlooks one in the message that creates."""
    head = _INTERFACE.pack(0, 0, index_of(name), 0, 0)
    _perform(f"naming device {name}", (_SET_LINK, 0, head + text(_ALIAS, alias)))


def bring_up(name: str, *, link_local: bool = True) -> None:
    """Set a device up; without ``link_local`` it gives itself no IPv6 address."""
    head = _INTERFACE.pack(0, 0, index_of(name), _UP, _UP)
    if not link_local:
        # A kernel without IPv6 has nothing to leave out.
        with contextlib.suppress(OSError):
            _perform("", (_SET_LINK, 0, _INTERFACE.pack(0, 0, index_of(name), 0, 0) + _GENERATE_NONE))
    _perform(f"bringing up {name}", (_SET_LINK, 0, head))


def delete(name: str) -> None:
    """Remove a device; one that is not there is success."""
    try:
        _perform(f"deleting {name}", (_DELETE_LINK, 0, _INTERFACE.pack(0, 0, index_of(name), 0, 0)))
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise


def add_address(name: str, address: str) -> None:
    """Give a device an ``IP/prefix``; one that it has is success."""
    body = _address(name, address)
    _perform(f"adding address {address} to {name}", (_NEW_ADDRESS, CREATE | REPLACE, body))


def remove_address(name: str, address: str) -> None:
    """Take an ``IP/prefix`` away."""
    _perform(f"removing address {address} from {name}", (_DELETE_ADDRESS, 0, _address(name, address)))


def _address(name: str, address: str) -> bytes:
    host, _, prefix = address.partition("/")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    packed = socket.inet_pton(family, host)
    flags = _NODAD if family == socket.AF_INET6 else 0
    body = _INTERFACE_ADDRESS.pack(family, int(prefix), flags, 0, index_of(name))
    body += attribute(_LOCAL, packed) + attribute(_ADDRESS, packed)
    if family == socket.AF_INET and int(prefix) < 31:
        whole = int.from_bytes(packed, "big") | (0xFFFFFFFF >> int(prefix))
        body += attribute(_BROADCAST, whole.to_bytes(4, "big"))
    return body


def _perform(what: str, request: tuple[int, int, bytes]) -> None:
    with Netlink() as netlink:
        try:
            netlink.perform([request])
        except OSError as error:
            raise OSError(error.errno, f"{what}: {error.strerror}") from error


def _number(payload: bytes | None) -> int:
    return struct.unpack("=I", payload)[0] if payload else 0
