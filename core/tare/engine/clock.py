"""Times as the API speaks them."""

from __future__ import annotations

import time

NEVER = "0001-01-01T00:00:00Z"


def now() -> str:
    """RFC 3339 in UTC with nanoseconds."""
    return stamp(time.time_ns())


def stamp(ns: int) -> str:
    """RFC 3339 in UTC of nanoseconds since the epoch, trailing zeros of the fraction dropped as Go does."""
    seconds, rest = divmod(ns, 1_000_000_000)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    fraction = f"{rest:09d}".rstrip("0")
    return f"{whole}.{fraction}Z" if fraction else f"{whole}Z"
