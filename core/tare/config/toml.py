"""Writing TOML: the few forms that the configuration needs (toml.io, v1.0)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_SHORT = 90


def key(name: str) -> str:
    """A bare key where that is possible, else a quoted one."""
    bare = name and all(c.isascii() and (c.isalnum() or c in "-_") for c in name)
    return name if bare else text(name)


def text(value: str) -> str:
    """A basic string. JSON's escapes are TOML's but for DEL, which JSON leaves as it is."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def value(item: object) -> str:
    """A value in one line (a long array in several). None cannot be written. Raises TypeError."""
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, str):
        return text(item)
    if isinstance(item, int | float):
        return repr(item)
    if isinstance(item, Mapping):
        return "{ " + ", ".join(f"{key(name)} = {value(part)}" for name, part in item.items()) + " }" if item else "{}"
    if isinstance(item, list | tuple):
        line = "[" + ", ".join(map(value, item)) + "]"
        return line if len(line) < _SHORT else "[\n" + "".join(f"    {value(part)},\n" for part in item) + "]"
    raise TypeError(f"TOML has no {type(item).__name__}")


def lines(values: Mapping[str, Any], notes: Mapping[str, str] | None = None) -> list[str]:
    """Values by dotted path as the lines of a TOML document; a note follows its value as a comment."""
    tables: dict[str, list[str]] = {}
    for path, item in values.items():
        table, _, name = path.rpartition(".")
        note = (notes or {}).get(path, "")
        line = f"{key(name)} = {value(item)}"
        tables.setdefault(table, []).append(f"{line}  # {note}" if note else line)
    written = tables.pop("", [])
    for table, pairs in tables.items():
        written += ([""] if written else []) + [f"[{'.'.join(map(key, table.split('.')))}]", *pairs]
    return written
