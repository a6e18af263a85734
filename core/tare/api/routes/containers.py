"""Containers: their list, their life and what they say."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable
from typing import Any

from tare.api import tables
from tare.api.answer import NOTHING, Answer, Stream, as_json, as_text, line
from tare.api.call import Call
from tare.api.router import Route
from tare.api.routes.filtering import CONTAINER_FILTERS, Selection
from tare.api.shapes import containers as shapes
from tare.api.shapes import platforms
from tare.api.shapes.create import container_config
from tare.containers.container import Container
from tare.engine.values import Exit, LogRecord
from tare.errors import Invalid, TareError, Unsupported
from tare.model.container import LogOptions
from tare.model.network import Network
from tare.model.times import instant, with_nanoseconds

PRUNE_FILTERS = frozenset(("label", "label!", "until"))
CONDITIONS = ("not-running", "next-exit", "removed")
MULTIPLEXED = (1, 42)


def networks(call: Call) -> dict[str, Network]:
    return {network.name: network for network in call.engine.networks()}


async def rows(call: Call, containers: list[Container], sizes: bool = False) -> list[dict[str, Any]]:
    """Rows of ``ps``."""
    engine = call.engine
    known = networks(call)
    now = time.time()
    ids: dict[str, str] = {}

    def current(name: str) -> str:
        if name not in ids:
            try:
                ids[name] = engine.image(name).id
            except TareError:
                ids[name] = ""
        return ids[name]

    out = []
    for container in containers:
        size = await engine.size(container) if sizes else None
        out.append(shapes.summary(container, known, shapes.shown_image(container, current), now, size))
    return out


async def with_sizes(call: Call, containers: list[Container]) -> list[dict[str, Any]]:
    return await rows(call, containers, sizes=True)


async def list_containers(call: Call) -> Answer:
    selection = Selection(call.engine, call.filters(CONTAINER_FILTERS))
    limit = call.number("limit", 0) or 0
    everything = call.flag("all") or limit > 0 or selection.asks_for_stopped
    chosen = [container for container in call.engine.containers() if everything or container.running]
    chosen = selection.apply(chosen)
    if limit > 0:
        chosen = chosen[:limit]
    return tables.listed(call, "containers", await rows(call, chosen, call.flag("size")))


async def create(call: Call) -> Answer:
    wanted = call.text("platform")
    config = container_config(await call.json())
    if wanted:
        platforms.check_host(wanted)
        platforms.check_image(call.engine.image(config.image), [wanted], config.image)
    id, warnings = await call.engine.create(config, call.text("name"))
    return as_json({"Id": id, "Warnings": list(warnings)}, 201)


async def inspect(call: Call) -> Answer:
    container = call.engine.container(call.ref)
    size = await call.engine.size(container) if call.flag("size") else None
    places = await call.engine.container_places(container)
    return as_json(shapes.inspect(container, networks(call), call.version, size, places))


async def start(call: Call) -> Answer:
    if call.text("checkpoint"):
        raise Unsupported("checkpoint is not supported yet", subject=call.ref)
    if await call.json():
        raise Invalid("a start takes no body: what the container is to be was said when it was created", subject=call.ref)
    await call.engine.start(call.ref)
    return NOTHING


async def stop(call: Call) -> Answer:
    await call.engine.stop(call.ref, call.number("t"), call.text("signal"))
    return NOTHING


async def restart(call: Call) -> Answer:
    await call.engine.restart(call.ref, call.number("t"), call.text("signal"))
    return NOTHING


async def kill(call: Call) -> Answer:
    await call.engine.kill(call.ref, call.text("signal") or "SIGKILL")
    return NOTHING


async def pause(call: Call) -> Answer:
    await call.engine.pause(call.ref)
    return NOTHING


async def unpause(call: Call) -> Answer:
    await call.engine.unpause(call.ref)
    return NOTHING


async def rename(call: Call) -> Answer:
    name = call.text("name").removeprefix("/")
    if not name:
        raise Invalid("Neither old nor new names may be empty", subject="name")
    await call.engine.rename(call.ref, name)
    return NOTHING


async def delete(call: Call) -> Answer:
    await call.engine.remove(call.ref, force=call.flag("force"), volumes=call.flag("v"), link=call.flag("link"))
    return NOTHING


async def resize(call: Call) -> Answer:
    rows_, columns = size_of(call)
    await call.engine.resize(call.ref, rows_, columns)
    return Answer(200)


def size_of(call: Call) -> tuple[int, int]:
    """The terminal's size in a query. Raises Invalid."""
    height, width = call.number("h"), call.number("w")
    if height is None or width is None or not (0 <= height < 65536 and 0 <= width < 65536):
        raise Invalid("resize needs h and w between 0 and 65535", subject="h, w")
    return height, width


