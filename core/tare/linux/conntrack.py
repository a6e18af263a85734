"""Making the kernel forget flows of datagrams that it tracks (conntrack(8), linux/netfilter/nfnetlink_conntrack.h).

A flow of datagrams has no end that the kernel sees: while its sender goes on, it keeps to the way that it found first,
whatever the rules say by now. Each call walks the kernel's table, about half a millisecond.

Newer kernels delete what a filter describes. Older ones (6.1 is one) list by a filter and delete only single flows, whose
tuples are given in full: they say EINVAL to the former.
"""

from __future__ import annotations

import errno
import socket
import struct

from tare.linux.netlink import NETFILTER, Netlink, attribute, attributes, nested, u32

_GET, _DELETE = 1 << 8 | 1, 1 << 8 | 2
_GENERIC = struct.Struct(">BBH")
_ORIGINAL, _REPLY, _STATUS, _ID, _ZONE, _FILTER, _STATUS_MASK = 1, 2, 3, 12, 18, 25, 26
_ADDRESS, _PROTOCOL = 1, 2
_SOURCE = {socket.AF_INET: 1, socket.AF_INET6: 3}
_NUMBER, _DESTINATION_PORT = 1, 3
_BY_SOURCE, _BY_PROTOCOL, _BY_DESTINATION_PORT = 1 << 0, 1 << 3, 1 << 5
_TRANSLATED = 1 << 4 | 1 << 5
_UDP = attribute(_NUMBER, bytes((socket.IPPROTO_UDP,)))


def forget_untranslated(family: int, port: int) -> None:
    """UDP flows to this port that no rule has redirected. Raises OSError."""
    wanted = nested(_ORIGINAL, nested(_PROTOCOL, _UDP, attribute(_DESTINATION_PORT, port.to_bytes(2, "big"))))
    by = nested(_FILTER, u32(1, _BY_PROTOCOL | _BY_DESTINATION_PORT))
    plain = attribute(_STATUS, bytes(4)) + attribute(_STATUS_MASK, _TRANSLATED.to_bytes(4, "big"))
    _delete(family, wanted + by + plain, _TRANSLATED)


def forget_answered_by(address: str) -> None:
    """UDP flows that this address answers. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    source = attribute(_SOURCE[family], socket.inet_pton(family, address))
    wanted = nested(_REPLY, nested(_ADDRESS, source), nested(_PROTOCOL, _UDP))
    _delete(family, wanted + nested(_FILTER, u32(2, _BY_SOURCE | _BY_PROTOCOL)), 0)


def _delete(family: int, wanted: bytes, unless: int) -> None:
    """Delete the flows that ``wanted`` describes; ``unless`` are bits of their status that it excludes."""
    head = _GENERIC.pack(family, 0, 0)
    with Netlink(NETFILTER) as netlink:
        try:
            netlink.perform([(_DELETE, 0, head + wanted)])
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            _delete_singly(netlink, head, wanted, unless)


def _delete_singly(netlink: Netlink, head: bytes, wanted: bytes, unless: int) -> None:
    for payload in list(netlink.dump(_GET, head + wanted)):
        flow = attributes(payload[4:])
        if int.from_bytes(flow[_STATUS], "big") & unless:
            continue  # the oldest kernels do not look at the status
        one = nested(_ORIGINAL, flow[_ORIGINAL]) + attribute(_ID, flow[_ID])
        if _ZONE in flow:
            one += attribute(_ZONE, flow[_ZONE])
        try:
            netlink.perform([(_DELETE, 0, head + one)])
        except FileNotFoundError:
            continue  # it has ended meanwhile
