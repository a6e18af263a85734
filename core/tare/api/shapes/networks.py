"""A network as ``network inspect`` and ``network ls`` show it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest
from typing import Any

from tare.api.versions import Version
from tare.containers.container import Container
from tare.model.network import Network
from tare.networks.predefined import driver_shown


def summary(network: Network, version: Version) -> dict[str, Any]:
    """One row of ``GET /networks``."""
    pools = []
    for subnet, gateway, ip_range in zip_longest(network.subnets, network.gateways, network.ip_ranges, fillvalue=""):
        pool = {"Subnet": subnet, "Gateway": gateway, "IPRange": ip_range}
        pools.append({name: value for name, value in pool.items() if value})
    shape = {
        "Name": network.name,
        "Id": network.id,
        "Created": network.created,
        "Scope": "local",
        "Driver": driver_shown(network.driver),
        "EnableIPv4": network.ipv4,
        "EnableIPv6": network.ipv6,
        "IPAM": {"Driver": "default", "Options": None, "Config": pools or None},
        "Internal": network.internal,
        "Attachable": False,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": {},
        "Options": dict(network.options),
        "Labels": dict(network.labels),
    }
    if version < (1, 47):
        del shape["EnableIPv4"]
    return shape


def inspect(network: Network, users: Iterable[Container], version: Version) -> dict[str, Any]:
    """``GET /networks/{id}``."""
    shape = summary(network, version)
    for container in users:
        place = container.connections.get(network.name)
        if place:
            given = place.attachment
            shape["Containers"][container.id] = {
                "Name": container.name,
                "EndpointID": given.endpoint,
                "MacAddress": given.mac,
                "IPv4Address": f"{given.address}/{given.prefix}" if given.address else "",
                "IPv6Address": f"{given.address6}/{given.prefix6}" if given.address6 else "",
            }
    return shape
