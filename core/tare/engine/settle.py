"""What happens when a process has ended: the supervisor's news becomes the engine's state."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from tare.containers.registry import Entry
from tare.containers.states import move
from tare.engine import damage, execute, networks, wait
from tare.engine.clock import stamp
from tare.engine.persist import announce, record
from tare.engine.remove import take_away
from tare.errors import TareError

if TYPE_CHECKING:
    from tare.engine.engine import Engine

log = logging.getLogger(__name__)

LATER = 0.01


def hear(engine: Engine, kind: str, body: dict[str, Any]) -> None:
    """An event of the supervisor."""
    if kind == "exit":
        engine.spares.drop(body["container"], body["exec"])
        if body["exec"]:
            execute.ended(engine, body)
            # A moment later: whoever has seen the stream end asks for the exit code now.
            done = {"container": body["container"], "exec": body["exec"]}
            asyncio.get_running_loop().call_later(LATER, engine.supervision.tell, "acknowledge", done)
        else:
            engine.spawn(exited(engine, body), f"settling the exit of {body['container'][:12]}")
    elif kind == "detached":
        entry = engine.registry.get(body["container"])
        if entry is not None:
            announce(engine, entry.container, "detach")


async def exited(engine: Engine, body: dict[str, Any]) -> None:
    """Record an exit exactly once, free what the container held, tell everybody, then acknowledge."""
    entry = engine.registry.get(body["container"])
    if entry is not None and entry.damage:
        damage.ended(entry, body)
        return  # the supervisor keeps it for whoever can read the record
    if entry is not None:
        async with entry.lock:
            pid = entry.container.state.pid
            # What is told again, after a hello, may come when it has been settled and the container started once more.
            if entry.container.running and (body.get("pid", pid) != pid or not await settle(engine, entry, body)):
                return
        if engine.registry.get(body["container"]) is not entry:
            return  # it was removed, which tells the supervisor all at once
    engine.spares.complete(body["container"], "", body)
    engine.supervision.tell("acknowledge", {"container": body["container"], "exec": ""})


async def settle(engine: Engine, entry: Entry, body: dict[str, Any]) -> bool:
    """The caller holds the container's lock. ``body``: code, signal, oom, at. False when a full disk has kept it from being
    recorded: then the supervisor keeps the exit and tells the next daemon."""
    container = entry.container
    body = engine.spares.complete(container.id, "", body)
    error = "the exit code is unknown: the supervisor was killed" if body.get("unknown") else ""
    try:
        await networks.disconnect(engine, container)
    except TareError as failure:
        log.warning("container %s: %s", container.name, failure)
    container.state = move(
        container.state,
        "exited",
        pid=0,
        start_time=0,
        exit_code=body["code"],
        oom_killed=bool(body["oom"]),
        error=error,
        finished_at=stamp(body["at"]),
    )
    execute.container_ended(engine, container)
    goes = container.config.auto_remove and not entry.restarting
    recorded = goes or record(engine, container, durable=False)
    wait.notify(entry, "next-exit", body["code"])
    if body["oom"]:
        announce(engine, container, "oom")
    announce(engine, container, "die", exitCode=str(body["code"]))
    if goes:
        await take_away(engine, entry)
    engine.plugins.after("tare_after_container_exit", id=container.id, name=container.name, state=container.state)
    return recorded
