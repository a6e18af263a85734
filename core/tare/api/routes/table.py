"""All routes."""

from __future__ import annotations

from tare.api.router import Route, Router
from tare.api.routes import containers, images, networks, streams, system, tare


def router() -> Router:
    routes: list[Route] = []
    for noun in (system, containers, streams, images, networks, tare):
        routes.extend(noun.ROUTES)
    return Router(routes)
