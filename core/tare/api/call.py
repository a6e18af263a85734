"""One request as a route sees it: path, query, body, and the engine that is asked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import parse_qs

from tare.api.answer import Hijacked
from tare.api.failures import Refused
from tare.api.versions import Version, text
from tare.errors import Invalid
from tare.model.text import has_halves, writable

if TYPE_CHECKING:
    from tare.api.connection import Connection
    from tare.engine.engine import Engine

JSON_LIMIT = 4 << 20
"""Bytes of a JSON body. Docker's largest (a create with every seccomp profile inlined) are a few hundred kilobytes, and
execve(2) takes no more arguments and environment; while it is read nobody else is served."""

JSON_DEPTH = 100
"""Levels of arrays and objects in a request; Docker's deepest need nine."""

_NUMBER = re.compile(r"[+-]?[0-9]+")


class Call:
    """``parameters`` are what the path names; ``version`` is the API version that the client speaks."""

    __slots__ = ("connection", "engine", "headers", "method", "parameters", "path", "query", "version")

    def __init__(self, engine: Engine, connection: Connection, method: str, path: str, query: str, version: Version) -> None:
        self.engine = engine
        self.connection = connection
        self.method = method
        self.path = path
        self.query: dict[str, list[str]] = _query(query) if query else {}
        self.version = version
        self.headers: Mapping[str, str] = {}
        self.parameters: dict[str, str] = {}

    @property
    def ref(self) -> str:
        """The name or id that the path speaks of, as the user typed it."""
        return self.parameters["ref"]

    # The query ----------------------------------------------------------------------------------------------------

    def text(self, name: str, default: str = "") -> str:
        values = self.query.get(name)
        return values[0] if values else default

    def every(self, name: str) -> list[str]:
        return self.query.get(name, [])

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean in dockerd's reading: empty, 0, no, false and none are false, everything else is true."""
        values = self.query.get(name)
        return values[0].strip().lower() not in ("", "0", "no", "false", "none") if values else default

    def number(self, name: str, default: int | None = None) -> int | None:
        """An integer; ``default`` when it is missing or empty. Raises Invalid."""
        value = self.text(name)
        if not value:
            return default
        if not _NUMBER.fullmatch(value):
            raise Invalid(f"{name}: {value!r} is not a whole number", subject=name)
        if len(value) > 20 or not -(1 << 63) <= int(value) < 1 << 63:
            raise Invalid(f"{name}: {value[:40]} does not fit into 64 bits", subject=name)
        return int(value)

    def filters(self, allowed: frozenset[str]) -> dict[str, list[str]]:
        """``filters={"status":["running"]}``, also in the old form ``{"status":{"running":true}}``. Raises Invalid."""
        raw = self.text("filters")
        if not raw:
            return {}
        try:
            value = _decoded(raw)
        except ValueError as error:
            raise Invalid(f"invalid filters: {str(error).lower()}", subject="filters") from None
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise Invalid("invalid filters: not an object", subject="filters")
        out: dict[str, list[str]] = {}
        for name, given in value.items():
            if name not in allowed:
                raise Invalid(f"invalid filter '{name}'", subject=name, hint=f"known here are {', '.join(sorted(allowed))}")
            values = list(given) if isinstance(given, dict) else given
            if not isinstance(values, list) or not all(isinstance(entry, str) for entry in values):
                raise Invalid(f"invalid filter '{name}': its values are not a list of strings", subject=name)
            out[name] = values
        return out

    @property
    def wants_text(self) -> bool:
        """The client asked for a rendered table rather than JSON."""
        return self.headers.get("accept", "").split(",")[0].split(";")[0].strip() == "text/plain"

    # The body -----------------------------------------------------------------------------------------------------

    async def json(self) -> dict[str, Any]:
        """The body as a JSON object; an empty body is an empty object. Raises Invalid, Refused."""
        raw = await self.connection.body(JSON_LIMIT)
        if not raw.strip():
            return {}
        # A web page can make a browser send any other kind, or none, to whatever listens, without asking.
        kind = self.headers.get("content-type", "")
        if kind.partition(";")[0].strip().lower() != "application/json":
            raise Invalid(f"unsupported Content-Type header ({kind[:100]}): must be 'application/json'", subject="Content-Type")
        try:
            value = _decoded(raw.decode())
        except ValueError as error:
            raise Invalid(f"invalid JSON: {str(error).lower()}") from None
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise Invalid("invalid JSON: the body is not an object")
        return writable(value) if has_halves(raw) else value

    async def spool(self) -> BinaryIO:
        """The body as a seekable file without a name, at its start. The caller closes it. Raises OSError."""
        return await self.connection.spool()

    # The connection -----------------------------------------------------------------------------------------------

    async def hijack(self, *, multiplexed: bool) -> bytes:
        """Send the head that turns this connection into a raw stream; returns what the client has sent beyond its request.

        ``101 UPGRADED`` for a client that asked to upgrade, else the old ``200``. From here on ``connection.sock`` is the
        stream and nothing else is sent on it by the connection.
        """
        kind = "application/vnd.docker.raw-stream"
        upgrade = "tcp" in self.headers.get("upgrade", "").lower()
        if upgrade:
            if multiplexed and self.version >= (1, 42):
                kind = "application/vnd.docker.multiplexed-stream"
            head = f"HTTP/1.1 101 UPGRADED\r\nContent-Type: {kind}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        else:
            head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n"
        head += f"Api-Version: {text(self.version)}\r\n\r\n"
        return await self.connection.hijack(head.encode())


def _decoded(text: str) -> Any:
    """A JSON text's value. Raises ValueError, also for what only Python calls JSON (NaN) and for what is nested too deeply."""
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise ValueError(f"nested more than {JSON_DEPTH} levels deep") from None
    if text.count("[") + text.count("{") > JSON_DEPTH and _deep(value):
        raise ValueError(f"nested more than {JSON_DEPTH} levels deep")
    return value


def _deep(value: Any) -> bool:
    level = [value]
    for _ in range(JSON_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, list | dict)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return any(isinstance(inner, list | dict) for inner in level)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no value")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)

HIJACKED = Hijacked()


def _query(query: str) -> dict[str, list[str]]:
    try:
        return parse_qs(query, keep_blank_values=True, max_num_fields=1000)
    except ValueError:
        raise Refused(400, "too many query parameters") from None
