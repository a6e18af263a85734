"""Which subnet a network gets: what was asked for, checked, or the first of the pools that the host does not use."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface, ip_network
from typing import Any

from tare.errors import Conflict, Exhausted, Invalid
from tare.model.network import Network
from tare_network.bridge.segment import DEFAULT

Subnet = IPv4Network | IPv6Network

POOLS: tuple[tuple[str, int], ...] = (
    ("172.17.0.0/16", 16),
    ("172.18.0.0/15", 16),
    ("172.20.0.0/14", 16),
    ("172.24.0.0/14", 16),
    ("172.28.0.0/14", 16),
    ("192.168.0.0/16", 20),
)
"""Where subnets come from unless [network] address-pools says otherwise (Docker's documented defaults)."""


def complete(network: Network, settings: Mapping[str, Any], used: Sequence[Subnet], *, exists: bool) -> Network:
    """The network with subnets, ranges and gateways filled in. ``used`` is what the host and other networks have; of a
    network that ``exists`` it is too late to say so.
    Raises Invalid, Conflict (an overlap), Exhausted (no pool has room)."""
    if network.name == DEFAULT:
        network = configured(network, settings)
    subnets = [_parsed(network, text) for text in network.subnets]
    for subnet in subnets:
        taken = next((other for other in used if overlap(subnet, other)), None)
        if taken is not None and not exists:
            raise Conflict(
                f"subnet {subnet} of network {network.name} overlaps with {taken}, which this host uses",
                subject=str(subnet),
                hint="choose another subnet",
            )
    if network.ipv4 and not any(subnet.version == 4 for subnet in subnets):
        subnets.insert(0, _free(network, settings, used, 4))
    if network.ipv6 and not any(subnet.version == 6 for subnet in subnets):
        subnets.append(_free(network, settings, used, 6))
    given = [ip_address(gateway) for gateway in network.gateways if gateway]
    ranges = [ip_network(text) for text in network.ip_ranges if text]
    gateways, pieces = [], []
    for subnet in subnets:
        gateway = next((one for one in given if one.version == subnet.version), None)
        if gateway is not None and gateway not in subnet:
            raise Invalid(f"gateway {gateway} of network {network.name} is not in its subnet {subnet}", subject=str(gateway))
        piece = next((one for one in ranges if one.version == subnet.version), subnet)
        if not _inside(piece, subnet):
            raise Invalid(f"range {piece} of network {network.name} is not in its subnet {subnet}", subject=str(piece))
        gateways.append(str(gateway or subnet.network_address + 1))
        pieces.append(str(piece))
    return replace(
        network,
        subnets=tuple(map(str, subnets)),
        gateways=tuple(gateways),
        ip_ranges=tuple("" if piece == str(subnet) else piece for piece, subnet in zip(pieces, subnets, strict=True)),
        ipv6=network.ipv6 or any(subnet.version == 6 for subnet in subnets),
    )


def configured(network: Network, settings: Mapping[str, Any]) -> Network:
    """The network ``bridge`` as [network.bridge] describes it; what is not described stays as it was recorded."""
    kept = dict(zip(network.subnets, network.gateways, strict=False))
    subnets, gateways, ranges = [], [], []
    ipv6 = bool(settings.get("ipv6"))
    for version, ip, cidr, gateway in (("4", "ip", "fixed-cidr", "gateway"), ("6", "ip6", "fixed-cidr-v6", "gateway-v6")):
        if version == "6" and not ipv6:
            continue
        ours = next((subnet for subnet in kept if (":" in subnet) == (version == "6")), "")
        if settings.get(ip):
            interface = ip_interface(settings[ip])
            ours, kept[str(interface.network)] = str(interface.network), str(interface.ip)
        elif settings.get(cidr):
            ours = ours if ours and _inside(ip_network(settings[cidr]), ip_network(ours)) else str(settings[cidr])
        if ours:
            subnets.append(ours)
            gateways.append(str(settings.get(gateway) or kept.get(ours, "")))
            ranges.append(str(settings.get(cidr) or ""))
    return replace(network, subnets=tuple(subnets), gateways=tuple(gateways), ip_ranges=tuple(ranges), ipv6=ipv6)


def overlap(one: Subnet, other: Subnet) -> bool:
    """Do they share an address?"""
    return one.version == other.version and one.overlaps(other)


def _inside(inner: Subnet, outer: Subnet) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def _parsed(network: Network, text: str) -> Subnet:
    try:
        subnet = ip_network(text)
    except ValueError as error:
        raise Invalid(f"subnet {text} of network {network.name}: {error}", subject=text) from error
    if subnet.num_addresses < 4:
        raise Invalid(f"subnet {text} of network {network.name} has no room for a container", subject=text)
    return subnet


def _free(network: Network, settings: Mapping[str, Any], used: Iterable[Subnet], version: int) -> Subnet:
    used = list(used)
    for subnet in _candidates(network, settings, version):
        if not any(overlap(subnet, other) for other in used):
            return subnet
    raise Exhausted(
        f"no IPv{version} subnet is left for network {network.name}: all of the address pools is in use on this host",
        subject=network.name,
        hint="add a pool to [network] address-pools",
    )


def _candidates(network: Network, settings: Mapping[str, Any], version: int) -> Iterator[Subnet]:
    pools = [(pool["base"], int(pool["size"])) for pool in settings.get("address-pools") or ()]
    mine = [(base, size) for base, size in pools or POOLS if ip_network(base).version == version]
    for base, size in mine:
        yield from ip_network(base).subnets(new_prefix=size)
    if version == 6 and not mine:
        # RFC 4193: a prefix of one's own, the same for the same network.
        digest = hashlib.sha256(network.id.encode()).digest()
        yield IPv6Network((b"\xfd" + digest[:7] + bytes(8), 64))
