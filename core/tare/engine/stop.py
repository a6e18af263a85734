"""stop and restart: the stop signal, grace, then SIGKILL."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from tare.engine import kill, pause, start, wait
from tare.engine.persist import announce
from tare.errors import Conflict, NotModified, TareError

if TYPE_CHECKING:
    from tare.engine.engine import Engine

log = logging.getLogger(__name__)


async def stop(engine: Engine, ref: str, timeout: int | None, signal: str) -> None:
    """``timeout`` in seconds: -1 waits for ever, None is the container's own or the daemon's. Raises NotModified."""
    entry = engine.registry.find(ref)
    container = entry.container
    number = kill.number(signal or container.stop_signal)
    if not container.running:
        raise NotModified(f"container {ref} is already stopped", subject=ref)
    if timeout is None:
        timeout = container.config.stop_timeout
    if timeout is None:
        timeout = engine.settings.containers.stop_timeout
    ended = asyncio.ensure_future(wait.expect(engine, container.id, "not-running"))
    if container.state.status == "paused":
        try:
            await pause.unpause(engine, container.id)
        except TareError as error:
            log.info("container %s: %s", container.name, error)  # it has just ended, or the kill that follows thaws it
    try:
        with contextlib.suppress(Conflict):  # it has just ended by itself
            await kill.kill(engine, container.id, str(number), again=True)
        done, _ = await asyncio.wait((ended,), timeout=None if timeout < 0 else timeout)
        if not done:
            await kill.finish(engine, container, ended)
    finally:
        ended.cancel()
    announce(engine, container, "stop")


async def restart(engine: Engine, ref: str, timeout: int | None, signal: str) -> None:
    """Stop (if it runs) and start again. A container with ``--rm`` is kept, as in Docker."""
    entry = engine.registry.find(ref)
    container = entry.container
    if container.running:
        entry.restarting = True
        try:
            await stop(engine, container.id, timeout, signal)
        finally:
            entry.restarting = False
    await start.start(engine, container.id)
    announce(engine, container, "restart")
