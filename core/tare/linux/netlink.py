"""Netlink by hand: framing of messages and attributes, one request or one dump at a time (netlink(7), RFC 3549).

The kernel answers within the caller's sendmsg, so nothing here waits: a reply that is not in the queue when sendmsg
returns will not come. Errors are OSError with the kernel's own words (NETLINK_EXT_ACK) where it has any.
"""

from __future__ import annotations

import errno
import os
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Sequence

    Request = tuple[int, int, bytes]  # kind, further flags, payload
else:
    import _socket as socket  # socket itself brings selectors and enum along: a quarter of a template's memory

ROUTE = 0
NETFILTER = 12

REQUEST = 0x1
ACK = 0x4
DUMP = 0x300
REPLACE = 0x100
EXCLUSIVE = 0x200
CREATE = 0x400

_ERROR = 2
_DONE = 3
_CAPPED = 0x100
_EXTENDED = 0x200
_NESTED = 0x8000
_KIND = 0x3FFF
_SOL_NETLINK = 270
_EXT_ACK = 11
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")
_BUFFER = 1 << 20
_SO_SNDBUFFORCE = 32
_ORDER = sys.byteorder


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    return _ATTRIBUTE.pack(len(payload) + 4, kind) + payload + _PADDING[len(payload) & 3]


def text(kind: int, value: str) -> bytes:
    """A zero-terminated string."""
    return attribute(kind, value.encode() + b"\0")


def u32(kind: int, value: int) -> bytes:
    """A number in the host's byte order."""
    return attribute(kind, value.to_bytes(4, _ORDER))


def nested(kind: int, *parts: bytes) -> bytes:
    """Attributes inside an attribute."""
    return attribute(kind | _NESTED, b"".join(parts))


def attributes(payload: bytes) -> dict[int, bytes]:
    """The attributes of a payload by kind; of several of one kind the last."""
    return dict(attribute_list(payload))


def attribute_list(payload: bytes) -> list[tuple[int, bytes]]:
    """The attributes of a payload in order."""
    found, at, end = [], 0, len(payload)
    while at + 4 <= end:
        size, kind = _ATTRIBUTE.unpack_from(payload, at)
        if size < 4:
            break
        found.append((kind & _KIND, payload[at + 4 : at + size]))
        at += (size + 3) & ~3
    return found


def string(payload: bytes) -> str:
    """The value of a zero-terminated string attribute."""
    return payload.split(b"\0", 1)[0].decode(errors="replace")


class Netlink:
    """A netlink socket in the network namespace of its maker."""

    __slots__ = ("_serial", "socket")

    def __init__(self, protocol: int = ROUTE, groups: int = 0) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self.socket.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        if groups:
            self.socket.bind((0, groups))
        self._serial = 0

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def perform(self, requests: Sequence[Request], trailer: Request | None = None) -> None:
        """Send requests in one go; all are tried, the first failure is raised: OSError with ``request``, the index of what
        failed. A ``trailer`` ends a transaction and is never answered."""
        first = self._serial + 1
        packet = []
        final = len(requests) - 1
        for number, (kind, flags, payload) in enumerate(requests):
            self._serial += 1
            flags |= REQUEST | ACK if number == final else REQUEST
            packet.append(_HEADER.pack(16 + len(payload), kind, flags, self._serial, 0))
            packet.append(payload + _PADDING[len(payload) & 3])
        last = self._serial
        if trailer is not None:
            packet.append(_HEADER.pack(16 + len(trailer[2]), trailer[0], REQUEST | trailer[1], last, 0) + trailer[2])
        self._send(b"".join(packet))
        failure: OSError | None = None
        answered = False
        while not answered:
            try:
                replies = self.socket.recv(65536, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            for kind, flags, serial, payload in _messages(replies):
                answered = answered or serial == last
                if kind == _ERROR and failure is None and first <= serial <= last:
                    failure = _failure(payload, flags)
                    if failure is not None:
                        failure.request = serial - first  # type: ignore[attr-defined]
        if failure is not None:
            raise failure
        if not answered:
            raise OSError(5, "the kernel did not answer a netlink request")

    def dump(self, kind: int, payload: bytes) -> Iterator[bytes]:
        """The payloads that answer a dump request."""
        self._serial += 1
        self._send(_HEADER.pack(16 + len(payload), kind, REQUEST | DUMP, self._serial, 0) + payload)
        while True:
            for reply, flags, serial, content in _messages(self.socket.recv(_BUFFER)):
                if serial != self._serial:
                    continue
                if reply == _DONE:
                    return
                if reply == _ERROR:
                    failure = _failure(content, flags)
                    if failure is not None:
                        raise failure
                    return
                yield content

    def events(self) -> Iterator[tuple[int, bytes]]:
        """What has been announced to the socket's groups since the last call: (kind, payload). Never waits. Raises OSError
        (ENOBUFS) when announcements were lost."""
        while True:
            try:
                packet = self.socket.recv(_BUFFER, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            for kind, _flags, _serial, payload in _messages(packet):
                yield kind, payload

    def _send(self, packet: bytes) -> None:
        if len(packet) > 100_000:
            self.socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, 2 * len(packet))
        self.socket.send(packet)


def _messages(packet: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    at, end = 0, len(packet)
    while at + 16 <= end:
        size, kind, flags, serial, _port = _HEADER.unpack_from(packet, at)
        if size < 16:
            return
        yield kind, flags, serial, packet[at + 16 : at + size]
        at += (size + 3) & ~3


def _failure(payload: bytes, flags: int) -> OSError | None:
    code = -int.from_bytes(payload[:4], _ORDER, signed=True)
    if code == 0:
        return None
    words = ""
    if flags & _EXTENDED:
        skip = 20 if flags & _CAPPED else 4 + ((int.from_bytes(payload[4:8], _ORDER) + 3) & ~3)
        words = string(attributes(payload[skip:]).get(1, b""))
    return OSError(code, f"{os.strerror(code).lower()}: {words}" if words else os.strerror(code).lower())


def index_of(name: str) -> int:
    """The number of a network device of the caller's namespace. Raises OSError: ENODEV, or what kept it from being asked for."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        # The C library asks by a socket, and calls a name unknown when it gets none: this one says why.
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).close()
        raise OSError(errno.ENODEV, f"there is no device {name}") from None
