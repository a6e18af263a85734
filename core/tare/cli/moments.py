"""``--since`` and ``--until``: moments as people write them, as the API wants them."""

from __future__ import annotations

from tare.cli.values import Misspelled, duration
from tare.errors import Invalid

FORMS = (
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y-%m-%dT%H:%M%z",
    "%Y-%m-%d%z",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%dT%H",
    "%Y-%m-%d",
)


def moment(text: str) -> str:
    """Seconds since the epoch with nine decimals. Takes Go durations (that long ago), seconds since the epoch, and dates
    of RFC 3339, shortened too, in local time where no zone is given. Raises Invalid."""
    if not text or text.lstrip("-").replace(".", "", 1).isdecimal():
        return text
    import time

    try:
        then = time.time_ns() - duration(text)
        return f"{then // 10**9}.{then % 10**9:09d}"
    except Misspelled:
        return _date(text)


def _date(text: str) -> str:
    from datetime import datetime

    whole, fraction = _without_fraction(text)
    for form in FORMS:
        try:
            found = datetime.strptime(whole, form)
        except ValueError:
            continue
        return f"{int(found.timestamp())}.{fraction:0<9.9}"
    raise Invalid(f"cannot read the time {text!r}", subject=text, hint="use 2026-01-31T13:00:00Z, 42m or seconds since 1970")


def _without_fraction(text: str) -> tuple[str, str]:
    """``13:00:00.25Z`` as (``13:00:00Z``, ``25``)."""
    before, dot, after = text.partition(".")
    digits = after[: len(after) - len(after.lstrip("0123456789"))]
    return (before + after[len(digits) :], digits) if dot and digits else (text, "0")
