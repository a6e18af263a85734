"""What ``-p`` and ``--expose`` may say. Cheap to import: the command line stands on it.

    C                 container port, any free host port
    H:C               host port, container port
    IP:H:C   IP::C    on one address of the host; IPv6 in brackets or bare
    F-L:F-L           ranges of the same length; F-L:C is the first free host port of a range
    …/udp   …:udp     protocol: tcp (default), udp or sctp
"""

from __future__ import annotations

import _socket

from tare.errors import Invalid

PROTOCOLS = ("tcp", "udp", "sctp")
HIGHEST = 65535


def publish_ranges(text: str) -> list[tuple[int, str, str, int, int]]:
    """``(container port, protocol, host address or "", first host port, last host port)`` for each port of a ``-p`` word.

    Host ports 0 and 0 mean any free one. Raises Invalid, worded as Docker's client words it.
    """
    rest, protocol = _protocol(text)
    address, host, container = _split(rest, text)
    if not container:
        raise Invalid(f"no port specified: {text}<empty>", subject=text)
    first, last = _range(container, "containerPort", text)
    low, high = _range(host, "hostPort", text) if host else (0, 0)
    if first == last:
        return [(first, protocol, address, low, high)]
    if not host:
        return [(port, protocol, address, 0, 0) for port in range(first, last + 1)]
    if high - low != last - first:
        raise Invalid(f"invalid ranges specified for container and host Ports: {container} and {host}", subject=text)
    return [(first + step, protocol, address, low + step, low + step) for step in range(last - first + 1)]


def expose_range(text: str) -> list[tuple[int, str]]:
    """``(container port, protocol)`` for each port of an ``--expose`` word. Raises Invalid."""
    rest, protocol = _protocol(text)
    if ":" in rest:
        raise Invalid(f"invalid port format for --expose: {text}", subject=text, hint="use PORT, FIRST-LAST or PORT/udp")
    first, last = _range(rest, "containerPort", text)
    return [(port, protocol) for port in range(first, last + 1)]


def _protocol(text: str) -> tuple[str, str]:
    """What stands before the protocol, and the protocol; ``H:C:udp`` is understood beside ``H:C/udp``."""
    rest, slash, protocol = text.partition("/")
    if not slash:
        before, colon, after = text.rpartition(":")
        if colon and after.lower() in PROTOCOLS:
            rest, protocol = before, after
    protocol = protocol.lower() or "tcp"
    if protocol not in PROTOCOLS:
        raise Invalid(f"invalid proto: {protocol}", subject=text, hint=f"use one of {', '.join(PROTOCOLS)}")
    return rest, protocol


def _split(rest: str, text: str) -> tuple[str, str, str]:
    """(address, host ports, container ports), the first two possibly empty."""
    before, _, container = rest.rpartition(":")
    address, colon, host = before.rpartition(":")
    if not colon:
        return "", host, container
    bare = address.strip("[]")
    if not bare:
        return "", host, container
    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            _socket.inet_pton(family, bare)
        except OSError:
            continue
        return bare, host, container
    raise Invalid(f"invalid IP address: {bare}", subject=text)


def _range(words: str, what: str, text: str) -> tuple[int, int]:
    first, dash, last = words.partition("-")
    low, high = _number(first), _number(last if dash else first)
    if low < 0 or high < low or (what == "containerPort" and low == 0):
        raise Invalid(f"invalid {what}: {words}", subject=text, hint=f"a port is 1 to {HIGHEST}")
    return low, high


def _number(word: str) -> int:
    """A port's number, or -1."""
    return int(word) if word.isascii() and word.isdecimal() and int(word) <= HIGHEST else -1
