"""Ping, version, info, events, disk usage; and what is in Docker's API but not in tare yet."""

from __future__ import annotations

import os
import platform
from collections.abc import AsyncIterator
from typing import Any

from tare.api import tables, versions
from tare.api.answer import NOTHING, Answer, Stream, as_json, line
from tare.api.call import Call
from tare.api.router import Route
from tare.api.routes.containers import with_sizes
from tare.api.shapes import events as shapes
from tare.api.shapes import images as image_shapes
from tare.api.shapes.host import architecture
from tare.errors import Invalid, NotFound, Unsupported
from tare.model.event import Event
from tare.model.times import instant

EVENT_FILTERS = frozenset(
    ("config", "container", "daemon", "event", "image", "label", "network", "node", "plugin", "scope", "secret", "service")
) | {"type", "volume"}
VOLUME_FILTERS = frozenset(("dangling", "driver", "label", "name"))
VOLUME_PRUNE_FILTERS = frozenset(("all", "label", "label!"))
BUILD_PRUNE_FILTERS = frozenset(
    ("description", "id", "inuse", "label", "label!", "parent", "private", "shared", "type", "unused-for", "until")
)

KINDS = {"container", "image", "volume", "build-cache"}
"""What /system/df counts."""

SPLIT_USAGE = (1, 52)
"""From here on /system/df answers with one object per kind."""


async def ping(call: Call) -> Answer:
    uncached = {"Cache-Control": "no-cache, no-store, must-revalidate", "Pragma": "no-cache"}
    return Answer(200, b"OK", "text/plain; charset=utf-8", uncached)


async def version(call: Call) -> Answer:
    system = os.uname()
    number = versions.tare()
    arch = architecture()
    details = {
        "ApiVersion": versions.text(versions.NEWEST),
        "MinAPIVersion": versions.text(versions.OLDEST),
        "Arch": arch,
        "Os": "linux",
        "KernelVersion": system.release,
        "PythonVersion": platform.python_version(),
    }
    return as_json(
        {
            "Platform": {"Name": "tare"},
            "Components": [{"Name": "Engine", "Version": number, "Details": details}],
            "Version": number,
            "ApiVersion": details["ApiVersion"],
            "MinAPIVersion": details["MinAPIVersion"],
            "GitCommit": "",
            "GoVersion": "",
            "Os": "linux",
            "Arch": arch,
            "KernelVersion": system.release,
            "BuildTime": "",
        }
    )


async def info(call: Call) -> Answer:
    return as_json(await call.engine.info())


async def events(call: Call) -> Stream:
    since = instant(call.text("since"), "since")
    until = instant(call.text("until"), "until")
    filters = call.filters(EVENT_FILTERS)
    tables.zone(call.text("tz"))
    news = call.engine.events(since, until, filters)
    if call.wants_text:
        return Stream(_as_text(call, news), "text/plain; charset=utf-8")
    return Stream(_as_json(call, news), "application/json")