async def wait(call: Call) -> Stream:
    return exit_code(call.engine.expect(call.ref, condition(call)))


def condition(call: Call) -> str:
    """What is to be waited for. Raises Invalid."""
    named = call.text("condition") or "not-running"
    if named not in CONDITIONS:
        raise Invalid(f'invalid condition: "{named}"', subject=named, hint=f"one of {', '.join(CONDITIONS)}")
    return named


def exit_code(coming: Awaitable[Exit]) -> Stream:
    """The answer to a wait: its head at once, its body when the condition is met."""
    return Stream(_exit(coming), "application/json")


async def _exit(coming: Awaitable[Exit]) -> AsyncIterator[bytes]:
    ended = await coming
    yield line({"StatusCode": ended.code, "Error": {"Message": ended.error}} if ended.error else {"StatusCode": ended.code})


async def logs(call: Call) -> Stream:
    container = call.engine.container(call.ref)
    stdout, stderr = call.flag("stdout"), call.flag("stderr")
    if not (stdout or stderr):
        raise Invalid("Bad parameters: you must choose at least one stream", subject="stdout, stderr")
    tail = call.text("tail") or "all"
    options = LogOptions(
        stdout=stdout,
        stderr=stderr,
        follow=call.flag("follow"),
        since=instant(call.text("since"), "since"),
        until=instant(call.text("until"), "until"),
        timestamps=call.flag("timestamps"),
        tail=int(tail) if tail.isascii() and tail.isdigit() and len(tail) < 18 else -1,
    )
    records = await call.engine.logs(call.ref, options)
    tty = container.config.tty
    kind = "multiplexed-stream" if call.version >= MULTIPLEXED and not tty else "raw-stream"
    # What --details shows stands between time and text; log drivers with attributes (labels, env) there are none yet.
    between = b" " if call.flag("details") else b""
    return Stream(_log_bytes(records, options.timestamps, between, not tty), f"application/vnd.docker.{kind}")


async def _log_bytes(records: AsyncIterator[LogRecord], timestamps: bool, between: bytes, framed: bool) -> AsyncIterator[bytes]:
    async for record in records:
        data = between + record.data
        if timestamps:
            data = with_nanoseconds(record.time).encode() + b" " + data
        yield bytes((record.stream, 0, 0, 0)) + len(data).to_bytes(4, "big") + data if framed else data


async def top(call: Call) -> Answer:
    titles, processes = await call.engine.top(call.ref, call.text("ps_args") or "-ef")
    shape = {"Titles": titles, "Processes": processes}
    return as_text(tables.rendered(call, "top", [shape])) if call.wants_text else as_json(shape)


async def prune(call: Call) -> Answer:
    pruned = await call.engine.prune_containers(call.filters(PRUNE_FILTERS))
    return as_json({"ContainersDeleted": list(pruned.ids) or None, "SpaceReclaimed": pruned.reclaimed})


def _later(what: str, hint: str = "") -> Any:
    async def refuse(call: Call) -> Answer:
        call.engine.container(call.ref)
        raise Unsupported(f"{what} is not supported yet", hint=hint)

    return refuse


COPY_HINT = "tare exec NAME tar -c PATH writes an archive to stdout"

ROUTES = [
    Route("GET", "/containers/json", list_containers),
    Route("POST", "/containers/create", create),
    Route("POST", "/containers/prune", prune),
    Route("GET", "/containers/{ref}/json", inspect),
    Route("GET", "/containers/{ref}/top", top),
    Route("GET", "/containers/{ref}/logs", logs, watched=True),
    Route("POST", "/containers/{ref}/start", start),
    Route("POST", "/containers/{ref}/stop", stop),
    Route("POST", "/containers/{ref}/restart", restart),
    Route("POST", "/containers/{ref}/kill", kill),
    Route("POST", "/containers/{ref}/pause", pause),
    Route("POST", "/containers/{ref}/unpause", unpause),
    Route("POST", "/containers/{ref}/rename", rename),
    Route("POST", "/containers/{ref}/resize", resize),
    Route("POST", "/containers/{ref}/wait", wait, watched=True),
    Route("DELETE", "/containers/{ref}", delete),
    Route("POST", "/containers/{ref}/update", _later("update")),
    Route("GET", "/containers/{ref}/stats", _later("stats")),
    Route("GET", "/containers/{ref}/changes", _later("diff")),
    Route("GET", "/containers/{ref}/export", _later("export", COPY_HINT)),
    Route("GET", "/containers/{ref}/attach/ws", _later("attach by websocket")),
    Route("GET", "/containers/{ref}/checkpoints", _later("checkpoint")),
    Route("POST", "/containers/{ref}/checkpoints", _later("checkpoint")),
    *(Route(method, "/containers/{ref}/archive", _later("cp", COPY_HINT)) for method in ("HEAD", "GET", "PUT")),
]
