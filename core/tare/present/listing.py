"""Lists of things for people and scripts: ``ps``, ``images``, ``network ls`` and their like, from Docker's API JSON."""

from __future__ import annotations

from tare.errors import Invalid
from tare.present import tables
from tare.present.go_values import Struct, json, show
from tare.present.template import Template
from tare.present.template_functions import HEADER_FUNCTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import tzinfo
    from typing import Any

    Field = Callable[[Mapping[str, Any], "View"], Any]


class View:
    """How the rows are wanted: times relative to ``now`` (seconds since the epoch) or in ``zone``, shortened or whole."""

    __slots__ = ("digests", "human", "no_trunc", "now", "size", "zone")

    def __init__(self, now: float, zone: tzinfo, no_trunc: bool, digests: bool, human: bool) -> None:
        self.now = now
        self.zone = zone
        self.no_trunc = no_trunc
        self.digests = digests
        self.human = human
        self.size = False


class Noun:
    """What there is to say of one kind of thing.

    ``fields``: placeholder to (heading, how to make its text of a row). ``table``, ``quiet`` and ``raw`` (whole, quiet)
    are templates. ``prepare`` orders or multiplies the rows. ``labels`` gives what ``{{.Label "name"}}`` looks in.
    ``quiet_first``: being quiet beats a format. ``go_name`` and ``complaint`` are how docker's errors name the row and begin.
    """

    def __init__(
        self,
        go_name: str,
        fields: Mapping[str, tuple[str, Field]],
        table: Callable[[list[dict[str, Any]], View], str],
        *,
        quiet: str = "{{.ID}}",
        raw: Callable[[list[dict[str, Any]], View], tuple[str, str]] | None = None,
        prepare: Callable[[list[dict[str, Any]], View], list[dict[str, Any]]] | None = None,
        labels: Callable[[Mapping[str, Any]], Mapping[str, str]] | None = None,
        complaint: str = "template parsing error",
        quiet_first: bool = False,
    ) -> None:
        self.go_name = go_name
        self.fields = fields
        self.table = table
        self.quiet = quiet
        self.raw = raw
        self.prepare = prepare
        self.labels = labels
        self.complaint = complaint
        self.quiet_first = quiet_first


class _Row(Struct):
    """A row whose members are worked out when they are asked for."""

    __slots__ = ("_noun", "_view")

    def __init__(self, noun: Noun, raw: dict[str, Any], view: View) -> None:
        super().__init__(f"*{noun.go_name}", raw, {}, tuple(noun.fields))
        self._noun = noun
        self._view = view

    def __contains__(self, field: str) -> bool:
        return field in self._noun.fields or (field == "Label" and self._noun.labels is not None)

    def __getitem__(self, field: str) -> Any:
        if field == "Label" and self._noun.labels is not None:
            labels = self._noun.labels(self.raw)
            return lambda name: labels.get(name, "")
        return self._noun.fields[field][1](self.raw, self._view)

    def escaped(self, text: str) -> str:
        """Safe within HTML, as Go's own encoder, which docker uses for rows, has it."""
        for letter in "<>&":
            text = text.replace(letter, f"\\u{ord(letter):04x}")
        return text

    def json_items(self) -> Iterator[tuple[str, Any]]:
        for field in sorted(self._noun.fields):
            yield field, self[field]


class _Heading(Struct):
    """The row of headings."""

    __slots__ = ("_noun",)

    def __init__(self, noun: Noun) -> None:
        super().__init__("formatter.SubHeaderContext", {}, {}, tuple(noun.fields))
        self._noun = noun

    def __contains__(self, field: str) -> bool:
        return field in self._noun.fields or field == "Label"

    def __getitem__(self, field: str) -> Any:
        if field == "Label":
            return lambda name: name.rpartition(".")[2].replace("-", " ").replace("_", " ")
        return self._noun.fields[field][0]


_templates: dict[str, Template] = {}


def _template(text: str) -> Template:
    if text not in _templates:
        if len(_templates) > 100:
            _templates.clear()
        _templates[text] = Template(text)
    return _templates[text]


