"""``plugin ls``: tare's plugins and the drivers they bring, from /tare/v1/plugins."""

from __future__ import annotations

from tare.present.listing import Noun, View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Row = Mapping[str, Any]


def _drivers(row: Row, view: View) -> str:
    """``storage/overlay2, storage/vfs (skip)``: the state is told where it is not ok."""
    return ", ".join(
        f"{driver['Kind']}/{driver['Name']}" + (f" ({driver['State']})" if driver.get("State") not in ("ok", "", None) else "")
        for driver in row.get("Drivers") or ()
    )


def _reason(row: Row, view: View) -> str:
    """Why the plugin, or a driver of it, is not there; one line."""
    reasons = [row.get("Reason", "")] if row.get("State") != "ok" else []
    reasons += [
        f"{driver['Name']}: {driver.get('Reason', '')}"
        for driver in row.get("Drivers") or ()
        if driver.get("State") not in ("ok", "", None)
    ]
    return "; ".join(" ".join(str(reason).split()) for reason in reasons if reason)


PLUGINS = Noun(
    "plugin.pluginContext",
    {
        "ID": ("NAME", lambda row, view: row["Name"]),
        "Name": ("NAME", lambda row, view: row["Name"]),
        "Distribution": ("DISTRIBUTION", lambda row, view: row.get("Distribution", "")),
        "Version": ("VERSION", lambda row, view: row.get("Version", "")),
        "State": ("STATE", lambda row, view: row.get("State", "")),
        "Enabled": ("ENABLED", lambda row, view: "true" if row.get("State") == "ok" else "false"),
        "Drivers": ("DRIVERS", _drivers),
        "Hooks": ("HOOKS", lambda row, view: ",".join(row.get("Hooks") or ())),
        "Reason": ("REASON", _reason),
    },
    lambda rows, view: "table {{.Name}}\t{{.Distribution}}\t{{.Version}}\t{{.State}}\t{{.Drivers}}\t{{.Reason}}",
    quiet="{{.Name}}",
)
