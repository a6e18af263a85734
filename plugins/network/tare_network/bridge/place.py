"""What the driver knows of one network: how it is made and who is on it."""

from __future__ import annotations

from dataclasses import dataclass, field

from tare.model.network import Attachment, PortBinding
from tare_network.bridge.addresses import Addresses
from tare_network.bridge.segment import Segment


@dataclass(slots=True)
class Place:
    """Attachments and published ports by endpoint; one pool of addresses for each subnet."""

    segment: Segment
    pools: list[Addresses]
    endpoints: dict[str, Attachment] = field(default_factory=dict)
    bindings: dict[str, tuple[PortBinding, ...]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
