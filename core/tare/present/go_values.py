"""Go's view of JSON values: the types that templates and fmt's verbs distinguish, and how %v prints them.

str, int, float, bool, list, dict (a map) and None (no value) are what they look like; ``Struct`` is a dict whose members
have Go's names, types and order; ``Time`` a string that prints as time.Time; ``NIL`` a nil pointer; a callable is a method.
"""

from __future__ import annotations

from _json import encode_basestring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


class Nil:
    """A nil pointer: prints as ``<nil>``, where a missing value prints as ``<no value>``."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False


NIL = Nil()


class NilList(list):  # type: ignore[type-arg]
    """A nil slice: empty, but ``null`` in JSON."""

    __slots__ = ()


class NilMap(dict):  # type: ignore[type-arg]
    """A nil map."""

    __slots__ = ()


class Strings(dict):  # type: ignore[type-arg]
    """map[string]string: what it lacks is the empty string."""

    __slots__ = ()


class Map(dict):  # type: ignore[type-arg]
    """A map of something else: ``zero`` is what ``index`` finds of a key that it lacks, ``key`` the keys' type where a plain
    string is none."""

    __slots__ = ("key", "zero")

    def __init__(self, items: dict[str, Any], zero: Any, key: str) -> None:
        super().__init__(items)
        self.zero = zero
        self.key = key


class Number(str):
    """json.Number: what docker's client has of a number where it looks a name up among the JSON keys. A string to templates."""

    __slots__ = ()


class Anything(list):  # type: ignore[type-arg]
    """[]interface {}: a list from the JSON itself, whatever is in it."""

    __slots__ = ()


class Time(str):
    """An RFC 3339 time."""

    __slots__ = ()

    def go(self) -> str:
        """``2026-11-20 19:05:27.680845909 +0000 UTC``."""
        date, _, rest = self.partition("T")
        if not rest:
            return "0001-01-01 00:00:00 +0000 UTC"
        if rest.endswith("Z"):
            clock, zone = rest[:-1], "+0000 UTC"
        else:
            clock, zone = rest[:-6], rest[-6:].replace(":", "")
            zone = f"{zone} {zone}" if zone != "+0000" else "+0000 +0000"
        if "." in clock:
            clock = clock.rstrip("0").rstrip(".")
        return f"{date} {clock} {zone}"


class Struct:
    """``members``: Go's name of each field to (its key in ``raw``, a function that makes the Go value of what is there).

    Embedded structs are not told apart here: see ``printed``, the order and nesting in which %v shows the fields.
    """

    __slots__ = ("members", "name", "pointer", "printed", "raw")

    def __init__(
        self,
        name: str,
        raw: dict[str, Any],
        members: dict[str, tuple[str, Callable[[Any], Any]]],
        printed: tuple[Any, ...] = (),
    ) -> None:
        self.name = name
        self.pointer = False
        self.raw = raw
        self.members = members
        self.printed = printed or tuple(members)

    def __contains__(self, field: str) -> bool:
        return field in self.members

    def __getitem__(self, field: str) -> Any:
        key, make = self.members[field]
        return make(self.raw.get(key))

    def escaped(self, text: str) -> str:
        """Its JSON as it is to be written."""
        return text

    def json_items(self) -> Iterator[tuple[str, Any]]:
        """The keys that came, in the structure's order and typed, then those it does not know."""
        left = dict(self.raw)
        for key, make in self.members.values():
            if key in left:
                value = left.pop(key)
                yield key, (None if value is None else make(value))
        yield from left.items()


def type_name(value: Any) -> str:
    """As Go's %T would say it of a value decoded from JSON."""
    names: tuple[tuple[Any, str], ...] = (
        (bool, "bool"),
        (int, "int"),
        (float, "float64"),
        (Time, "time.Time"),
        (Number, "json.Number"),
        (str, "string"),
        ((Strings, NilMap), "map[string]string"),
        (dict, "map[string]interface {}"),
    )
    for kind, name in names:
        if isinstance(value, kind):
            return name
    if isinstance(value, list):
        strings = value and not isinstance(value, Anything) and all(isinstance(item, str) for item in value)
        return "[]string" if strings else "[]interface {}"
    if isinstance(value, Struct):
        return value.name
    return "<nil>" if value is None else "func"


def truth(value: Any) -> bool:
    """text/template's "non-empty"; a struct always is."""
    return True if isinstance(value, Struct) or callable(value) else bool(value)


def show(value: Any, plus: bool = False) -> str:
    """%v, or %+v, which names a struct's fields."""
    if isinstance(value, Time):
        return value.go()
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or value is NIL:
        return "<nil>"
    if isinstance(value, float):
        return decimal(value)
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{show(value[key], plus)}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(show(item, plus) for item in value)}]"
    if isinstance(value, Struct):
        return _fields(value, value.printed, plus)
    return str(value)


def _fields(value: Struct, printed: tuple[Any, ...], plus: bool) -> str:
    out = []
    for field in printed:
        if isinstance(field, tuple):
            name, inner = field
            text = _fields(value, inner, plus)
        else:
            name, text = field, show(value[field], plus)
        out.append(f"{name}:{text}" if plus else text)
    return "{" + " ".join(out) + "}"


def decimal(value: float) -> str:
    """The shortest form of a float, as %v has it: with an exponent below 1e-4 and from 1e6 on."""
    if value != value or value in (float("inf"), float("-inf")):
        return {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}[str(value)]
    if value == 0 or 1e-4 <= abs(value) < 1e6:
        return repr(value).removesuffix(".0")
    return f"{value:.{_digits(value) - 1}e}"


def _digits(value: float) -> int:
    """How many significant digits the shortest form has."""
    mantissa = repr(abs(value)).partition("e")[0].removesuffix(".0").replace(".", "").lstrip("0")
    return len(mantissa.rstrip("0")) or 1


def _json_decimal(value: float) -> str:
    """JSON's form: an exponent, without leading zeros, below 1e-6 and from 1e21 on."""
    if value and not 1e-6 <= abs(value) < 1e21:
        return decimal(value).replace("e-0", "e-").replace("e+0", "e+")
    text = repr(value)
    if "e" in text:
        text = f"{value:.{_digits(value) + 5}f}".rstrip("0") if abs(value) < 1 else f"{value:.0f}"
    return text.removesuffix(".0").removesuffix(".")


def json(value: Any) -> str:
    """Compact JSON as Go's encoder writes it without HTML escaping: a map's keys are sorted, a structure's as it has them."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, str):
        return encode_basestring(value).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, (Nil, NilList, NilMap)):
        return "null"
    if isinstance(value, (int, float)):
        return _json_decimal(value) if isinstance(value, float) else str(value)
    if isinstance(value, list):
        return f"[{','.join(json(item) for item in value)}]"
    items = value.json_items() if isinstance(value, Struct) else sorted(value.items())
    text = "{" + ",".join(f"{json(key)}:{json(item)}" for key, item in items) + "}"
    return value.escaped(text) if isinstance(value, Struct) else text
