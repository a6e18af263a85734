"""What iptables-legacy does with forwarded packets, which nftables does not show (linux/netfilter_ipv4/ip_tables.h).

Asking is a handful of system calls; no program is started and no table made that is not there.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
from typing import NamedTuple

from tare.linux.syscalls import LIBC, failed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_NAMES = "/proc/net/ip_tables_names"
_GET_INFO, _GET_ENTRIES = 64, 65
_FORWARD = 2
_INFO = struct.Struct("=32sI5I5III")
_ENTRIES = struct.Struct("=32sI4x")
# struct ipt_entry: names of devices with their masks, inversions, offsets of the target and of the next entry.
_ENTRY = struct.Struct("=16x16s16s16s16sxxxB4xHH")
_INVERTED = 0x03
# struct xt_standard_target: the name of the target (empty for a verdict) and the verdict.
_TARGET = struct.Struct("=xx29sxi")
_DROP, _ACCEPT = -1, -2


class Forwarding(NamedTuple):
    """``drops`` says the policy of FORWARD. ``arriving`` and ``leaving`` are devices whose packets some rule of the table
    accepts by name; one that ends with ``*`` stands for all that begin so."""

    drops: bool
    arriving: frozenset[str]
    leaving: frozenset[str]


def forwarding() -> Forwarding | None:
    """The table ``filter`` of iptables-legacy in this network namespace, None when there is none. Raises OSError."""
    try:
        with open(_NAMES, encoding="ascii") as file:
            if "filter" not in file.read().split():
                return None
    except FileNotFoundError:
        return None
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as asker:
        while True:
            info = _INFO.unpack(_ask(asker, _GET_INFO, _INFO.pack(b"filter", *[0] * 13)))
            policy, size = info[7 + _FORWARD], info[-1]
            try:
                table = _ask(asker, _GET_ENTRIES, _ENTRIES.pack(b"filter", size) + bytes(size))[_ENTRIES.size :]
            except OSError as error:
                if error.errno == errno.EAGAIN:  # somebody has changed it in between
                    continue
                raise
            return _read(table, policy)


def _read(table: bytes, policy: int) -> Forwarding:
    drops = False
    arriving, leaving = set(), set()
    for at, verdict, into, out in _verdicts(table):
        if at == policy:
            drops = verdict == _DROP
        elif verdict == _ACCEPT:
            arriving.add(into)
            leaving.add(out)
    return Forwarding(drops, frozenset(arriving - {""}), frozenset(leaving - {""}))


def _verdicts(table: bytes) -> Iterator[tuple[int, int, str, str]]:
    """(offset, verdict, device in, device out) of every entry that gives a verdict and excludes no device."""
    at = 0
    while at < len(table):
        into, out, into_mask, out_mask, inverted, target, length = _ENTRY.unpack_from(table, at)
        name, verdict = _TARGET.unpack_from(table, at + target)
        if not name.rstrip(b"\0") and not inverted & _INVERTED:
            yield at, verdict, _device(into, into_mask), _device(out, out_mask)
        at += length


def _device(name: bytes, mask: bytes) -> str:
    """A mask that leaves out the zero at the end makes the name a beginning."""
    text, zero, _rest = name[: len(mask.rstrip(b"\0"))].partition(b"\0")
    return text.decode(errors="replace") + ("*" if text and not zero else "")


def _ask(asker: socket.socket, option: int, wish: bytes) -> bytes:
    """getsockopt(2) with something in the buffer, which Python's cannot."""
    buffer = ctypes.create_string_buffer(wish, len(wish))
    length = ctypes.c_uint32(len(wish))
    if LIBC.getsockopt(asker.fileno(), socket.IPPROTO_IP, option, buffer, ctypes.byref(length)) < 0:
        raise failed()
    return buffer.raw
