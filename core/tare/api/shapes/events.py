"""An event as Docker's JSON."""

from __future__ import annotations

from typing import Any

from tare.api.versions import Version
from tare.model.event import Event

WITHOUT_OLD_NAMES: Version = (1, 52)
"""From here on ``status``, ``id`` and ``from`` are gone."""


def message(event: Event, version: Version) -> dict[str, Any]:
    shape: dict[str, Any] = {}
    if version < WITHOUT_OLD_NAMES and event.type in ("container", "image"):
        shape = {"status": event.action, "id": event.id}
        image = event.attributes.get("image") if event.type == "container" else None
        if image:
            shape["from"] = image
    return shape | {
        "Type": event.type,
        "Action": event.action,
        "Actor": {"ID": event.id, "Attributes": dict(sorted(event.attributes.items()))},
        "scope": "local",
        "time": event.time // 1_000_000_000,
        "timeNano": event.time,
    }
