"""Moments as Docker's lists write them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime, tzinfo


def _local(seconds: float, zone: tzinfo) -> datetime:
    from datetime import datetime

    return datetime.fromtimestamp(int(seconds), zone)


def _offset(moment: datetime) -> str:
    return moment.strftime("%z")[:5]


def go(seconds: float, zone: tzinfo) -> str:
    """As Go prints a time without a fraction: ``2026-11-20 19:07:13 +0000 UTC``. A zone without a name is its offset twice."""
    moment = _local(seconds, zone)
    name = moment.tzname() or ""
    if not name.isalpha():
        name = _offset(moment)
    return f"{moment:%Y-%m-%d %H:%M:%S} {_offset(moment)} {name}"


def rfc3339(seconds: float, zone: tzinfo, nanoseconds: int | None = None) -> str:
    """``2026-11-20T19:07:13Z``; with nine digits of fraction where ``nanoseconds`` are given."""
    moment = _local(seconds, zone)
    offset = _offset(moment)
    fraction = "" if nanoseconds is None else f".{nanoseconds:09d}"
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}{'Z' if offset == '+0000' else offset[:3] + ':' + offset[3:]}"
