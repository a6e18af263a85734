"""Docker's filters on lists of containers and images."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tare.api.shapes import ports
from tare.api.shapes.containers import published
from tare.containers.container import Container
from tare.errors import Invalid, TareError
from tare.model.image import Image
from tare.model.times import instant, seconds_exactly
from tare.networks.predefined import name_of

if TYPE_CHECKING:
    from tare.engine.engine import Engine

Filters = Mapping[str, Sequence[str]]

CONTAINER_FILTERS = frozenset(
    (
        *("ancestor", "before", "exited", "expose", "health", "id", "is-task", "isolation", "label", "name", "network"),
        *("publish", "since", "status", "volume"),
    )
)
IMAGE_FILTERS = frozenset(("before", "dangling", "label", "label!", "reference", "since", "until"))
STATUSES = ("created", "restarting", "running", "removing", "paused", "exited", "dead")
REPEATS = 3
_NO_OPERATOR = re.compile(r"\\.|\[\^?\]?[^\]]*\]", re.DOTALL)
"""What is an escape or a class of characters: a star in it repeats nothing."""
_REPEAT = re.compile(r"[*+{]|(?<![(*+?}])\?")
_REPEATED_GROUP = re.compile(r"\)[*+{]")
_BACK_REFERENCE = re.compile(r"\\[1-9]|\(\?P[=>]|\(\?\(")

HEALTHS = ("starting", "healthy", "unhealthy", "none")


class Selection:
    """Filters of ``ps``, checked once. Values of one filter are alternatives (labels: all must match), filters add up."""

    def __init__(self, engine: Engine, filters: Filters) -> None:
        self._filters = filters
        self._engine = engine
        for status in filters.get("status", ()):
            if status not in STATUSES:
                raise Invalid(f"invalid filter 'status={status}'", subject=status, hint=f"one of {', '.join(STATUSES)}")
        for health in filters.get("health", ()):
            if health not in HEALTHS:
                raise Invalid(f"invalid filter 'health={health}'", subject=health, hint=f"one of {', '.join(HEALTHS)}")
        self._codes = {_code(text) for text in filters.get("exited", ())}
        self._tasks = [truth("is-task", text) for text in filters.get("is-task", ())]
        self._names = [_expression("name", text) for text in filters.get("name", ())]
        self._ids = [_expression("id", text) for text in filters.get("id", ())]
        self._exposed = set(ports.exposed(filters.get("expose", ())))
        self._published = set(ports.exposed(filters.get("publish", ())))  # ports of the host
        self._networks = self._network_names(filters.get("network", ()))
        self._ancestors = self._images(filters.get("ancestor", ()))
        before = [engine.container(ref).created for ref in filters.get("before", ())]
        since = [engine.container(ref).created for ref in filters.get("since", ())]
        self._before = min(map(seconds_exactly, before), default=None)
        self._since = max(map(seconds_exactly, since), default=None)

    @property
    def asks_for_stopped(self) -> bool:
        """Of the filters only this one looks beyond running containers without ``-a``, as in Docker."""
        return "status" in self._filters

    def apply(self, containers: list[Container]) -> list[Container]:
        return [container for container in containers if self._matches(container)] if self._filters else containers

    def _matches(self, container: Container) -> bool:
        filters = self._filters
        created = seconds_exactly(container.created)
        tests: dict[str, Callable[[], bool]] = {
            "status": lambda: container.state.status in filters["status"],
            "exited": lambda: container.state.status == "exited" and container.state.exit_code in self._codes,
            "name": lambda: any(name.search(container.name) or name.search(f"/{container.name}") for name in self._names),
            "id": lambda: any(id.match(container.id) for id in self._ids),
            "label": lambda: all(has_label(container.labels, text) for text in filters["label"]),
            "ancestor": lambda: container.image_id in self._ancestors,
            "before": lambda: self._before is not None and created < self._before,
            "since": lambda: self._since is not None and created > self._since,
            "network": lambda: bool(self._networks.intersection(_networks(container))),
            "expose": lambda: bool(self._exposed.intersection(container.config.exposed_ports)),
            "publish": lambda: bool(self._published.intersection(_published(container))),
            "volume": lambda: any(_mounts(container, text) for text in filters["volume"]),
            "health": lambda: "none" in filters["health"],
            "is-task": lambda: not all(self._tasks),
            "isolation": lambda: "default" in filters["isolation"],
        }
        return all(tests[name]() for name, texts in filters.items() if texts)

    def _network_names(self, refs: Sequence[str]) -> set[str]:
        names = set(refs)
        for ref in refs:
            names.update(network.name for network in self._engine.networks() if network.id.startswith(ref))
        return names

    def _images(self, refs: Sequence[str]) -> set[str]:
        ids = set()
        for ref in refs:
            try:
                ids.add(self._engine.image(ref).id)
            except TareError:
                continue
        return ids


def has_label(labels: Mapping[str, str], wanted: str) -> bool:
    """``NAME`` or ``NAME=VALUE``."""
    name, equals, value = wanted.partition("=")
    return name in labels and (not equals or labels[name] == value)


def images(every: list[Image], filters: Filters, engine: Engine) -> list[Image]:
    """Docker's filters of ``images``; with ``reference`` an image shows only the tags that match. Raises Invalid, NotFound."""
    chosen = every
    if filters.get("dangling"):
        wanted = {truth("dangling", text) for text in filters["dangling"]}
        chosen = [image for image in chosen if (not image.tags) in wanted]
    for text in filters.get("label", ()):
        chosen = [image for image in chosen if has_label(image.config.labels, text)]
    for text in filters.get("label!", ()):
        chosen = [image for image in chosen if not has_label(image.config.labels, text)]
    for name, sign in (("before", 1), ("since", -1)):
        for ref in filters.get(name, ()):
            edge = seconds_exactly(engine.image(ref).created)
            chosen = [image for image in chosen if sign * (edge - seconds_exactly(image.created)) > 0]
    for text in filters.get("until", ()):
        edge = instant(text, "until") / 1e9
        chosen = [image for image in chosen if seconds_exactly(image.created) < edge]
    if filters.get("reference"):
        patterns = [pattern(text) for text in filters["reference"]]
        shown = []
        for image in chosen:
            tags = tuple(tag for tag in image.tags if any(matches_reference(tag, wanted) for wanted in patterns))
            if tags:
                shown.append(replace(image, tags=tags))
        chosen = shown
    return chosen


