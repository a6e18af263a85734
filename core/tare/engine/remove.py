"""remove: take a container away. Name, ports and address are free when it returns; its files go in the background."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from tare.containers.registry import Entry, Waiter
from tare.containers.states import move
from tare.engine import kill, networks, pictures, wait
from tare.engine.persist import announce
from tare.errors import Conflict, TareError, Unsupported

if TYPE_CHECKING:
    from tare.engine.engine import Engine

log = logging.getLogger(__name__)


async def remove(engine: Engine, ref: str, *, force: bool = False, link: bool = False) -> None:
    """Raises Conflict for a running container without ``force``, and a plugin's veto."""
    if link:
        raise Unsupported("--link is not supported yet", subject=ref)
    entry = engine.registry.look_up(ref) if force else engine.registry.find(ref)
    container = entry.container
    await engine.plugins.before("tare_before_container_remove", id=container.id, name=container.name, force=force)
    if entry.damage:
        await end_damaged(engine, entry)
    elif container.running:
        if not force:
            action = "Unpause and then stop" if container.state.status == "paused" else "Stop"
            raise Conflict(
                f"cannot remove container {ref!r}: container is {container.state.status}: "
                f"{action.lower()} the container before removing or force remove",
                subject=ref,
            )
        ended = asyncio.ensure_future(wait.expect(engine, container.id, "not-running"))
        try:
            await kill.finish(engine, container, ended)
        finally:
            ended.cancel()
    async with entry.lock:
        if engine.registry.get(container.id) is not entry:
            return
        if container.running:
            raise Conflict(f"cannot remove container {ref!r}: it was started again", subject=ref)
        await take_away(engine, entry)


async def end_damaged(engine: Engine, entry: Entry) -> None:
    """What is taken away with a container whose record cannot be read, beside what every container has: its process and its
    ports as far as the supervisor knows of them, its row whatever that holds."""
    container = entry.container
    if container.state.pid:
        ended = asyncio.get_running_loop().create_future()
        entry.waiters.append(Waiter("next-exit", ended))
        with contextlib.suppress(TareError):
            runtime = await engine.roster.open("runtime", container.runtime)
            await runtime.call("resume", container.process)  # if it was paused it does not die
        await kill.finish(engine, container, ended)
    await engine.supervision.ask("release", {"owner": container.id})
    engine.state.containers.remove_named(container.name)


async def take_away(engine: Engine, entry: Entry) -> None:
    """The removal itself. The caller holds the lock; nothing here can be undone, so what fails is logged and gone on from:
    the next start of the daemon finds what was left."""
    container = entry.container
    before = container.state
    container.state = move(before, "removing")
    try:
        engine.state.containers.remove(container.id, durable=not container.config.auto_remove)
    except TareError:
        container.state = before
        raise
    paths: list[str] = [container.directory]
    try:
        await networks.disconnect(engine, container)
        storage = await engine.roster.open("storage", container.storage)
        paths += await storage.call("remove", container.id)
        runtime = await engine.roster.open("runtime", container.runtime)
        paths += await runtime.call("remove", container.id)
    except (TareError, OSError) as error:
        log.warning("removing container %s: %s", container.name, error)
    for exec_id in list(container.execs):
        engine.execs.pop(exec_id, None)
        engine.exec_ended.pop(exec_id, None)
    engine.supervision.tell("forget", {"container": container.id, "paths": paths})
    engine.registry.drop(container.id)
    wait.notify(entry, "removed", container.state.exit_code)
    announce(engine, container, "destroy")
    if not engine.store.has(container.image_id):
        try:
            await pictures.drop_layers(engine)
        except TareError as error:
            log.warning("the layers of %s, whose image is gone: %s", container.name, error)
    engine.plugins.after("tare_after_container_remove", id=container.id, name=container.name)