async def _as_json(call: Call, news: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    async for event in news:
        yield line(shapes.message(event, call.version))


async def _as_text(call: Call, news: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    async for event in news:
        yield tables.rendered(call, "events", [shapes.message(event, call.version)]).encode("utf-8", "replace")


async def usage(call: Call) -> Answer:
    """``GET /system/df``."""
    engine = call.engine
    kinds = set(filter(None, call.every("type"))) or KINDS
    for kind in kinds - KINDS:
        raise Invalid(f"unknown object type: {kind}", subject=kind, hint=f"one of {', '.join(sorted(KINDS))}")
    containers: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    if "container" in kinds:
        containers = await with_sizes(call, engine.containers())
    layers = 0
    if "image" in kinds:
        every = engine.images()
        layers, shared = image_shapes.sharing(every)
        images = [image_shapes.summary(image, engine.image_users(image.id), call.version, shared[image.id]) for image in every]
    if call.version < SPLIT_USAGE:
        old: dict[str, Any] = {"LayersSize": layers, "Images": images, "Containers": containers, "Volumes": [], "BuildCache": []}
        return as_json({name: value for name, value in old.items() if _kind(name) in kinds})
    running = [row for row in containers if row["State"] in ("running", "paused", "restarting")]
    used = [row for row in images if row["Containers"] > 0]
    shape = {
        "ImageUsage": _usage(images, len(used), layers, layers - sum(row["Size"] - row["SharedSize"] for row in used)),
        "ContainerUsage": _usage(
            containers,
            len(running),
            sum(row["SizeRw"] for row in containers),
            sum(row["SizeRw"] for row in containers if row not in running),
        ),
        "VolumeUsage": _usage([], 0, 0, 0),
        "BuildCacheUsage": _usage([], 0, 0, 0),
    }
    if not call.flag("verbose"):
        for entry in shape.values():
            del entry["Items"]
    return as_json({name: value for name, value in shape.items() if _kind(name) in kinds})


def _usage(items: list[dict[str, Any]], active: int, total: int, reclaimable: int) -> dict[str, Any]:
    return {"ActiveCount": active, "TotalCount": len(items), "TotalSize": total, "Reclaimable": reclaimable, "Items": items}


def _kind(name: str) -> str:
    for start, kind in (("Image", "image"), ("Layers", "image"), ("Container", "container"), ("Volume", "volume")):
        if name.startswith(start):
            return kind
    return "build-cache"


async def nothing(call: Call) -> Answer:
    """Docker's plugins: there are none of that sort here (tare's own are at /tare/v1/plugins)."""
    return as_json([])


async def no_volumes(call: Call) -> Answer:
    call.filters(VOLUME_FILTERS)
    return as_json({"Volumes": [], "Warnings": None})


async def prune_volumes(call: Call) -> Answer:
    """There are none that could go."""
    call.filters(VOLUME_PRUNE_FILTERS)
    return as_json({"VolumesDeleted": [], "SpaceReclaimed": 0})


async def prune_builds(call: Call) -> Answer:
    """Nothing is built here, so there is no cache: ``docker system prune`` asks all the same."""
    call.filters(BUILD_PRUNE_FILTERS)
    return as_json({"CachesDeleted": None, "SpaceReclaimed": 0})


async def logged_in(call: Call) -> Answer:
    raise Unsupported("registries are not available yet", hint="bring images in with tare load or tare import")


async def no_build(call: Call) -> Answer:
    raise Unsupported("building images is not available yet", hint="bring images in with tare load or tare import")


async def no_commit(call: Call) -> Answer:
    raise Unsupported("commit is not supported yet", hint="bring images in with tare load or tare import")


async def no_volume(call: Call) -> Answer:
    raise Unsupported("volumes are not supported yet", hint="use a bind mount: -v /host/path:/path")


async def missing_volume(call: Call) -> Answer:
    if call.method == "DELETE" and call.flag("force"):
        return NOTHING
    raise NotFound(f"get {call.ref}: no such volume", subject=call.ref)


async def no_swarm(call: Call) -> Answer:
    raise Unsupported("swarm mode is not supported")


async def no_plugins(call: Call) -> Answer:
    raise Unsupported("docker's plugins are not supported", hint="tare's plugins are python packages: see docs/hooks.md")


ROUTES = [
    Route("GET", "/_ping", ping),
    Route("GET", "/version", version),
    Route("GET", "/info", info),
    Route("GET", "/events", events, watched=True),
    Route("GET", "/system/df", usage, watched=True),
    Route("GET", "/plugins", nothing),
    Route("GET", "/volumes", no_volumes),
    Route("POST", "/auth", logged_in),
    Route("GET", "/distribution/{name...}/json", logged_in),
    Route("GET", "/images/search", logged_in),
    Route("POST", "/build", no_build),
    Route("POST", "/build/prune", prune_builds),
    Route("POST", "/build/cancel", no_build),
    Route("POST", "/session", no_build),
    Route("POST", "/grpc", no_build),
    Route("POST", "/commit", no_commit),
    Route("POST", "/volumes/create", no_volume),
    Route("POST", "/volumes/prune", prune_volumes),
    Route("GET", "/volumes/{ref}", missing_volume),
    Route("PUT", "/volumes/{ref}", missing_volume),
    Route("DELETE", "/volumes/{ref}", missing_volume),
    *(Route(method, "/swarm", no_swarm) for method in ("GET", "POST")),
    *(Route(method, "/swarm/{rest...}", no_swarm) for method in ("GET", "POST")),
    *(Route("GET", f"/{noun}", no_swarm) for noun in ("nodes", "services", "tasks", "secrets", "configs")),
    *(Route(method, "/plugins/{rest...}", no_plugins) for method in ("GET", "POST", "DELETE")),
]
