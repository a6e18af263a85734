"""``network ls`` as rows."""

from __future__ import annotations

from tare.present.containers import joined, labels
from tare.present.go_values import Time
from tare.present.listing import Noun, View
from tare.present.references import short

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def _by_name(rows: list[dict[str, Any]], view: View) -> list[dict[str, Any]]:
    """Numbers in names count as numbers: net2 before net10."""
    return sorted(rows, key=lambda row: _natural(row["Name"]))


def _natural(name: str) -> list[tuple[bool, int, str]]:
    parts: list[str] = []
    for letter in name:
        if parts and letter.isdecimal() == parts[-1][-1].isdecimal():
            parts[-1] += letter
        else:
            parts.append(letter)
    return [(not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def _flag(row: Mapping[str, Any], key: str) -> str:
    return "true" if row.get(key) else "false"


NETWORKS = Noun(
    "network.networkContext",
    {
        "ID": ("NETWORK ID", lambda row, view: row["Id"] if view.no_trunc else short(row["Id"])),
        "Name": ("NAME", lambda row, view: row["Name"]),
        "Driver": ("DRIVER", lambda row, view: row.get("Driver", "")),
        "Scope": ("SCOPE", lambda row, view: row.get("Scope", "")),
        "IPv4": ("IPV4", lambda row, view: _flag(row, "EnableIPv4")),
        "IPv6": ("IPV6", lambda row, view: _flag(row, "EnableIPv6")),
        "Internal": ("INTERNAL", lambda row, view: _flag(row, "Internal")),
        "Labels": ("LABELS", lambda row, view: joined(labels(row))),
        "CreatedAt": ("CREATED AT", lambda row, view: Time(row.get("Created", "")).go()),
    },
    lambda rows, view: "table {{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
    raw=lambda rows, view: (
        "network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n",
        "network_id: {{.ID}}",
    ),
    prepare=_by_name,
    labels=labels,
)
