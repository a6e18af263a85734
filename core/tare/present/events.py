"""Events, one a line."""

from __future__ import annotations

from tare.present import clock
from tare.present.go_values import Struct
from tare.present.inspect_types import structure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo
    from typing import Any


def line(event: Mapping[str, Any], zone: tzinfo) -> str:
    """``2026-11-20T19:07:14.008008036Z container create ID (image=busybox, name=c1)``, from /events' JSON."""
    nanoseconds = event.get("timeNano") or event.get("time", 0) * 1_000_000_000
    when = clock.rfc3339(nanoseconds // 1_000_000_000, zone, nanoseconds % 1_000_000_000)
    actor = event.get("Actor") or {}
    attributes = actor.get("Attributes") or {}
    shown = f" ({', '.join(f'{key}={attributes[key]}' for key in sorted(attributes))})" if attributes else ""
    return f"{when} {event.get('Type', '')} {event.get('Action', '')} {actor.get('ID', '')}{shown}"


def typed(event: dict[str, Any]) -> Struct:
    """/events' JSON as the structure that templates see."""
    return structure("event", event)
