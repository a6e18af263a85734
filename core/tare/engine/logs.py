"""logs: reading back what the logger wrote, and following it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from tare.containers.container import Container
from tare.engine import wait
from tare.engine.values import LogRecord
from tare.errors import TareError, Unsupported
from tare.model.container import LogOptions
from tare.supervisor import logfiles

if TYPE_CHECKING:
    from tare.engine.engine import Engine

BATCH = 2048
"""Lines decoded in one go, off the loop's thread."""


async def logs(engine: Engine, ref: str, options: LogOptions) -> AsyncIterator[LogRecord]:
    """Raises NotFound, and Unsupported for the log driver ``none``; then the records."""
    container = engine.registry.find(ref).container
    check(container)
    await flush(engine, container)
    chosen: dict[str, Any] = {
        "stdout": options.stdout,
        "stderr": options.stderr,
        "since": options.since,
        "until": options.until,
        "tail": options.tail,
    }
    if not (options.follow and container.running):
        return records(logfiles.read(container.log_path, container.log_driver, **chosen))
    return _follow(engine, container, logfiles.Follower(container.log_path, container.log_driver, **chosen))


def check(container: Container) -> None:
    """Raises Unsupported where nothing can be read back."""
    if not container.log_path:
        raise Unsupported(
            "configured logging driver does not support reading",
            subject=container.name,
            hint=f"the container uses the log driver {container.log_driver}",
        )


async def flush(engine: Engine, container: Container) -> None:
    """Everything that was read from the container is in its log file. A supervisor that is away has written what it had."""
    try:
        await engine.supervision.ask("flush", {"container": container.id})
    except TareError:
        return


async def records(lines: Iterator[logfiles.Line]) -> AsyncIterator[LogRecord]:
    """Lines read off the loop's thread."""
    loop = asyncio.get_running_loop()
    while batch := await loop.run_in_executor(None, lambda: list(islice(lines, BATCH))):
        for line in batch:
            yield LogRecord(*line)


async def _follow(engine: Engine, container: Container, follower: logfiles.Follower) -> AsyncIterator[LogRecord]:
    """Until the container has ended and everything is told."""
    loop = asyncio.get_running_loop()
    more = asyncio.Event()
    ended = asyncio.ensure_future(wait.expect(engine, container.id, "not-running"))
    ended.add_done_callback(lambda _: more.set())
    loop.add_reader(follower.fileno(), more.set)
    try:
        while True:
            more.clear()
            last = ended.done()
            if last:
                await flush(engine, container)
            async for record in records(follower.finish() if last else follower.read()):
                yield record
            if last or follower.over:
                return
            await more.wait()
    finally:
        loop.remove_reader(follower.fileno())
        ended.cancel()
        follower.close()
