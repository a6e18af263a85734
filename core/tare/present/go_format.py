"""Go's fmt.Sprint and fmt.Sprintf (pkg.go.dev/fmt)."""

from __future__ import annotations

from tare.present.go_values import Struct, decimal, show, type_name
from tare.present.template_tokens import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_WIDEST = 1_000_000
"""Go takes no greater width or precision either."""


def operand(value: Any, plus: bool = False) -> str:
    """%v of an operand itself: a pointer to a structure is marked there, but not where it is part of something."""
    return ("&" if isinstance(value, Struct) and value.pointer else "") + show(value, plus)


def sprint(values: tuple[Any, ...], shown: Callable[[Any], str] = operand) -> str:
    """fmt.Sprint: a space between operands when neither is a string."""
    out = []
    for place, value in enumerate(values):
        if place and not isinstance(value, str) and not isinstance(values[place - 1], str):
            out.append(" ")
        out.append(shown(value))
    return "".join(out)


def sprint_inner(values: tuple[Any, ...]) -> str:
    """What html, js and urlquery are given: pointers are looked through, and nothing is the text ``<no value>``."""
    return sprint(tuple("<no value>" if value is None else value for value in values), show)


def sprintf(layout: str, values: tuple[Any, ...]) -> str:
    """fmt.Sprintf with its complaints (``%!d(string=x)``, ``%!s(MISSING)``, ``%!(EXTRA int=1)``) in place of errors."""
    out: list[str] = []
    place = used = 0
    while place < len(layout):
        start = layout.find("%", place)
        if start < 0:
            out.append(layout[place:])
            break
        out.append(layout[place:start])
        place = start + 1
        flags = ""
        while place < len(layout) and layout[place] in "+-# 0":
            flags += layout[place]
            place += 1
        width, place, used = _size(layout, place, values, used)
        precision = None
        if layout[place : place + 1] == ".":
            precision, place, used = _size(layout, place + 1, values, used)
            precision = precision or 0
        verb = layout[place : place + 1]
        place += 1
        if not verb:
            out.append("%!(NOVERB)")
        elif verb == "%":
            out.append("%")
        elif used >= len(values):
            out.append(f"%!{verb}(MISSING)")
        else:
            if width is not None and width < 0:
                flags, width = flags + "-", -width
            out.append(_verb(verb, flags, width or 0, precision, values[used]))
            used += 1
    if used < len(values):
        extra = ", ".join("<nil>" if value is None else f"{type_name(value)}={show(value)}" for value in values[used:])
        out.append(f"%!(EXTRA {extra})")
    return "".join(out)


def _size(layout: str, place: int, values: tuple[Any, ...], used: int) -> tuple[int | None, int, int]:
    if layout[place : place + 1] == "*":
        value = values[used] if used < len(values) else None
        return (value if isinstance(value, int) and abs(value) <= _WIDEST else None), place + 1, used + 1
    end = place
    while layout[end : end + 1].isdecimal():
        end += 1
    size = int(layout[place:end][:9]) if end > place else None
    return (size if size is None or size <= _WIDEST else None), end, used


def _verb(verb: str, flags: str, width: int, precision: int | None, value: Any) -> str:
    if verb == "T":
        text = type_name(value)
    elif verb == "v":
        text = operand(value, "+" in flags)
    elif isinstance(value, list):
        return f"[{' '.join(_verb(verb, flags, width, precision, item) for item in value)}]"
    elif isinstance(value, dict):
        items = (
            f"{_verb(verb, flags, width, precision, key)}:{_verb(verb, flags, width, precision, value[key])}"
            for key in sorted(value)
        )
        return f"map[{' '.join(items)}]"
    elif isinstance(value, bool):
        text = show(value) if verb == "t" else _wrong(verb, value)
    elif isinstance(value, str):
        text = _text(verb, flags, precision, show(value))
    elif isinstance(value, int):
        text = _integer(verb, flags, width, precision, value)
    elif isinstance(value, float):
        text = _decimal(verb, flags, precision, value)
    else:
        text = _wrong(verb, value)
    if "-" in flags:
        return text.ljust(width)
    if "0" in flags and verb not in "vTsq":
        sign = text[:1] if text[:1] in ("+", "-") else ""
        return sign + text[len(sign) :].rjust(width - len(sign), "0")
    return text.rjust(width)


def _wrong(verb: str, value: Any) -> str:
    return f"%!{verb}(<nil>)" if value is None else f"%!{verb}({type_name(value)}={show(value)})"


def _text(verb: str, flags: str, precision: int | None, value: str) -> str:
    if verb in ("x", "X"):
        text = value.encode().hex(" " if " " in flags else "") if " " in flags else value.encode().hex()
        return text.upper() if verb == "X" else text
    if verb not in ("s", "q"):
        return _wrong(verb, value)
    value = value[:precision] if precision is not None else value
    return value if verb == "s" else quoted(value)


def _integer(verb: str, flags: str, width: int, precision: int | None, value: int) -> str:
    if verb in ("e", "E", "f", "F", "g", "G", "s", "t", "p"):
        return _wrong(verb, value)
    if verb == "c":
        return chr(value)
    if verb == "q":
        return f"'{chr(value)}'"
    if verb == "U":
        return f"U+{value:04X}"
    bases = {"d": "d", "b": "b", "o": "o", "O": "o", "x": "x", "X": "X"}
    if verb not in bases:
        return _wrong(verb, value)
    digits = format(abs(value), bases[verb]).rjust(precision or 0, "0")
    prefix = {"x": "0x", "X": "0X", "o": "0", "b": "0b"}.get(verb, "") if "#" in flags else "0o" if verb == "O" else ""
    sign = "-" if value < 0 else "+" if "+" in flags else " " if " " in flags else ""
    return sign + prefix + digits


def _decimal(verb: str, flags: str, precision: int | None, value: float) -> str:
    if verb not in ("e", "E", "f", "F", "g", "G"):
        return _wrong(verb, value)
    exact = verb in "gG" and precision is None
    text = decimal(value) if exact else f"{value:.{6 if precision is None else precision}{verb}}"
    return "+" + text if "+" in flags and value >= 0 else text
