"""One thing that happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Event:
    """``type`` (container, image, network, daemon, plugin), ``action`` as Docker spells it, ``time`` in ns since the epoch."""

    type: str
    action: str
    id: str
    time: int
    attributes: Mapping[str, str] = field(default_factory=dict)
