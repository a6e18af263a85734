"""Ports as Docker's JSON has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tare.api.shapes.members import Members
from tare.errors import Invalid
from tare.model.network import PortBinding, PortRequest

PROTOCOLS = ("tcp", "udp", "sctp")
MOST_PORTS = len(PROTOCOLS) * 65535
"""All that there are; ranges that say them again and again are refused."""


def exposed(names: Iterable[str]) -> tuple[str, ...]:
    """``80``, ``80/tcp``, ``8000-8010/udp`` → one ``port/protocol`` each, in order, no twins. Raises Invalid."""
    out: dict[str, None] = {}
    total = 0
    for name in names:
        first, last, protocol = _parse(name)
        total += last - first + 1
        if total > MOST_PORTS:
            raise Invalid(f"more than {MOST_PORTS} ports", subject=name)
        for port in range(first, last + 1):
            out[f"{port}/{protocol}"] = None
    return tuple(out)


def requested(config: Members) -> tuple[PortRequest, ...]:
    """``PortBindings`` of a HostConfig. Raises Invalid."""
    out: list[PortRequest] = []
    table = config.take("PortBindings")
    if table is None:
        return ()
    if not isinstance(table, dict):
        raise Invalid("HostConfig.PortBindings: expected an object", subject="PortBindings")
    for name, bindings in sorted(table.items()):
        first, last, protocol = _parse(name)
        if first != last:
            raise Invalid(f"invalid port specification: {name!r} is a range", subject=name)
        for binding in Members({name: bindings}, "HostConfig.PortBindings").each(name):
            host_ip = binding.text("HostIp").strip("[]")
            low, high = _host_ports(binding.text("HostPort"))
            binding.done()
            out.append(PortRequest(first, protocol, host_ip, low, high if high != low else 0))
    return tuple(out)


def _parse(name: str) -> tuple[int, int, str]:
    numbers, _, protocol = name.partition("/")
    protocol = (protocol or "tcp").lower()
    if protocol not in PROTOCOLS:
        raise Invalid(f"invalid proto: {protocol}", subject=name, hint=f"one of {', '.join(PROTOCOLS)}")
    low, high = _range(numbers, name)
    if not low:
        raise Invalid(f"invalid containerPort: {name}", subject=name)
    return low, high, protocol


def _host_ports(text: str) -> tuple[int, int]:
    return _range(text, text) if text else (0, 0)


def _range(text: str, whole: str) -> tuple[int, int]:
    low, dash, high = text.partition("-")
    first, last = (int(end) if end.isascii() and end.isdigit() and len(end) < 6 else -1 for end in (low, high if dash else low))
    if not 0 <= first <= last < 65536:
        raise Invalid(f"invalid port specification: {whole!r}", subject=whole, hint="ports are numbers from 1 to 65535")
    return first, last


def bindings(requests: Iterable[PortRequest]) -> dict[str, list[dict[str, str]]]:
    """``HostConfig.PortBindings`` from the wish."""
    out: dict[str, list[dict[str, str]]] = {}
    for request in requests:
        port = f"{request.host_port}-{request.host_port_end}" if request.host_port_end else str(request.host_port or "")
        entry = {"HostIp": request.host_ip, "HostPort": port}
        out.setdefault(f"{request.container_port}/{request.protocol}", []).append(entry)
    return dict(sorted(out.items()))


def table(exposed_ports: Iterable[str], real: Iterable[PortBinding]) -> dict[str, list[dict[str, str]] | None]:
    """``NetworkSettings.Ports``: what is published, and null for what is only exposed."""
    out: dict[str, list[dict[str, str]] | None] = dict.fromkeys(exposed_ports)
    for binding in real:
        name = f"{binding.container_port}/{binding.protocol}"
        out[name] = [*(out.get(name) or []), {"HostIp": binding.host_ip, "HostPort": str(binding.host_port)}]
    return dict(sorted(out.items()))


def summary(exposed_ports: Iterable[str], real: Iterable[PortBinding]) -> Iterator[dict[str, Any]]:
    """``Ports`` of ``ps``."""
    published = set()
    for binding in real:
        published.add(f"{binding.container_port}/{binding.protocol}")
        yield {
            "IP": binding.host_ip,
            "PrivatePort": binding.container_port,
            "PublicPort": binding.host_port,
            "Type": binding.protocol,
        }
    for name in exposed_ports:
        if name not in published:
            number, _, protocol = name.partition("/")
            yield {"PrivatePort": int(number), "Type": protocol}
