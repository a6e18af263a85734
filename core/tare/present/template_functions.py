"""The functions of Go's templates and those that Docker adds."""

from __future__ import annotations

from tare.present.go_format import operand, sprint, sprint_inner, sprintf
from tare.present.go_values import Anything, Map, Number, Strings, Struct, json, show, truth, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


class Function:
    """``kinds`` of the arguments (``string``, ``int``, ``strings``, ``any``); ``rest`` is the kind of any further ones."""

    __slots__ = ("call", "kinds", "rest")

    def __init__(self, call: Callable[..., Any], *kinds: str, rest: str = "") -> None:
        self.call = call
        self.kinds = kinds
        self.rest = rest


LONGEST = 1 << 20
"""Characters that a function may give: templates are rendered inside the daemon too, and its memory is everybody's."""
TOO_LONG = f"the result is longer than {LONGEST} characters"


class Complaint(Exception):
    """What a function says of its arguments; becomes ``error calling NAME: …``."""


def _index(item: Any, *indexes: Any) -> Any:
    if item is None:
        raise Complaint("index of untyped nil")
    for index in indexes:
        if isinstance(item, dict):
            if index is None:
                raise Complaint("value is nil; should be of type string")
            if not isinstance(index, str):
                raise Complaint(f"value has type {type_name(index)}; should be string")
            if isinstance(item, Map) and item.key:
                raise Complaint(f"value has type string; should be {item.key}")
            zero = "" if isinstance(item, Strings) else item.zero if isinstance(item, Map) else None
            item = item.get(index, zero)
            continue
        if not isinstance(item, (list, str)):
            raise Complaint(f"can't index item of type {type_name(item)}")
        if isinstance(index, bool) or not isinstance(index, int):
            raise Complaint(f"cannot index slice/array with type {type_name(index)}")
        sequence = item.encode() if isinstance(item, str) else item
        if not 0 <= index < len(sequence):
            raise Complaint(f"index out of range: {index}")
        item = sequence[index]
    return item


def _slice(item: Any, *indexes: Any) -> Any:
    if not isinstance(item, (list, str)):
        raise Complaint("slice of untyped nil" if item is None else f"can't slice item of type {type_name(item)}")
    if len(indexes) > 3 or (isinstance(item, str) and len(indexes) > 2):
        raise Complaint(f"too many slice indexes: {len(indexes)}" if len(indexes) > 3 else "cannot 3-index slice a string")
    sequence = item.encode() if isinstance(item, str) else item
    bounds = [0, len(sequence)]
    for place, index in enumerate(indexes[:2]):
        if isinstance(index, bool) or not isinstance(index, int):
            raise Complaint(f"cannot index slice/array with type {type_name(index)}")
        if not 0 <= index <= len(sequence):
            raise Complaint(f"index out of range: {index}")
        bounds[place] = index
    if bounds[0] > bounds[1]:
        raise Complaint(f"invalid slice index: {bounds[0]} > {bounds[1]}")
    part = sequence[bounds[0] : bounds[1]]
    return part.decode(errors="replace") if isinstance(part, bytes) else part


def _len(item: Any) -> int:
    if isinstance(item, str):
        return len(item.encode())
    if isinstance(item, (list, dict)):
        return len(item)
    raise Complaint("len of nil pointer" if item is None else f"len of type {type_name(item)}")


def _kind(value: Any) -> str:
    for kind, name in ((bool, "bool"), (int, "int"), (float, "float"), (str, "string")):
        if isinstance(value, kind):
            return name
    if value is None:
        return "nil"
    raise Complaint(f"non-comparable type {show(value)}: {type_name(value)}")


def _comparable(left: Any, right: Any) -> bool:
    if _kind(left) == _kind(right):
        return True
    if "nil" in (_kind(left), _kind(right)):
        return False
    raise Complaint("incompatible types for comparison")


def _eq(first: Any, *others: Any) -> bool:
    if not others:
        raise Complaint("missing argument for comparison")
    return any(_comparable(first, other) and first == other for other in others)


def _less(left: Any, right: Any) -> bool:
    if _kind(left) in ("bool", "nil"):
        raise Complaint("invalid type for comparison")
    if _kind(left) != _kind(right):
        raise Complaint("incompatible types for comparison")
    return bool(left < right)


def _html(*values: Any) -> str:
    text = sprint_inner(values)
    for letter, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&#34;"), ("'", "&#39;"), ("\0", "\ufffd")):
        text = text.replace(letter, escaped)
    return text


