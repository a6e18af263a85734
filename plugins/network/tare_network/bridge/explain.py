"""Why something can be reached, or cannot, in plain words."""

from __future__ import annotations

from collections.abc import Iterable

from tare.model.network import Attachment, PortBinding
from tare_network.bridge.place import Place


def explain(places: Iterable[Place], table: str) -> list[str]:
    """A paragraph for each network and a line for each published port."""
    lines = []
    for place in places:
        lines += _network(place)
        for endpoint, bindings in place.bindings.items():
            name = place.names.get(endpoint) or endpoint[:12]
            lines += [_port(binding, name, place.endpoints[endpoint]) for binding in bindings]
    return [*lines, f"The rules are in table inet {table}; nothing else writes there."]


def _network(place: Place) -> list[str]:
    made = place.segment
    subnets = " and ".join(made.network.subnets)
    inside = "reach each other" if made.icc else "do not reach each other (icc is off), except by published ports"
    if made.internal:
        outside = "They reach nothing outside and nobody reaches them: the network is internal."
    else:
        source = "with the host's address" if made.masquerade else "with their own address (masquerade is off)"
        outside = f"They reach the outside {source}; from outside only published ports lead in."
    return [f"Network {made.network.name}: containers on {made.device} have addresses of {subnets} and {inside}. {outside}"]


def _port(binding: PortBinding, name: str, attachment: Attachment) -> str:
    shown = f"[{binding.host_ip}]" if ":" in binding.host_ip else binding.host_ip
    target = attachment.address6 if ":" in binding.host_ip and attachment.address6 else attachment.address
    who = {
        "0.0.0.0": "everybody who reaches an IPv4 address of the host",
        "::": "everybody who reaches an IPv6 address of the host",
        "127.0.0.1": "this host only",
        "::1": "this host only",
    }.get(binding.host_ip, f"everybody who reaches {binding.host_ip}")
    to = f"{target}:{binding.container_port} of container {name}"
    return f"  {shown}:{binding.host_port}/{binding.protocol} leads {who} to {to}."
