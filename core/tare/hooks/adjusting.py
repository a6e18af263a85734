"""What a ``before`` hook may change, and how what it returns is taken over."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

# hook → (the value that it may change, the names that it may use; none: any that the value has, a mapping: any at all)
ADJUSTABLE: dict[str, tuple[str, frozenset[str]]] = {
    "tare_before_container_create": ("config", frozenset()),
    "tare_before_container_start": ("spec", frozenset()),
    "tare_before_network_attach": ("endpoint", frozenset(("address", "address6", "mac", "options"))),
}


def accept(hook: str, values: Mapping[str, Any], answer: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the changes that an answer asks for, the values with them made). Raises ValueError with what is wrong with it."""
    if hook not in ADJUSTABLE:
        raise ValueError("may change nothing and must return None")
    if not isinstance(answer, Mapping):
        raise ValueError(f"must return None or a dict, not {type(answer).__name__}")
    argument, allowed = ADJUSTABLE[hook]
    value = values[argument]
    if isinstance(value, Mapping):
        changes = dict(answer)
        return changes, {**values, argument: {**value, **changes}}
    fields = {field.name for field in dataclasses.fields(value)}
    wrong = [str(name) for name in answer if name not in (allowed or fields)]
    if wrong:
        raise ValueError(f"may not change {', '.join(sorted(wrong))} of {argument}")
    changes = {name: _fitting(name, getattr(value, name), new) for name, new in answer.items()}
    return changes, {**values, argument: dataclasses.replace(value, **changes)}


def _fitting(name: str, old: object, new: object) -> object:
    """A new value of the same sort as the old one. Where the old one is None there is nothing to compare with."""
    if isinstance(old, tuple) and isinstance(new, list):
        return tuple(new)
    kind: type = Mapping if isinstance(old, Mapping) else type(old)
    if old is None or (isinstance(new, kind) and isinstance(new, bool) == isinstance(old, bool)):
        return tuple(new) if isinstance(new, list) else new
    raise ValueError(f"must return {name} as {type(old).__name__}, not {type(new).__name__}")
