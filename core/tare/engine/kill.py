"""kill: signals by name or number."""

from __future__ import annotations

import asyncio
import logging
import signal as signals
from typing import TYPE_CHECKING

from tare.containers.container import Container
from tare.engine.persist import announce
from tare.engine.values import Exit
from tare.errors import Conflict, Invalid, NotFound, TareError, Unavailable

if TYPE_CHECKING:
    from tare.engine.engine import Engine

log = logging.getLogger(__name__)

ATTEMPTS = 30
PATIENCE = 1.0
"""Seconds between two attempts to kill."""


def number(name: str) -> int:
    """``SIGKILL``, ``kill``, ``9``, ``RTMIN+3`` as a number (signal(7)). Raises Invalid."""
    bare = name.strip().upper().removeprefix("SIG")
    if bare.isdigit() and 0 < int(bare) < signals.NSIG:
        return int(bare)
    base, sign, offset = (*bare.partition("+"),) if "+" in bare else (*bare.partition("-"),)
    found = getattr(signals, f"SIG{base}", None)
    if isinstance(found, signals.Signals) and (not sign or (base in ("RTMIN", "RTMAX") and offset.isdigit())):
        value = int(found) + (int(f"{sign}{offset}") if sign else 0)
        if 0 < value < signals.NSIG:
            return value
    raise Invalid(f"Invalid signal: {name}", subject=name, hint="a name such as SIGTERM, or a number")


async def kill(engine: Engine, ref: str, signal: str = "SIGKILL", *, again: bool = False) -> None:
    """Send a signal to the container's first process; ``again`` as in ``send``. Raises Conflict when it does not run."""
    container = engine.registry.find(ref).container
    value = number(signal or "SIGKILL")
    if not container.running:
        raise Conflict(f"cannot kill container: {ref}: container {container.id} is not running", subject=ref)
    await send(engine, container, value, again=again)
    announce(engine, container, "kill", signal=str(value))


async def send(engine: Engine, container: Container, signal: int, *, again: bool = False) -> None:
    """Quietly succeeds when the process has just ended: its exit is on the way. A start that is on its way is awaited. When the
    supervisor dies meanwhile, SIGKILL is sent by the next one, and with ``again`` every signal is."""
    entry = engine.registry.get(container.id)
    if entry is not None and container.running and not container.state.pid:
        async with entry.lock:
            pass
    try:
        body = {"container": container.id, "exec": "", "signal": int(signal)}
        await engine.supervision.ask("signal", body, again=again or signal == signals.SIGKILL)
    except NotFound:
        return
    if container.state.status == "paused" and signal == signals.SIGKILL:
        runtime = await engine.roster.open("runtime", container.runtime)
        try:
            await runtime.call("resume", container.process)
        except TareError as error:
            log.info("container %s: %s", container.name, error)  # where a frozen process can be killed it has ended by now


async def finish(engine: Engine, container: Container, ended: asyncio.Future[Exit]) -> None:
    """SIGKILL, also to a frozen container, until ``ended``: a pause at the same moment freezes even who is about to die.
    Raises Unavailable when the kernel does not let go of it."""
    announce(engine, container, "kill", signal="9")
    for _ in range(ATTEMPTS):
        await send(engine, container, signals.SIGKILL)
        done, _pending = await asyncio.wait((ended,), timeout=PATIENCE)
        if done:
            return
    raise Unavailable(
        f"container {container.name} was killed and does not end",
        subject=container.name,
        hint="is it stuck on a dead file system?",
    )
