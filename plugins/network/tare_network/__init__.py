"""The network drivers that ship with tare. Importing this module imports none of them."""

from __future__ import annotations

from tare.drivers.registration import Driver
from tare.hooks import hookimpl

_BRIDGE = {
    "name": "string",
    "ip": "string",
    "ip6": "string",
    "fixed-cidr": "string",
    "fixed-cidr-v6": "string",
    "gateway": "string",
    "gateway-v6": "string",
    "ipv6": "bool",
    "mtu": "int",
    "icc": "bool",
    "publish-ip": "string",
    "masquerade": "bool",
    "address-pools": "list",
    "ip-forward": "bool",
    "ip-forward-no-drop": "bool",
    "firewall.ipv4": "bool",
    "firewall.ipv6": "bool",
    "allow-direct-routing": "bool",
    "userland-proxy": "bool",
}


@hookimpl
def tare_register_network_drivers() -> list[Driver]:
    """The drivers of this package."""
    return [
        Driver("network", "bridge", "tare_network.bridge.driver:Bridge", "behind the host's address", options=_BRIDGE),
        Driver("network", "host", "tare_network.plain:Host", "the host's own network namespace"),
        Driver("network", "none", "tare_network.plain:NoNetwork", "a namespace with nothing but loopback"),
        Driver("network", "container", "tare_network.plain:Shared", "the network namespace of another container"),
    ]
