"""Which log a container gets: driver and options of its own, or the daemon's."""

from __future__ import annotations

from collections.abc import Mapping

from tare.config import values
from tare.errors import Invalid, Unsupported

DRIVERS = ("local", "json-file", "none")


def choose(
    driver: str, options: Mapping[str, str], default: str, default_options: Mapping[str, str]
) -> tuple[str, dict[str, str]]:
    """The driver's name and its options (``max-size``, ``max-file`` as typed). The daemon's options hold for its own driver
    alone. Raises Unsupported, Invalid."""
    chosen = driver or default
    if chosen not in DRIVERS:
        raise Unsupported(
            f"log driver {chosen} is not supported yet", subject=chosen, hint=f"use one of {', '.join(DRIVERS)}"
        )
    merged = {**(default_options if chosen == default else {}), **options}
    try:
        checked = dict(values.log_options(merged))
    except values.NotYet as error:
        name = error.at[0] if error.at else ""
        raise Unsupported(f"log option {name} is not supported yet", subject=str(name), hint=error.hint) from None
    except values.Wrong as error:
        name = error.at[0] if error.at else ""
        raise Invalid(f"log option {name}: {error.message}", subject=str(name), hint=error.hint) from None
    if chosen == "none" and checked:
        raise Invalid("the log driver none takes no options", subject=next(iter(checked)))
    return chosen, checked


def rotation(options: Mapping[str, str]) -> tuple[int, int]:
    """Bytes after which the log is rotated (0: never) and how many files are kept."""
    return values.size(options.get("max-size", "0")), int(options.get("max-file", "1"))
