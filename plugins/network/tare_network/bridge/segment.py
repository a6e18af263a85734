"""One network as the bridge driver sees it: a device, its subnets, and what its options say."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from tare.errors import Invalid
from tare.model.network import Network

DEFAULT = "bridge"
"""The network that the keys of [network.bridge] describe."""

_DOCKER = "com.docker.network."
_DEVICE = "bridge.name"
_ICC = "bridge.enable_icc"
_MASQUERADE = "bridge.enable_ip_masquerade"
_PUBLISH_IP = "bridge.host_binding_ipv4"
_MTU = "driver.mtu"


@dataclass(frozen=True, slots=True)
class Segment:
    """``own`` is False for a device that the user made and keeps. ``icc``: its containers reach each other.
    ``addresses`` are the bridge's own as configured, ``routers`` gateways that are said to be other machines."""

    network: Network
    device: str
    own: bool
    mtu: int
    icc: bool
    masquerade: bool
    publish_ip: str
    addresses: tuple[str, ...] = ()
    routers: tuple[str, ...] = ()

    @property
    def subnets(self) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        return [ipaddress.ip_network(subnet) for subnet in self.network.subnets]

    @property
    def internal(self) -> bool:
        return self.network.internal


def segment(network: Network, instance: str, settings: Mapping[str, object]) -> Segment:
    """Read the options. Raises Invalid for one that the driver does not have or whose value means nothing."""
    known = {_DEVICE, _ICC, _MASQUERADE, _PUBLISH_IP, _MTU, "bridge.default_bridge"}
    given = {}
    for key, value in network.options.items():
        name = key.removeprefix(_DOCKER)
        if name == key or name not in known:
            raise Invalid(f"network {network.name}: the bridge driver has no option {key}", subject=key)
        given[name] = value
    default = settings if network.name == DEFAULT else {}
    named = given.get(_DEVICE) or str(default.get("name", ""))
    return Segment(
        network=network,
        device=named or device_name(network, instance),
        own=not (network.name == DEFAULT and named),
        mtu=int(given[_MTU]) if _MTU in given else int(str(settings.get("mtu", 1500))),
        icc=_truth(given, _ICC, bool(default.get("icc", True))),
        masquerade=_truth(given, _MASQUERADE, bool(default.get("masquerade", True))),
        publish_ip=given.get(_PUBLISH_IP, str(default.get("publish-ip", ""))),
        addresses=tuple(str(default[key]) for key in ("ip", "ip6") if default.get(key)),
        routers=tuple(str(default[key]) for key in ("gateway", "gateway-v6") if default.get(key)),
    )


def device_name(network: Network, instance: str) -> str:
    """``tare0`` for the network ``bridge``; the names of other roots and networks tell themselves apart."""
    if network.name == DEFAULT:
        return f"tare{instance or '0'}"
    return f"t{instance}-{network.id[:5]}" if instance else f"tare-{network.id[:10]}"


def hardware_address(seed: str) -> str:
    """A locally administered address for a bridge, the same for the same seed."""
    digest = hashlib.sha256(seed.encode()).digest()
    return "02:42:" + ":".join(f"{byte:02x}" for byte in digest[:4])


def _truth(options: Mapping[str, str], name: str, default: bool) -> bool:
    value = options.get(name, "").lower()
    if value in ("1", "t", "true"):
        return True
    if value in ("0", "f", "false"):
        return False
    if value:
        raise Invalid(f"{_DOCKER}{name}: {value} is neither true nor false", subject=options[name])
    return default
