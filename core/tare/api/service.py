"""From a request's head to a route's answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from tare.api import failures, versions
from tare.api.answer import Answer, Hijacked, Stream
from tare.api.call import Call
from tare.api.connection import Connection, Gone
from tare.api.failures import Refused
from tare.api.http import Head, Malformed
from tare.api.router import Router

if TYPE_CHECKING:
    from tare.engine.engine import Engine


class Service:
    """The routes, the engine they ask, and what every answer carries.

    ``spool_directory`` takes the bodies that are too large for memory; it must exist. Clients older than ``oldest``
    are refused.
    """

    def __init__(
        self, engine: Engine, router: Router, spool_directory: Path, server: str, oldest: versions.Version = versions.OLDEST
    ) -> None:
        self.engine = engine
        self.spool_directory = spool_directory
        version = versions.text(versions.NEWEST)
        self.headers = f"Api-Version: {version}\r\nDocker-Experimental: false\r\nOstype: linux\r\nServer: {server}\r\n"
        self._router = router
        self._oldest = oldest

    async def answer(self, connection: Connection, request: Head) -> Answer | Stream | Hijacked:
        """Never raises but for what ends the connection: a client that is gone, malformed HTTP, cancellation."""
        method, target = request.method, request.target
        try:
            raw_path, _, query = _origin_form(target).partition("?")
            version, path = versions.split(unquote(raw_path, errors="replace"), self._oldest)
            found = self._router.find(method, path)
            if found is None:
                raise Refused(404, "page not found")
            route, parameters = found
            call = Call(self.engine, connection, method, path, query, version)
            call.headers = request.headers
            call.parameters = parameters
            if not route.watched:
                return await route.handler(call)
            with connection.watching():
                return await route.handler(call)
        except (ConnectionError, Gone, Malformed):
            raise
        except Exception as error:
            return failures.answer(failures.translate(error, f"{method} {target[:200]}"))


def _origin_form(target: str) -> str:
    """``http://host/path`` → ``/path``: a server must take both (RFC 9112, 3.2.2)."""
    if target.startswith("/") or not target.lower().startswith(("http://", "https://")):
        return target
    _, _, rest = target.partition("//")
    return "/" + rest.partition("/")[2]
