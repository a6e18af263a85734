"""``system df`` as rows."""

from __future__ import annotations

from tare.present import sizes
from tare.present.listing import Noun, View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Row = Mapping[str, Any]


def _kinds(rows: list[dict[str, Any]], view: View) -> list[dict[str, Any]]:
    """One row for each kind of thing in /system/df's JSON, as the first of ``rows``."""
    usage = rows[0] if rows else {}
    images, containers = usage.get("Images") or [], usage.get("Containers") or []
    volumes, cache = usage.get("Volumes") or [], usage.get("BuildCache") or []
    running = [row for row in containers if row.get("State") in ("running", "paused", "restarting")]
    idle = [row.get("SizeRw") or 0 for row in containers if row not in running]
    layers = usage.get("LayersSize") or 0
    used = sum(image["Size"] - max(image.get("SharedSize") or 0, 0) for image in images if image.get("Containers", 0) > 0)
    sized = [volume.get("UsageData") or {} for volume in volumes]
    return [
        _kind("Images", len(images), sum(image.get("Containers", 0) > 0 for image in images), layers, max(layers - used, 0)),
        _kind("Containers", len(containers), len(running), sum(row.get("SizeRw") or 0 for row in containers), sum(idle)),
        _kind(
            "Local Volumes",
            len(volumes),
            sum(data.get("RefCount", 0) > 0 for data in sized),
            sum(max(data.get("Size", 0), 0) for data in sized),
            sum(max(data.get("Size", 0), 0) for data in sized if not data.get("RefCount", 0)),
        ),
        _kind(
            "Build Cache",
            len(cache),
            sum(bool(entry.get("InUse")) for entry in cache),
            sum(entry.get("Size") or 0 for entry in cache if not entry.get("Shared")),
            sum(entry.get("Size") or 0 for entry in cache if not entry.get("Shared") and not entry.get("InUse")),
        ),
    ]


def _kind(name: str, total: int, active: int, size: int, reclaimable: int) -> dict[str, Any]:
    return {"Type": name, "Total": total, "Active": active, "Size": size, "Reclaimable": reclaimable}


def _reclaimable(row: Row, view: View) -> str:
    text = sizes.human(row["Reclaimable"], 4)
    if row["Type"] == "Build Cache" or not row["Size"]:
        return text
    return f"{text} ({row['Reclaimable'] * 100 // row['Size']}%)"


USAGE = Noun(
    "formatter.diskUsageContext",
    {
        "Type": ("TYPE", lambda row, view: row["Type"]),
        "TotalCount": ("TOTAL", lambda row, view: str(row["Total"])),
        "Active": ("ACTIVE", lambda row, view: str(row["Active"])),
        "Size": ("SIZE", lambda row, view: sizes.human(row["Size"], 4)),
        "Reclaimable": ("RECLAIMABLE", _reclaimable),
    },
    lambda rows, view: "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
    quiet="{{.Type}}",
    prepare=_kinds,
)
