"""``system df``: what takes the disk's room."""

from __future__ import annotations

from tare.present import durations, sizes, tables
from tare.present.go_values import Struct
from tare.present.listing import Noun, View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo
    from typing import Any

    Row = Mapping[str, Any]


def render(
    usage: Row, *, verbose: bool = False, format: str | None = None, now: float | None = None, tz: tzinfo | None = None
) -> str:
    """/system/df's JSON, of API 1.52 (an object for each kind) or before (a list for each). Raises Invalid.

    ``verbose`` lists every image, container, volume and cache entry; a template then sees them as ``.Images``,
    ``.Containers``, ``.Volumes`` and ``.BuildCache``. ``now`` (seconds since the epoch) is by default the present.
    """
    from datetime import UTC
    from time import time

    from tare.present import listing

    now, tz = now or time(), tz or UTC
    if not verbose:
        return listing.render("df", [dict(usage)], format=format, now=now, tz=tz)
    listed = {title: entries for title, entries, *_ in _kinds(usage)}
    listed["Images"] = [row | {"RepoTags": (row.get("RepoTags") or [])[:1]} for row in listed["Images"]]
    listed["Containers"] = [_own(row) for row in listed["Containers"]]
    view = View(now, tz, True, False, True)
    if format:
        return _templated(listed, format, view)
    images = (
        "table {{.Repository}}\\t{{.Tag}}\\t{{.ID}}\\t{{.CreatedSince}}\\t{{.Size}}\\t{{.SharedSize}}\\t{{.UniqueSize}}\\t"
        "{{.Containers}}"
    )
    containers = (
        "table {{.ID}}\\t{{.Image}}\\t{{.Command}}\\t{{.LocalVolumes}}\\t{{.Size}}\\t{{.RunningFor}}\\t{{.Status}}\\t{{.Names}}"
    )
    cache = sum(entry.get("Size") or 0 for entry in listed["Build Cache"] if not entry.get("Shared"))
    return (
        "Images space usage:\n\n"
        + listing.render("images", listed["Images"], format=images, now=now, tz=tz)
        + "\nContainers space usage:\n\n"
        + listing.render("containers", listed["Containers"], format=containers, now=now, tz=tz)
        + "\nLocal Volumes space usage:\n\n"
        + tables.align("".join(line + "\n" for line in _volumes(listed["Local Volumes"])))
        + f"\nBuild cache usage: {sizes.human(cache)}\n\n"
        + tables.align("".join(line + "\n" for line in _cache(listed["Build Cache"], view)))
    )


def _templated(listed: dict[str, list[Any]], format: str, view: View) -> str:
    from tare.present import listing
    from tare.present.template import Template

    every: dict[str, list[Any]] = {
        "Images": listing.members("images", listed["Images"], view),
        "Containers": listing.members("containers", listed["Containers"], view),
        "Volumes": listed["Local Volumes"],
        "BuildCache": listed["Build Cache"],
    }
    seen = Struct("*formatter.diskUsageContext", every, {name: (name, _as_it_is) for name in every})
    text = "{{json .}}" if format == "json" else format.removeprefix("table").strip(" ").replace("\\t", "\t").replace("\\n", "\n")
    return Template(text).render(seen) + "\n"


def _as_it_is(value: Any) -> Any:
    return value


def _own(row: Row) -> dict[str, Any]:
    """Without the image's share, which is listed with the images."""
    return {key: value for key, value in row.items() if key != "SizeRootFs"}


def _volumes(volumes: list[Row]) -> list[str]:
    lines = ["VOLUME NAME\tLINKS\tSIZE"]
    for volume in volumes:
        data = volume.get("UsageData") or {}
        lines.append(f"{volume.get('Name', '')}\t{data.get('RefCount', 0)}\t{sizes.human(max(data.get('Size', 0), 0))}")
    return lines


def _cache(entries: list[Row], view: View) -> list[str]:
    from datetime import datetime

    def ago(moment: str | None) -> str:
        return durations.human(view.now - datetime.fromisoformat(moment).timestamp()) + " ago" if moment else ""

    lines = ["CACHE ID\tCACHE TYPE\tSIZE\tCREATED\tLAST USED\tUSAGE\tSHARED"]
    for entry in entries:
        shown = str(entry.get("ID", ""))[:12] + ("*" if entry.get("InUse") else "")
        cells = [shown, entry.get("Type", ""), sizes.human(entry.get("Size") or 0), ago(entry.get("CreatedAt"))]
        cells += [ago(entry.get("LastUsedAt")), str(entry.get("UsageCount", 0)), "true" if entry.get("Shared") else "false"]
        lines.append("\t".join(cells))
    return lines


def _kinds(usage: Row) -> list[tuple[str, list[Any], int, int, int, int]]:
    """(title, entries, how many, how many in use, bytes, bytes that could go) for each kind of thing."""
    named = (("Images", "Image"), ("Containers", "Container"), ("Local Volumes", "Volume"), ("Build Cache", "BuildCache"))
    if "ImageUsage" in usage:
        found = []
        for title, name in named:
            part = usage.get(f"{name}Usage") or {}
            counts = [part.get(key) or 0 for key in ("TotalCount", "ActiveCount", "TotalSize", "Reclaimable")]
            found.append((title, part.get("Items") or [], counts[0], counts[1], counts[2], counts[3]))
        return found
    images, containers = usage.get("Images") or [], usage.get("Containers") or []
    volumes, cache = usage.get("Volumes") or [], usage.get("BuildCache") or []
    held = [image for image in images if image.get("Containers", 0) > 0]
    layers = usage.get("LayersSize") or 0
    needed = sum(image.get("Size", 0) - max(image.get("SharedSize") or 0, 0) for image in held)
    running = [row for row in containers if row.get("State") in ("running", "paused", "restarting")]
    sized = [(volume.get("UsageData") or {}) for volume in volumes]
    room = [max(data.get("Size", 0), 0) for data in sized]
    linked = [data.get("RefCount", 0) > 0 for data in sized]
    own = [entry for entry in cache if not entry.get("Shared")]
    return [
        ("Images", images, len(images), len(held), layers, max(layers - needed, 0)),
        ("Containers", containers, len(containers), len(running), _sum(containers, "SizeRw"), _idle(containers, running)),
        (
            "Local Volumes",
            volumes,
            len(volumes),
            sum(linked),
            sum(room),
            sum(size for size, used in zip(room, linked, strict=True) if not used),
        ),
        (
            "Build Cache",
            cache,
            len(cache),
            sum(bool(entry.get("InUse")) for entry in cache),
            _sum(own, "Size"),
            _sum([entry for entry in own if not entry.get("InUse")], "Size"),
        ),
    ]


def _sum(rows: list[Any], key: str) -> int:
    return sum(row.get(key) or 0 for row in rows)


def _idle(containers: list[Any], running: list[Any]) -> int:
    return _sum(containers, "SizeRw") - _sum(running, "SizeRw")


def _rows(usages: list[dict[str, Any]], view: View) -> list[dict[str, Any]]:
    keys = ("Type", "Entries", "Total", "Active", "Size", "Reclaimable")
    return [dict(zip(keys, kind, strict=True)) for usage in usages for kind in _kinds(usage)]


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
    prepare=_rows,
)