def matches_reference(tag: str, wanted: re.Pattern[str]) -> bool:
    """Against the whole reference and against its name alone: ``busybox``, ``busy*``, ``*:latest``, ``registry/x:1``."""
    name, colon, version = tag.rpartition(":")
    if not colon or "/" in version:
        name = tag
    return bool(wanted.fullmatch(tag) or wanted.fullmatch(name))


_PIECE = re.compile(r"\*|\?|\\(.)|\[(\^?)((?:(?:\\.|[^\\\]-])(?:-(?:\\.|[^\\\]-]))?)+)\]|([^\\\[])", re.DOTALL)
_MEMBER = re.compile(r"\\(.)|[^-]", re.DOTALL)


def pattern(text: str) -> re.Pattern[str]:
    """A pattern of Go's path.Match: ``*`` and ``?`` stop at a slash, ``[a-z]``, ``[^a]``, and ``\\`` before what is meant as it
    stands. Raises Invalid."""
    chunks, at = [""], 0
    while at < len(text):
        piece = _PIECE.match(text, at)
        if piece is None:
            raise Invalid(f"syntax error in pattern: {text[:200]}", subject=text, hint="as in 'name*' or 'name:[0-9]'")
        escaped, negated, members, plain = piece.groups()
        if members:
            listed = _MEMBER.sub(lambda member: re.escape(member[1] or member[0]), members)
            chunks[-1] += f"[{negated}{'/' if negated else ''}{listed}]"
        elif escaped or plain:
            chunks[-1] += re.escape(escaped or plain)
        elif piece[0] == "?":
            chunks[-1] += "[^/]"
        else:
            chunks.append("")
        at = piece.end()
    first, *between = chunks
    # What stands between two stars is taken where it is found first, without looking back: no pattern takes long.
    stars = "".join(f"(?>[^/]*?{chunk})" for chunk in between[:-1])
    try:
        return re.compile(f"{first}{stars}[^/]*{between[-1]}" if between else first)
    except re.error:
        raise Invalid(f"syntax error in pattern: {text[:200]}", subject=text, hint="the range begins behind its end") from None


def truth(name: str, text: str) -> bool:
    if text.lower() in ("1", "t", "true"):
        return True
    if text.lower() in ("0", "f", "false"):
        return False
    raise Invalid(f"invalid filter '{name}={text}'", subject=text, hint="true or false")


def _code(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Invalid(f"invalid filter 'exited={text}'", subject=text, hint="a number") from None


def _expression(name: str, text: str) -> re.Pattern[str]:
    """Raises Invalid for what could take for ever: Python's re goes back and tries again, where Go's never does."""
    bare = _NO_OPERATOR.sub("x", text)
    repeats = len(_REPEAT.findall(bare))
    if repeats > REPEATS or _BACK_REFERENCE.search(text) or (_REPEATED_GROUP.search(bare) and (repeats > 1 or "|" in bare)):
        hint = f"at most {REPEATS} of * + ? {{}}, and nothing repeated inside what is repeated"
        raise Invalid(f"invalid filter '{name}={text[:100]}': the expression is too complex", subject=text[:100], hint=hint)
    try:
        return re.compile(text)
    except (re.error, RecursionError, OverflowError):
        return re.compile(re.escape(text))


def _networks(container: Container) -> list[str]:
    return list(container.connections) or [name_of(container.config.network)]


def _published(container: Container) -> set[str]:
    return {f"{binding.host_port}/{binding.protocol}" for binding in published(container)}


def _mounts(container: Container, text: str) -> bool:
    return any(text in (bound.source, bound.target) for bound in container.config.binds) or any(
        text == mount.target for mount in container.config.tmpfs if mount.spelled == "mount"
    )
