"""``Accept: text/plain``: the same resource as the table that a terminal wants, so that the client need not know how."""

from __future__ import annotations

import time
from datetime import UTC, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from tare.api.answer import Answer, as_json, as_text
from tare.api.call import Call
from tare.errors import Invalid
from tare.present import listing


def listed(call: Call, noun: str, rows: list[dict[str, Any]]) -> Answer:
    """Rows of Docker's JSON as they are, or rendered when the client asked for text."""
    if not call.wants_text:
        return as_json(rows)
    return as_text(rendered(call, noun, rows))


def rendered(call: Call, noun: str, rows: list[dict[str, Any]]) -> str:
    """Query: ``format`` (a Go template, ``table …`` or ``json``), ``no-trunc``, ``quiet``, ``tz``, ``digests``, ``human``.

    Raises Invalid.
    """
    return listing.render(
        noun,
        rows,
        format=call.text("format") or None,
        no_trunc=call.flag("no-trunc"),
        quiet=call.flag("quiet"),
        now=time.time(),
        tz=zone(call.text("tz")),
        digests=call.flag("digests"),
        human=call.flag("human", True),
    )


def zone(text: str) -> tzinfo:
    """Seconds east of UTC or a name of the IANA database; UTC when it is missing. Raises Invalid."""
    if not text:
        return UTC
    try:
        return timezone(timedelta(seconds=int(text)))
    except ValueError:
        pass
    except OverflowError:
        raise Invalid(f"tz: {text!r} is no offset", subject="tz") from None
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise Invalid(f"tz: {text!r} is no time zone", subject="tz") from None
