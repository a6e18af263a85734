"""wait: telling those who wait for a container that it has ended or gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from tare.containers.registry import Entry, Waiter
from tare.engine.values import Exit
from tare.errors import Invalid

if TYPE_CHECKING:
    from tare.engine.engine import Engine

CONDITIONS = ("not-running", "next-exit", "removed")


def expect(engine: Engine, ref: str, condition: str) -> Awaitable[Exit]:
    """Register the wait now; the result comes when the condition is met. Raises NotFound, Invalid."""
    condition = condition or "not-running"
    if condition not in CONDITIONS:
        raise Invalid(f"invalid condition: {condition}", subject=condition, hint=f"one of {', '.join(CONDITIONS)}")
    entry = engine.registry.find(ref)
    future: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
    state = entry.container.state
    if condition == "not-running" and not entry.container.running:
        # An end is told by its code, to who comes late as to who has waited; what has not even started has a reason.
        future.set_result((state.exit_code, "" if state.status == "exited" else state.error))
    else:
        entry.waiters.append(Waiter(condition, future))
    return _result(entry, future)


async def _result(entry: Entry, future: asyncio.Future[tuple[int, str]]) -> Exit:
    try:
        return Exit(*await future)
    finally:
        entry.waiters = [waiter for waiter in entry.waiters if waiter.future is not future]


def notify(entry: Entry, event: str, code: int, error: str = "") -> None:
    """``event`` is next-exit (which also means not-running) or removed (which ends every wait)."""
    for waiter in list(entry.waiters):
        met = event == "removed" or waiter.condition != "removed"
        if met and not waiter.future.done():
            waiter.future.set_result((code, error))
