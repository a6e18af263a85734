"""The network drivers that ship with tare. Importing this module imports none of them."""

from __future__ import annotations

from tare.drivers.registration import Driver
from tare.hooks import hookimpl


@hookimpl
def tare_register_network_drivers() -> list[Driver]:
    """The drivers of this package."""
    return [
        Driver("network", "host", "tare_network.plain:Host", "the host's own network namespace"),
        Driver("network", "none", "tare_network.plain:NoNetwork", "a namespace with nothing but loopback"),
        Driver("network", "container", "tare_network.plain:Shared", "the network namespace of another container"),
    ]
