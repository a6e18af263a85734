"""pause and unpause, where the runtime can."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tare.containers.states import move
from tare.drivers.runtime import SupportsPause
from tare.engine.persist import announce, save
from tare.errors import Conflict, Unsupported

if TYPE_CHECKING:
    from tare.engine.engine import Engine


async def pause(engine: Engine, ref: str) -> None:
    """Raises Conflict when it does not run or is paused already, Unsupported."""
    await _switch(engine, ref, "running", "paused", "pause")


async def unpause(engine: Engine, ref: str) -> None:
    """Raises Conflict when it is not paused."""
    await _switch(engine, ref, "paused", "running", "unpause")


async def _switch(engine: Engine, ref: str, expected: str, wanted: str, action: str) -> None:
    entry = engine.registry.find(ref)
    async with entry.lock:
        container = entry.container
        if container.state.status != expected:
            state = "already paused" if container.state.status == wanted == "paused" else f"not {expected}"
            raise Conflict(f"container {ref} is {state}", subject=ref)
        runtime = await engine.roster.open("runtime", container.runtime)
        if not runtime.supports(SupportsPause):
            raise Unsupported(f"the runtime {runtime.name} cannot pause containers", subject=ref)
        await runtime.call("pause" if wanted == "paused" else "resume", container.process)
        container.state = move(container.state, wanted)
        save(engine, container, durable=False)
    announce(engine, container, action)
