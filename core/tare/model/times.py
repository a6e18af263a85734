"""Times as Docker's API takes and gives them."""

from __future__ import annotations

import re
import time
from datetime import datetime

from tare.errors import Invalid

NEVER = "0001-01-01T00:00:00Z"
"""Go's zero time, which clients compare with."""

SECOND = 1_000_000_000

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d(?::\d\d)?)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)", re.ASCII)
_UNITS = {"ns": 1, "us": 1000, "µs": 1000, "ms": 10**6, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND}


def instant(text: str, name: str) -> int:
    """A point in time in ns since the epoch: Unix seconds (``1700000000.5``), RFC 3339, or a Go duration before now.

    ``""`` and ``"0"`` are 0. Raises Invalid, naming the query parameter ``name``.
    """
    if not text or text == "0":
        return 0
    seconds, _, fraction = text.partition(".")
    sign = -1 if seconds.startswith("-") else 1
    digits = seconds.lstrip("-")
    if _digits(digits) and len(digits) < 12 and (not fraction or _digits(fraction)):
        return sign * (int(digits) * SECOND + int(fraction[:9].ljust(9, "0")))
    match = _RFC3339.fullmatch(text)
    if match:
        day, clock, nanoseconds, zone = match.groups()
        try:
            moment = datetime.fromisoformat(f"{day}T{clock or '00:00'}{(zone or '').replace('Z', '+00:00')}")
            return int(moment.timestamp()) * SECOND + int((nanoseconds or "0")[:9].ljust(9, "0"))
        except (ValueError, OverflowError, OSError):
            pass
    pieces = _DURATION.findall(text)
    if pieces and "".join(number + unit for number, unit in pieces) == text and len(text) < 64:
        return time.time_ns() - sum(int(float(number) * _UNITS[unit]) for number, unit in pieces)
    hint = "use 2024-01-31T12:00:00Z, Unix seconds or a duration as 10m"
    raise Invalid(f"{name}: {text!r} is no time", subject=text, hint=hint)


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def seconds_of(stamp: str) -> int:
    """An RFC 3339 time in UTC with nanoseconds → whole seconds since the epoch; 0 for never."""
    return int(seconds_exactly(stamp))


def seconds_exactly(stamp: str) -> float:
    if not stamp or stamp == NEVER:
        return 0.0
    try:
        return instant(stamp, "time") / SECOND
    except Invalid:
        return 0.0


def with_nanoseconds(moment: int) -> str:
    """ns since the epoch → RFC 3339 with nine digits, as ``logs -t`` has it."""
    whole, rest = divmod(moment, SECOND)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{rest:09d}Z"