def render(
    noun: str,
    rows: list[dict[str, Any]],
    *,
    format: str | None = None,
    no_trunc: bool = False,
    quiet: bool = False,
    now: float,
    tz: tzinfo,
    digests: bool = False,
    human: bool = True,
) -> str:
    """The list as text that ends in a newline (empty for no rows and no heading).

    ``noun``: containers, images, networks, history, plugins, events, top, port, diff, df (KeyError for others); ``rows``
    are the members of the API's answer. ``format`` is a Go template, ``table TEMPLATE``, ``table``, ``raw`` or ``json``;
    ``quiet`` is a table's, and ``ps``'s. ``now`` is in seconds since the epoch. ``digests`` and ``human`` are those of
    ``images`` and ``history``. Raises Invalid where a template cannot be read or names what is not there.
    """
    if noun in _PLAIN:
        return _PLAIN[noun](rows, format, View(now, tz, no_trunc, digests, human))
    known = _noun(noun)
    view = View(now, tz, no_trunc, digests, human)
    chosen = _format(known, rows, format, quiet, view)
    heading = chosen.startswith("table")
    text = chosen.removeprefix("table").strip(" ").replace("\\t", "\t").replace("\\n", "\n")
    template = _template(text)
    prepared = known.prepare(rows, view) if known.prepare else rows
    simple = template.fields()
    if simple and all(field in known.fields for _, field in simple[:-1]):
        makers = [(before, known.fields[field][1]) for before, field in simple[:-1]]
        end = simple[-1][0] + "\n"
        body = "".join("".join([before + show(make(row, view)) for before, make in makers]) + end for row in prepared)
    else:
        body = "".join(template.render(_Row(known, row, view), complaint=known.complaint) + "\n" for row in prepared)
    if not heading:
        return body
    first = template.render(_Heading(known), functions=HEADER_FUNCTIONS, complaint=known.complaint)
    return tables.align(f"{first}\n{body}")


def members(noun: str, rows: list[dict[str, Any]], view: View) -> list[Struct]:
    """The rows as values for a template that shows several kinds of things. KeyError for other nouns than ``render``'s."""
    known = _noun(noun)
    return [_Row(known, row, view) for row in (known.prepare(rows, view) if known.prepare else rows)]


def _format(noun: Noun, rows: list[dict[str, Any]], format: str | None, quiet: bool, view: View) -> str:
    if format == "raw" and noun.raw:
        return noun.raw(rows, view)[quiet]
    if quiet and noun.quiet_first:
        return noun.quiet
    if not format or format == "table":
        return noun.quiet if quiet else noun.table(rows, view)
    if view.digests and format.startswith("table") and "{{.Digest}}" not in format:
        format += "\t{{.Digest}}"
    return "{{json .}}" if format == "json" else format


def _noun(name: str) -> Noun:
    if name == "containers":
        from tare.present.containers import CONTAINERS

        return CONTAINERS
    if name in ("images", "history"):
        from tare.present.images import HISTORY, IMAGES

        return IMAGES if name == "images" else HISTORY
    if name == "networks":
        from tare.present.networks import NETWORKS

        return NETWORKS
    if name == "plugins":
        from tare.present.plugins import PLUGINS

        return PLUGINS
    if name == "diff":
        from tare.present.containers import CHANGES

        return CHANGES
    if name == "df":
        from tare.present.usage import USAGE

        return USAGE
    raise KeyError(name)


# what has no columns of its own ------------------------------------------------------------------------------------


def _events(rows: list[dict[str, Any]], format: str | None, view: View) -> str:
    from tare.present import events

    if format == "json":
        return "".join(json(events.typed(row)) + "\n" for row in rows)
    if format:
        template = _template(format)
        return "".join(template.render(events.typed(row)) + "\n" for row in rows)
    return "".join(events.line(row, view.zone) + "\n" for row in rows)


def _top(rows: list[dict[str, Any]], format: str | None, view: View) -> str:
    if format:
        raise Invalid("top has no format", subject=format)
    lines = ["\t".join(cells) for row in rows for cells in (row["Titles"], *(row["Processes"] or ()))]
    return tables.align("\n".join(lines) + "\n", least=20)


def _port(rows: list[dict[str, Any]], format: str | None, view: View) -> str:
    from tare.present import containers

    if format:
        raise Invalid("port has no format", subject=format)
    return "".join(f"{line}\n" for row in rows for line in containers.published(row))


_PLAIN: Mapping[str, Callable[[list[dict[str, Any]], str | None, View], str]] = {"events": _events, "top": _top, "port": _port}