def _js(*values: Any) -> str:
    plain = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D"}
    return "".join(
        plain.get(letter) or (f"\\u{ord(letter):04X}" if ord(letter) < 0x20 or not letter.isprintable() else letter)
        for letter in sprint_inner(values)
    )


def _urlquery(*values: Any) -> str:
    safe = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"
    return "".join(
        chr(byte) if chr(byte) in safe else "+" if byte == 0x20 else f"%{byte:02X}" for byte in sprint_inner(values).encode()
    )


def _title(text: str) -> str:
    """strings.Title: the first letter of every word raised, the others left."""
    previous, out = " ", []
    for letter in text:
        out.append(letter if previous.isalnum() or previous == "_" or previous == "'" else letter.title())
        previous = letter
    return "".join(out)


def _pad(text: str, before: int, after: int) -> str:
    if max(before, 0) + max(after, 0) > LONGEST:
        raise Complaint(TOO_LONG)
    return text and " " * before + text + " " * after


def _join(items: list[str], separator: str) -> str:
    if len(items) * len(separator) > LONGEST:
        raise Complaint(TOO_LONG)
    return separator.join(items)


def _truncate(text: str, length: int) -> str:
    data = text.encode()
    if len(data) < length:
        return text
    if length < 0:
        raise Complaint(f"slice bounds out of range [:{length}]")
    return data[:length].decode(errors="replace")


def _split(text: str, separator: str) -> list[str]:
    return text.split(separator) if separator else list(text)


def _call(function: Any, *values: Any) -> Any:
    if function is None:
        raise Complaint("call of nil")
    if not callable(function):
        raise Complaint(f"non-function {show(function)} of type {type_name(function)}")
    return function(*values)


FUNCTIONS: Mapping[str, Function] = {
    "and": Function(lambda *values: values[-1], "any", rest="any"),
    "or": Function(lambda *values: values[-1], "any", rest="any"),
    "not": Function(lambda value: not truth(value), "any"),
    "len": Function(_len, "any"),
    "index": Function(_index, "any", rest="any"),
    "slice": Function(_slice, "any", rest="any"),
    "print": Function(lambda *values: sprint(values), rest="any"),
    "println": Function(lambda *values: " ".join(operand(value) for value in values) + "\n", rest="any"),
    "printf": Function(lambda layout, *values: sprintf(layout, values), "string", rest="any"),
    "html": Function(_html, rest="any"),
    "js": Function(_js, rest="any"),
    "urlquery": Function(_urlquery, rest="any"),
    "call": Function(_call, "any", rest="any"),
    "eq": Function(_eq, "any", rest="any"),
    "ne": Function(lambda left, right: not _eq(left, right), "any", "any"),
    "lt": Function(_less, "any", "any"),
    "le": Function(lambda left, right: _less(left, right) or _eq(left, right), "any", "any"),
    "gt": Function(lambda left, right: not (_less(left, right) or _eq(left, right)), "any", "any"),
    "ge": Function(lambda left, right: not _less(left, right), "any", "any"),
    "json": Function(json, "any"),
    "split": Function(_split, "string", "string"),
    "join": Function(_join, "strings", "string"),
    "title": Function(_title, "string"),
    "lower": Function(lambda text: text.lower(), "string"),
    "upper": Function(lambda text: text.upper(), "string"),
    "pad": Function(_pad, "string", "int", "int"),
    "truncate": Function(_truncate, "string", "int"),
}

HEADER_FUNCTIONS: Mapping[str, Function] = {
    **FUNCTIONS,
    "json": Function(lambda text: text, "string"),
    "title": Function(lambda text: text, "string"),
    "lower": Function(lambda text: text, "string"),
    "upper": Function(lambda text: text, "string"),
    "truncate": Function(lambda text, length: text, "string", "int"),
}
"""For the heading of a table, which must come out as it is."""


def fits(kind: str, value: Any) -> str:
    """Empty where a value may be given for this kind of argument, else what Go says."""
    expected = {"string": "string", "int": "int", "strings": "[]string"}.get(kind)
    if (
        expected is None
        or (kind == "string" and isinstance(value, str) and not isinstance(value, Number))
        or (kind == "int" and isinstance(value, int) and not isinstance(value, bool))
        or (
            kind == "strings"
            and isinstance(value, list)
            and not isinstance(value, Anything)
            and all(isinstance(item, str) for item in value)
        )
    ):
        return ""
    if value is None:
        return f"invalid value; expected {expected}"
    got = value.name if isinstance(value, Struct) else type_name(value)
    return f"wrong type for value; expected {expected}; got {got}"
