"""Which function answers which path."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tare.api.answer import Answer, Hijacked, Stream

if TYPE_CHECKING:
    from tare.api.call import Call

Handler = Callable[["Call"], Awaitable[Answer | Stream | Hijacked]]


@dataclass(frozen=True, slots=True)
class Route:
    """``watched``: nothing is lost when the handler is cancelled, so that happens as soon as the client goes away."""

    method: str
    path: str
    handler: Handler
    watched: bool = False


class Router:
    """A table of routes. ``{ref}`` in a path stands for one segment, ``{name...}`` for one or more."""

    def __init__(self, routes: list[Route]) -> None:
        self._plain: dict[tuple[str, str], Route] = {}
        self._patterns: dict[tuple[str, str], list[tuple[re.Pattern[str], Route]]] = {}
        for route in routes:
            if "{" not in route.path:
                self._plain[route.method, route.path] = route
                continue
            noun = route.path.split("/", 2)[1]
            self._patterns.setdefault((route.method, noun), []).append((_pattern(route.path), route))

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The route and what stands for its names, or None. HEAD is answered by GET where it has no route of its own."""
        route = self._plain.get((method, path))
        if route:
            return route, {}
        noun = path.split("/", 2)[1] if path.startswith("/") else ""
        for pattern, candidate in self._patterns.get((method, noun), ()):
            match = pattern.fullmatch(path)
            if match:
                return candidate, match.groupdict()
        return self.find("GET", path) if method == "HEAD" else None


def _pattern(path: str) -> re.Pattern[str]:
    pieces = re.split(r"\{(\w+)(\.\.\.)?\}", path)
    out = ""
    for literal, name, rest in zip(pieces[0::3], [*pieces[1::3], None], [*pieces[2::3], None], strict=True):
        out += re.escape(literal)
        if name:
            out += f"(?P<{name}>{'.+' if rest else '[^/]+'})"
    return re.compile(out, re.DOTALL)
