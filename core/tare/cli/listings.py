"""Lists: asked of the daemon as text, rendered here where the daemon knows only JSON."""

from __future__ import annotations

import posix

from tare.cli import render
from tare.cli.flags import Flag
from tare.cli.surroundings import variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tare.cli.flags import Options
    from tare.client.client import Call, Query

    Word = tuple[str, str | int | bool | None]

FORMAT = Flag("format", "", "string", "Go template, 'table TEMPLATE' or 'json'")
FILTER = Flag("filter", "f", "filter", "Show only what matches (name=value)")
NO_TRUNC = Flag("no-trunc", "", "bool", "Do not shorten")
QUIET = Flag("quiet", "q", "bool", "Show IDs only")
ZONES = "/usr/share/zoneinfo/"


def query(options: Options, *more: Word, format: str = "") -> list[Word]:
    """The query of a list: what the user asked for, and the time zone to show times in."""
    return [
        *more,
        ("filters", filters(options.many("filter"))),
        ("format", options.text("format") or format),
        ("no-trunc", options.flag("no-trunc")),
        ("quiet", options.flag("quiet")),
        ("tz", time_zone()),
    ]


def filters(words: list[str]) -> str:
    """``name=value`` words as Docker's JSON, nothing for none."""
    if not words:
        return ""
    from tare.client import quickjson

    found: dict[str, dict[str, bool]] = {}
    for word in words:
        name, _, value = word.partition("=")
        found.setdefault(name, {})[value] = True
    return quickjson.dumps(found)


def time_zone() -> str:
    """Our time zone's name in the IANA database, or seconds east of UTC where it has none."""
    name = (variable("TZ") or "").removeprefix(":")
    if not name:
        try:
            name = posix.readlink("/etc/localtime")
        except OSError:
            return ""
    _before, mark, zone = name.rpartition("/zoneinfo/")
    if mark:
        return zone.removeprefix("posix/")
    if not name.startswith("/") and _exists(ZONES + name):
        return name
    import time

    return str(time.localtime().tm_gmtoff)


def _exists(path: str) -> bool:
    try:
        posix.stat(path)
    except OSError:
        return False
    return True


def show(call: Call, noun: str, asked: Query) -> int:
    """Print a list."""
    response = call.answer()
    if response.media == "text/plain":
        for chunk in response.chunks():
            render.raw(1, chunk)
        return 0
    from tare.client.client import parsed

    value = parsed(response.read())
    render.out(rendered(noun, value if isinstance(value, list) else [value], dict(asked)))
    return 0


def rendered(noun: str, rows: list[dict[str, Any]], asked: dict[str, Any]) -> str:
    import time
    from datetime import UTC, datetime

    from tare.present import listing

    return listing.render(
        noun,
        rows,
        format=asked.get("format") or None,
        no_trunc=bool(asked.get("no-trunc")),
        human=asked.get("human") != "0",
        quiet=bool(asked.get("quiet")),
        now=time.time(),
        tz=datetime.now().astimezone().tzinfo or UTC,
    )
