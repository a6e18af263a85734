"""Reading a JSON object member by member, so that a wrong type names its member and nothing is dropped in silence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tare.errors import Invalid


def harmless(value: object) -> bool:
    """A value that says nothing: null, "", 0, false, [] and {}, which Docker's clients send for everything they leave out."""
    return not value


class Members:
    """The members of one JSON object. Names match in any case, as Go's decoder has it. ``where`` prefixes errors.

    Each reader takes its member out; what ``rest`` finds at the end was meant by nobody.
    """

    def __init__(self, value: object, where: str = "") -> None:
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise Invalid(f"{where or 'body'}: expected an object, got {_kind(value)}", subject=where)
        self._where = where
        self._values: dict[str, tuple[str, Any]] = {name.lower(): (name, entry) for name, entry in value.items()}

    def path(self, name: str) -> str:
        return f"{self._where}.{name}" if self._where else name

    def take(self, name: str) -> Any:
        entry = self._values.pop(name.lower(), None)
        return entry[1] if entry else None

    def text(self, name: str) -> str:
        value = self.take(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self._wrong(name, "a string", value)
        if "\0" in value:
            raise Invalid(f"{self.path(name)}: contains a null byte", subject=name)
        return value

    def flag(self, name: str) -> bool:
        return bool(self.perhaps_flag(name))

    def perhaps_flag(self, name: str) -> bool | None:
        value = self.take(name)
        if value is not None and not isinstance(value, bool):
            raise self._wrong(name, "true or false", value)
        return value

    def number(self, name: str) -> int:
        return self.perhaps_number(name) or 0

    def perhaps_number(self, name: str) -> int | None:
        value = self.take(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise self._wrong(name, "a whole number", value)
        if value is not None and not -(1 << 63) <= value < 1 << 63:
            raise Invalid(f"{self.path(name)}: {value} does not fit into 64 bits", subject=name)
        return value

    def strings(self, name: str) -> tuple[str, ...]:
        return self.perhaps_strings(name) or ()

    def perhaps_strings(self, name: str) -> tuple[str, ...] | None:
        """A list of strings, or None when it is missing or null."""
        value = self.take(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            raise self._wrong(name, "a list of strings", value)
        if any("\0" in entry for entry in value):
            raise Invalid(f"{self.path(name)}: contains a null byte", subject=name)
        return tuple(value)

    def words(self, name: str) -> tuple[str, ...] | None:
        """A command: a list of strings or one string, which is one word."""
        entry = self._values.get(name.lower())
        if entry and isinstance(entry[1], str):
            return (self.text(name),)
        return self.perhaps_strings(name)

    def mapping(self, name: str) -> dict[str, str]:
        """An object of strings, in the order of its names, as Go writes maps."""
        value = self.take(name)
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(isinstance(entry, str) for entry in value.values()):
            raise self._wrong(name, "an object of strings", value)
        return dict(sorted(value.items()))

    def keys(self, name: str) -> tuple[str, ...]:
        """The names, sorted, of an object whose values mean nothing (``{"80/tcp": {}}``)."""
        value = self.take(name)
        if value is None:
            return ()
        if not isinstance(value, dict):
            raise self._wrong(name, "an object", value)
        return tuple(sorted(value))

    def inside(self, name: str) -> Members:
        return Members(self.take(name), self.path(name))

    def each(self, name: str) -> Iterator[Members]:
        value = self.take(name)
        if value is None:
            return
        if not isinstance(value, list):
            raise self._wrong(name, "a list", value)
        for index, entry in enumerate(value):
            yield Members(entry, f"{self.path(name)}[{index}]")

    def rest(self) -> Iterator[tuple[str, Any]]:
        """Members that nobody took and that say something."""
        for name, value in self._values.values():
            if not harmless(value):
                yield name, value

    def done(self) -> None:
        """Raises Invalid for a member that nobody knows."""
        for name, _value in self.rest():
            raise Invalid(f"unknown member {self.path(name)}", subject=name)

    def _wrong(self, name: str, wanted: str, value: object) -> Invalid:
        got = _kind(value)
        if (wanted, got) in _SAME_OUTSIDE:
            got += " with something else in it"
        return Invalid(f"{self.path(name)}: expected {wanted}, got {got}", subject=name)


_SAME_OUTSIDE = {("a list of strings", "a list"), ("an object of strings", "an object")}


def _kind(value: object) -> str:
    if value is None:
        return "null"
    for kind, name in ((bool, "a boolean"), (str, "a string"), (int, "a number"), (float, "a number"), (list, "a list")):
        if isinstance(value, kind):
            return name
    return "an object"
