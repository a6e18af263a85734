"""inspect, for whatever there is: JSON as it came, or through a Go template."""

from __future__ import annotations

from tare.cli import render
from tare.cli.flags import Flag
from tare.errors import NotFound, TareError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Find = Callable[[str], tuple[str, Any]]
    """A name's kind (container, image, network or nothing) and its JSON; NotFound for a name it does not know."""

FORMAT = Flag("format", "f", "string", "Go template, or 'json'")
BAD_TEMPLATE = 64
"""What cannot even be read; one that does not fit the object is 1, both as in Docker."""


def inspect(refs: list[str], find: Find, format: str) -> int:
    """Show every name that is found; the others are errors at the end and make the exit code 1."""
    if format and format != "json" and not readable(format):
        return BAD_TEMPLATE
    found = []
    failures: list[TareError] = []
    for ref in refs:
        try:
            found.append(find(ref))
        except TareError as error:
            failures.append(error)
    code = _templated(found, format) if format else _indented(found)
    for failure in failures:
        render.failure(failure)
    return code or (1 if failures else 0)


def first_of(finders: dict[str, Callable[[str], Any]], ref: str) -> tuple[str, Any]:
    """What the first finder finds that knows the name. Raises NotFound."""
    for kind, find in finders.items():
        try:
            return kind, find(ref)
        except NotFound:
            continue
    raise NotFound(f"No such object: {ref}", subject=ref)


def readable(format: str) -> bool:
    """Whether a template can be read; if not, why has been told."""
    from tare.present import template

    try:
        template.Template(format)
    except TareError as error:
        render.failure(error)
        return False
    return True


def _indented(found: list[tuple[str, Any]]) -> int:
    from tare.client import quickjson

    render.line(quickjson.indented([value for _kind, value in found]))
    return 0


def _templated(found: list[tuple[str, Any]], format: str) -> int:
    from tare.client import quickjson

    if format == "json":
        render.line(quickjson.dumps([value for _kind, value in found]))
        return 0
    from tare.present import template

    for kind, value in found:
        try:
            text = template.render(format, value, kind if kind != "plugin" else "")
        except TareError as error:
            render.failure(error)
            return 1
        render.line(text)
    return 0
