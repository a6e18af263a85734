"""Which events a listener wants, by the filters of Docker's ``events`` (Docker Engine API, GET /events).

Filters of different names must all match; of several values of one name, one must, but labels all. A name or id matches
by its beginning, an image also without its tag.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches

from tare.errors import Invalid
from tare.model.event import Event

Filters = Mapping[str, Sequence[str]]
Test = Callable[[Event], bool]

# Objects that tare does not have: a filter for one is legal and never matches.
_ABSENT = ("config", "node", "secret", "service", "volume")
_ACTORS = ("container", "network", "daemon", "plugin", *_ABSENT)
KNOWN = frozenset(("type", "event", "image", "label", "scope", *_ACTORS))

# Their actions carry more behind a colon: "exec_create: ls -l".
_OPEN_ENDED = ("exec_create", "exec_start", "health_status")


def compile_filters(filters: Filters) -> Test:
    """A test for events. Raises Invalid for a filter that does not exist."""
    tests: list[Test] = []
    for name, wanted in filters.items():
        if name not in KNOWN:
            close = get_close_matches(name, sorted(KNOWN), 1)
            raise Invalid(f"invalid filter '{name}'" + (f"; did you mean {close[0]}" if close else ""), subject=name)
        if wanted:
            tests.append(_test(name, tuple(wanted)))
    return lambda event: all(test(event) for test in tests)


def _test(name: str, wanted: tuple[str, ...]) -> Test:
    match name:
        case "type":
            return lambda event: event.type in wanted
        case "event":
            return lambda event: _action(event.action, wanted)
        case "scope":
            return lambda event: "local" in wanted
        case "label":
            return lambda event: all(_labelled(event.attributes, label) for label in wanted)
        case "image":
            return lambda event: _image(event, wanted)
    return lambda event: event.type == name and _named(event, wanted)


def _action(action: str, wanted: tuple[str, ...]) -> bool:
    if action in wanted:
        return True
    return any(action.startswith(f"{open_ended}:") for open_ended in _OPEN_ENDED if open_ended in wanted)


def _labelled(attributes: Mapping[str, str], label: str) -> bool:
    name, equals, value = label.partition("=")
    return name in attributes and (not equals or attributes[name] == value)


def _named(event: Event, wanted: tuple[str, ...]) -> bool:
    name = event.attributes.get("name", "")
    return any(event.id.startswith(one) or name.startswith(one.removeprefix("/")) for one in wanted if one)


def _image(event: Event, wanted: tuple[str, ...]) -> bool:
    name = event.attributes.get("name" if event.type == "image" else "image", "")
    return any(one in wanted for one in (event.id, name, _without_tag(name)) if one)


def _without_tag(name: str) -> str:
    head, colon, tag = name.rpartition(":")
    return head if colon and "/" not in tag else name
