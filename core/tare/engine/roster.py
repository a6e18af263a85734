"""The drivers that are in use: one instance and one thread each, a deadline on every call.

Calls that the driver itself calls prompt (tare.drivers.registration.SupportsPrompt) are made at once instead.

A driver that misses its deadline is *degraded*: new calls are refused at once with its name, until the call that hangs
comes back. Lists, other drivers and the engine's own state go on.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tare.drivers.registration import Driver, DriverContext, SupportsPrompt
from tare.errors import Internal, NotFound, TareError, Unavailable, Unsupported
from tare.model.probe import Probe

log = logging.getLogger(__name__)

DEADLINE = 30.0


def construct(factory: str, context: DriverContext) -> Any:
    """Import ``module:callable`` and call it. Raises Unavailable with the reason."""
    module, _, name = factory.partition(":")
    try:
        return getattr(importlib.import_module(module), name)(context)
    except TareError:
        raise
    except Exception as error:
        raise Unavailable(f"driver {factory} cannot be made: {type(error).__name__}: {error}") from error


def _never(_method: str, *_args: object) -> bool:
    return False


class Handle:
    """One driver instance with its thread."""

    def __init__(self, driver: Driver, context: DriverContext, probed: Callable[[str, str, str, str], None]) -> None:
        self.driver = driver
        self._tell = probed
        self.name = driver.name
        self.context = context
        self.instance: Any = None
        self.probed: Probe | None = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"{driver.kind}-{driver.name}")
        self._prompt: Callable[..., bool] = _never
        self._supported: dict[type, bool] = {}
        self._opening = asyncio.Lock()
        self._busy = 0
        self._late = 0

    def _open(self) -> Any:
        self.context.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.context.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        instance = construct(self.driver.factory, self.context)
        self.probed = instance.probe()
        self._tell(self.driver.kind, self.name, self.probed.state, self.probed.reason)
        if self.probed.state == "ok":
            self.instance = instance
            if isinstance(instance, SupportsPrompt):
                self._prompt = instance.prompt
        return instance

    async def open(self) -> None:
        """Import, construct and probe, once however many ask. Raises Unsupported (skip) or Unavailable (error) with the
        driver's reason."""
        if self.instance is None:
            async with self._opening:
                if self.instance is None:
                    await self._run(self._open, DEADLINE)
        assert self.probed is not None
        if self.probed.state != "ok":
            kind = Unsupported if self.probed.state == "skip" else Unavailable
            raise kind(
                f"{self.driver.kind} driver {self.name} does not work here: {self.probed.reason}", subject=self.name
            )

    async def call(self, method: str, *args: Any, deadline: float = DEADLINE, **kwargs: Any) -> Any:
        """Call a method, in the driver's thread unless it is prompt. A TareError passes; any other raise is an Internal error
        with its name."""
        if self.instance is None:
            await self.open()
        bound = getattr(self.instance, method)
        if not self._busy:
            try:
                if self._prompt(method, *args):
                    return bound(*args, **kwargs)
            except Exception as error:
                raise self._translated(error) from None
        return await self._run((lambda: bound(*args, **kwargs)) if args or kwargs else bound, deadline)

    async def _run(self, function: Callable[[], Any], deadline: float) -> Any:
        if self._late:
            raise Unavailable(
                f"{self.driver.kind} driver {self.name} is degraded: an earlier call has not come back",
                subject=self.name,
                hint="see the daemon's log; restarting tared harms no container",
            )
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._executor, function)
        self._busy += 1
        future.add_done_callback(self._idle)
        done, _ = await asyncio.wait((future,), timeout=deadline)
        if not done:
            self._late += 1
            future.add_done_callback(self._came_back)
            raise Unavailable(
                f"{self.driver.kind} driver {self.name} did not answer within {deadline:g} s", subject=self.name
            )
        error = future.exception()
        if error is None:
            return future.result()
        raise self._translated(error)

    def _translated(self, error: BaseException) -> TareError:
        if isinstance(error, TareError):
            return error
        log.error("%s driver %s: %s", self.driver.kind, self.name, error, exc_info=error)
        return Internal(f"{self.driver.kind} driver {self.name}: {type(error).__name__}: {error}", subject=self.name)

    def _idle(self, _future: asyncio.Future[Any]) -> None:
        self._busy -= 1

    def _came_back(self, future: asyncio.Future[Any]) -> None:
        self._late -= 1
        if not future.cancelled():
            future.exception()

    def supports(self, protocol: type) -> bool:
        """Does the instance have this optional protocol? Only after ``open``."""
        known = self._supported.get(protocol)
        if known is None:
            known = self._supported[protocol] = isinstance(self.instance, protocol)
        return known

    async def close(self) -> None:
        if self.instance is not None and not self._late:
            try:
                await self._run(self.instance.close, 5.0)
            except TareError as error:
                log.warning("%s", error)
        self._executor.shutdown(wait=False, cancel_futures=True)


class Roster:
    """Every driver that the plugins offer, opened when first used."""

    def __init__(
        self,
        offered: Mapping[str, Mapping[str, Driver]],
        data_root: Path,
        exec_root: Path,
        instance: str,
        options: Callable[[str, str], Mapping[str, object]],
        probed: Callable[[str, str, str, str], None],
    ) -> None:
        self._offered = offered
        self._data_root = data_root
        self._exec_root = exec_root
        self._instance = instance
        self._options = options
        self._probed = probed
        self._handles: dict[tuple[str, str], Handle] = {}

    def names(self, kind: str) -> list[str]:
        return sorted(self._offered.get(kind, {}))

    def opened(self, kind: str) -> list[Handle]:
        return [h for (k, _), h in self._handles.items() if k == kind and h.instance is not None]

    def handle(self, kind: str, name: str) -> Handle:
        """The driver of that name, not opened yet if it was never used. Raises NotFound with the names there are."""
        found = self._handles.get((kind, name))
        if found is not None:
            return found
        driver = self._offered.get(kind, {}).get(name)
        if driver is None:
            known = ", ".join(self.names(kind)) or "none"
            raise NotFound(
                f"no {kind} driver named {name}",
                subject=name,
                hint=f"there are: {known}; see 'tare plugin ls'",
            )
        line = logging.getLogger(f"tare.driver.{kind}.{name}")
        context = DriverContext(
            root=self._data_root / kind / name,
            run=self._exec_root / kind / name,
            instance=self._instance,
            options=self._options(kind, name),
            log=line.warning,
        )
        found = self._handles[kind, name] = Handle(driver, context, self._probed)
        return found

    async def open(self, kind: str, name: str) -> Handle:
        handle = self.handle(kind, name)
        if handle.instance is None:
            await handle.open()
        return handle

    def with_data(self, kind: str) -> list[str]:
        """Names of offered drivers of a kind that have left something under data-root."""
        return [n for n in self.names(kind) if (self._data_root / kind / n).is_dir()]

    async def close(self) -> None:
        for handle in self._handles.values():
            await handle.close()
