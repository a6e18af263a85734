"""Matching what is recorded with what a supervisor has: when tared opens, and when it has found another supervisor."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tare.containers.registry import Entry
from tare.engine import execute, networks, settle
from tare.engine.clock import stamp
from tare.engine.remove import take_away
from tare.engine.start import warm_up
from tare.errors import TareError, Unavailable

if TYPE_CHECKING:
    from tare.engine.engine import Engine

log = logging.getLogger(__name__)

SIGKILL = 9


def seen_running(engine: Engine) -> dict[str, int]:
    """The containers that are thought to run, with the pids of their first processes."""
    containers = (entry.container for entry in engine.registry.entries())
    return {container.id: container.state.pid for container in containers if container.running}


def supervisor_lost(engine: Engine) -> None:
    """The supervisor went away: find or start another."""
    engine.templates = set()
    engine.spares.hold()
    # A start that was under way fails by itself; only what ran by now can have ended unseen.
    running = {id: pid for id, pid in seen_running(engine).items() if pid}
    engine.spawn(reconnect(engine, running), "reconnecting to the supervisor")


async def reconnect(engine: Engine, running: Mapping[str, int]) -> None:
    """Learn from the next supervisor what still runs."""
    log.error("the supervisor is gone; containers live on, another one is being started")
    delay = 0.05
    while True:
        try:
            hello = await engine.supervision.connect()
            break
        except (TareError, OSError) as error:
            log.error("no supervisor: %s", error)
            engine.supervision.refuse(str(error))
            await asyncio.sleep(delay)
            delay = min(delay * 2, 5.0)
    engine.spawn(warm_up(engine), "loading the runtime's template")
    if await adopt(engine, hello, running):
        await hold_ports(engine, hello)


async def adopt(engine: Engine, hello: Mapping[str, Any], running: Mapping[str, int]) -> bool:
    """``hello`` is the supervisor's answer, ``running`` what ``seen_running`` said before it was asked. False when it has died
    meanwhile: ``reconnect`` is under way then."""
    processes = hello["processes"]
    try:
        await engine.spares.adopt(processes)
    except Unavailable as error:
        log.error("the supervisor has died again, the next one adopts what runs: %s", error)
        return False
    engine.supervision.go_on()
    alive: dict[str, dict[str, Any]] = {}
    for process in processes:
        if process["exec"]:
            _adopt_exec(engine, process)
        else:
            alive[process["container"]] = process
    for id in alive.keys() - {entry.container.id for entry in engine.registry.entries()}:
        _end(engine, alive[id], "belongs to no container that is recorded")
    for entry in engine.registry.entries():
        id = entry.container.id
        async with entry.lock:
            await _match(engine, entry, alive.get(id), id in running, running.get(id, 0))
    return True


async def hold_ports(engine: Engine, hello: Mapping[str, Any]) -> None:
    """Published ports whose sockets the supervisor does not have; the network drivers know their endpoints by now."""
    held = set(hello.get("held", ()))
    for entry in engine.registry.entries():
        async with entry.lock:
            if entry.container.running and entry.container.id not in held:
                await networks.hold_again(engine, entry.container)


def _adopt_exec(engine: Engine, process: dict[str, Any]) -> None:
    execute.adopt(engine, process)
    known = engine.execs.get(process["exec"])
    if process["exit"] is not None:
        execute.ended(engine, {**process["exit"], "container": process["container"], "exec": process["exec"]})
        engine.supervision.tell("acknowledge", {"container": process["container"], "exec": process["exec"]})
    elif known is None or not known.running:
        _end(engine, process, "belongs to an exec that failed to start")


async def _match(engine: Engine, entry: Entry, process: dict[str, Any] | None, seen: bool, pid: int) -> None:
    """The caller holds the lock. A container that was started meanwhile is not what was ``seen`` with ``pid``."""
    container = entry.container
    if entry.damage:
        if process is not None and process["exit"] is None:
            container.state = replace(container.state, pid=process["pid"], start_time=process["start_time"])
        return
    if not container.running:
        if process is not None and process["exit"] is None:
            _end(engine, process, f"is left of a start of {container.name} that failed")
        elif container.config.auto_remove and container.state.status == "exited":
            await take_away(engine, entry)
    elif process is not None and container.state.pid in (0, process["pid"]):
        if process["exit"] is None:
            container.state = replace(
                container.state,
                pid=process["pid"],
                start_time=process["start_time"],
                started_at=stamp(process["started_at"]),
            )
        else:
            await settle.settle(engine, entry, process["exit"])
            engine.supervision.tell("acknowledge", {"container": container.id, "exec": ""})
    elif process is None and seen and container.state.pid == pid:
        await settle.settle(engine, entry, _recorded_exit(container.directory))


def _recorded_exit(directory: str) -> dict[str, Any]:
    """It was running and is not any more: an exit record says how it ended, or the host went down under it."""
    try:
        with open(os.path.join(directory, "exit"), encoding="ascii") as file:
            code, signal, oom, at = map(int, file.read().split())
            return {"code": code, "signal": signal, "oom": bool(oom), "at": at}
    except (OSError, ValueError):
        return {"code": 255, "signal": 0, "oom": False, "at": time.time_ns()}


def _end(engine: Engine, process: Mapping[str, Any], why: str) -> None:
    log.warning("process %d %s and is ended", process["pid"], why)
    body = {"container": process["container"], "exec": process["exec"], "signal": SIGKILL}
    engine.supervision.tell("signal", body)
