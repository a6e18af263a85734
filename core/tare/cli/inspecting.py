"""inspect, for whatever there is: JSON as it came, or through a Go template."""

from __future__ import annotations

from tare.cli import render
from tare.cli.flags import Flag
from tare.errors import NotFound, TareError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

FORMAT = Flag("format", "f", "string", "Go template, or 'json'")
BAD_TEMPLATE = 64


def inspect(refs: list[str], find: Callable[[str], Any], format: str) -> int:
    """Show every name that is found; the others are errors at the end and make the exit code 1."""
    found = []
    failures: list[TareError] = []
    for ref in refs:
        try:
            found.append(find(ref))
        except TareError as error:
            failures.append(error)
    code = _templated(found, format) if format else _indented(found)
    for error in failures:
        render.failure(error)
    return code or (1 if failures else 0)


def first_of(finders: tuple[Callable[[str], Any], ...], ref: str) -> Any:
    """What the first finder finds that knows the name. Raises NotFound."""
    for find in finders:
        try:
            return find(ref)
        except NotFound:
            continue
    raise NotFound(f"No such object: {ref}", subject=ref)


def _indented(found: list[Any]) -> int:
    from tare.client import quickjson

    render.line(quickjson.indented(found))
    return 0


def _templated(found: list[Any], format: str) -> int:
    from tare.client import quickjson

    if format == "json":
        for value in found:
            render.line(quickjson.dumps(value))
        return 0
    from tare.present import template

    for value in found:
        try:
            text = template.render(format, value)
        except TareError as error:
            render.failure(error)
            return BAD_TEMPLATE
        render.line(text)
    return 0
