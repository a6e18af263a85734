"""What flags' values look like: booleans, sizes, durations, decimals, lists."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))
NANOSECONDS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


class Misspelled(ValueError):
    """A value that cannot be read; the text says why, in the words of Docker's client."""


def boolean(text: str) -> bool:
    if text in TRUE:
        return True
    if text in FALSE:
        return False
    raise Misspelled(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def integer(text: str) -> int:
    """Decimal, 0x, 0o and 0b, with a sign."""
    try:
        return int(text, 10 if text.lstrip("+-").isdecimal() and not text.lstrip("+-").startswith("0") else 0)
    except ValueError:
        raise Misspelled(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def uint16(text: str) -> int:
    number = integer(text)
    if not 0 <= number < 65536:
        raise Misspelled(f'strconv.ParseUint: parsing "{text}": value out of range')
    return number


def size(text: str) -> int:
    """Bytes: a number with an optional unit of b, k, m, g, t, p (powers of 1024, as kb and kib too). -1 is unlimited."""
    if text == "-1":
        return -1
    digits = text.rstrip("bBkKmMgGtTpPiI").rstrip(" ")
    unit = text[len(digits) :].strip().lower()
    power = "bkmgtp".find(unit[:1] or "b")
    if unit[1:] not in ("", "b", "ib") or unit in ("bb", "bib") or power < 0:
        raise Misspelled(f"invalid size: '{text}'")
    try:
        return int(_decimal(digits, 1024**power))
    except Misspelled:
        raise Misspelled(f"invalid size: '{text}'") from None


def nano_cpus(text: str) -> int:
    """A number of CPUs in billionths."""
    try:
        return _decimal(text, 10**9, exact=True)
    except Misspelled:
        raise Misspelled(f"failed to parse {text} as a rational number") from None


def duration(text: str) -> int:
    """Go's durations (``1h30m``, ``1.5s``) in nanoseconds."""
    wrong = Misspelled(f'time: invalid duration "{text}"')
    rest = text.lstrip("+-")
    if rest == "0":
        return 0
    total = 0
    while rest:
        digits = rest[: len(rest) - len(rest.lstrip("0123456789."))]
        rest = rest[len(digits) :]
        unit = rest[: len(rest) - len(rest.lstrip("nuµμmsh"))]
        if unit not in NANOSECONDS or not digits:
            raise wrong
        rest = rest[len(unit) :]
        try:
            total += _decimal(digits, NANOSECONDS[unit])
        except Misspelled:
            raise wrong from None
    if not text.lstrip("+-"):
        raise wrong
    return -total if text.startswith("-") else total


def _decimal(text: str, factor: int, exact: bool = False) -> int:
    """``text`` times ``factor`` without the roundings of floating point."""
    whole, _, fraction = text.partition(".")
    if not (whole + fraction).isdecimal() or not (whole + fraction).isascii():
        raise Misspelled(text)
    product = int(whole + fraction) * factor
    scale: int = 10 ** len(fraction)
    if exact and product % scale:
        raise Misspelled(text)
    return product // scale


def _plain(text: str) -> str:
    return text


def _filter(text: str) -> str:
    name, equals, value = text.partition("=")
    if not equals:
        raise Misspelled("bad format of filter (expected name=value)")
    return f"{name.strip().lower()}={value.strip()}"


def _split(text: str) -> list[str]:
    return text.split(",") if text else []


KINDS: dict[str, Callable[[str], Any]] = {
    "bool": boolean,
    "int": integer,
    "uint16": uint16,
    "bytes": size,
    "decimal": nano_cpus,
    "duration": duration,
    "strings": _split,
    "filter": _filter,
}
for _kind in ("string", "list", "map", "mount", "network", "ulimit", "gpu-request"):
    KINDS[_kind] = _plain

REPEATED = frozenset(("list", "map", "mount", "network", "ulimit", "filter", "gpu-request", "strings"))
