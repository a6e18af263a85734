"""One thing done to several names: all at once, each with its own outcome."""

from __future__ import annotations

from tare.cli import render
from tare.errors import TareError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tare.client.client import Call

AT_ONCE = 50


def each(
    refs: list[str],
    begin: Callable[[str], Call],
    show: Callable[[str, Any], None] | None = None,
    *,
    forgiven: tuple[type[TareError], ...] = (),
) -> int:
    """Begin for every name (up to AT_ONCE at a time), then print each name that succeeded, in order. Errors go to standard
    error and make the exit code 1, except the ``forgiven`` ones; the others are done all the same."""
    code = 0
    for first in range(0, len(refs), AT_ONCE):
        for ref, call in [(ref, begin(ref)) for ref in refs[first : first + AT_ONCE]]:
            try:
                value = call.value()
            except TareError as error:
                render.failure(error)
                code = code if isinstance(error, forgiven) else 1
            else:
                if show:
                    show(ref, value)
                else:
                    render.line(ref)
    return code
