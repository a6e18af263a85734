"""``tare config show``: the effective settings and where each comes from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tare.config import toml
from tare.config.settings import Settings
from tare.config.values import AddressPool, RuntimeEntry

Row = dict[str, Any]
"""``{"key": TOML path, "value": JSON value, "origin": "default" | "FILE:LINE" | "flag --NAME" | "environment NAME"}``"""


def rows(settings: Settings) -> list[Row]:
    """One row a key and a driver's option (those in ``storage.opts`` are not repeated), in the order of the table of keys."""
    values = {path: plain(value) for path, value in settings.values.items()}
    values["containers.ulimits"] = {u.name: {"soft": u.soft, "hard": u.hard} for u in settings.containers.ulimits}
    listed = {text.partition("=")[0] for text in settings.storage.opts}
    for (kind, name), table in settings.tables.items():
        own = {option: value for option, value in table.items() if kind != "storage" or f"{name}.{option}" not in listed}
        values.update({f"{kind}.{name}.{option}": plain(value) for option, value in own.items()})
    return [{"key": path, "value": value, "origin": settings.origins.get(path, "default")} for path, value in values.items()]


def text(shown: Iterable[Row]) -> str:
    """Rows as a TOML document (which tared would read again) with each origin as a comment."""
    listed = list(shown)
    values = {row["key"]: row["value"] for row in listed}
    notes = {row["key"]: row["origin"] for row in listed}
    return "\n".join(toml.lines(values, notes)) + "\n"


def plain(value: Any) -> Any:
    """A checked value as the TOML (and JSON) that it was read from."""
    match value:
        case Path():
            return str(value)
        case RuntimeEntry():
            whole = {"path": value.path, "runtimeArgs": list(value.runtime_args), "runtimeType": value.runtime_type}
            return {name: item for name, item in {**whole, "options": plain(value.options)}.items() if item}
        case AddressPool():
            return dataclasses.asdict(value)
        case tuple() | list():
            return [plain(item) for item in value]
        case Mapping():
            return {name: plain(item) for name, item in value.items()}
    return value
