"""The plugins of one daemon: which there are, which drivers they offer, and calling their hooks."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from tare.drivers.registration import Driver
from tare.errors import Internal, TareError
from tare.hooks import adjusting, discovery, lane
from tare.hooks.discovery import LOAD_DEADLINE, Found, Implementation
from tare.hooks.lane import Asking, Telling
from tare.hooks.status import PluginStatus

log = logging.getLogger(__name__)

DEADLINE = 5.0


class Adjusted(NamedTuple):
    """What ``before`` hooks changed: the merged changes, and which plugin changed which names (``PLUGIN: NAME, NAME``)."""

    changes: dict[str, Any]
    who: tuple[str, ...]


UNCHANGED = Adjusted({}, ())


class Plugins:
    """Made by ``load``; ``close`` it when the daemon stops."""

    def __init__(self, found: Collection[Found], deadline: float = DEADLINE) -> None:
        self._statuses = {plugin.status.name: plugin.status for plugin in found}
        self._deadline = deadline
        self._drivers: dict[str, dict[str, Driver]] = {kind: {} for kind in discovery.KINDS}
        self._hooks: dict[str, list[Implementation]] = {}
        for plugin in found:
            for driver in plugin.drivers:
                self._drivers[driver.kind][driver.name] = driver
            for hook, implementation in plugin.hooks.items():
                if hook not in discovery.REGISTER:
                    self._hooks.setdefault(hook, []).append(implementation)
        self._asking = {name: Asking(name) for name in self._statuses}
        self._telling = {name: Telling(name, deadline) for name in self._statuses}

    @classmethod
    def load(cls, disabled: Collection[str] = (), *, load_deadline: float = LOAD_DEADLINE, deadline: float = DEADLINE) -> Plugins:
        """Find and load every plugin but the disabled ones. A plugin that fails is logged and listed, and stops nothing.

        Blocks, for at most ``load_deadline`` seconds a plugin's step; ``deadline`` is that of every later call.
        """
        plugins = cls(discovery.discover(disabled, load_deadline), deadline)
        for status in plugins.list():
            if status.state == "failed":
                log.error("plugin %s (%s %s) failed: %s", status.name, status.dist, status.version, status.reason)
        for name in set(disabled) - {known.partition("@")[0] for known in plugins._statuses} - set(plugins._statuses):
            log.warning("plugins.disable names %s, which is not installed", name)
        return plugins

    def list(self) -> list[PluginStatus]:
        """Every plugin that was found, by name."""
        return list(self._statuses.values())

    def drivers(self, kind: str) -> dict[str, Driver]:
        """The drivers of a kind (storage, network, runtime) by name."""
        return dict(self._drivers[kind])

    def offered(self) -> dict[str, dict[str, Driver]]:
        """All drivers by kind and name."""
        return {kind: dict(drivers) for kind, drivers in self._drivers.items()}

    def probed(self, kind: str, name: str, state: str, reason: str) -> None:
        """Note what a driver's probe said, for ``list``: ``ok``, ``skip`` or ``error``."""
        for status in self._statuses.values():
            drivers = tuple(
                replace(d, state=state, reason=reason) if (d.kind, d.name) == (kind, name) and d.state != "refused" else d
                for d in status.drivers
            )
            self._statuses[status.name] = replace(status, drivers=drivers)

    async def before(self, hook: str, **values: Any) -> Adjusted:
        """Ask every plugin, in the order of their names, each seeing what those before it changed.

        Raises the plugin's TareError with its name (a veto), or Internal when it raises anything else, answers what the
        hook does not allow, or misses its deadline.
        """
        implementations = self._hooks.get(hook)
        if implementations is None:
            return UNCHANGED
        changes: dict[str, Any] = {}
        who: list[str] = []
        for implementation in implementations:
            answer = await self._ask(hook, implementation, values)
            if answer is None:
                continue
            try:
                changed, values = adjusting.accept(hook, values, answer)
            except ValueError as error:
                raise Internal(f"plugin {implementation.plugin}: {hook} {error}", subject=implementation.plugin) from error
            except Exception as error:
                raise _failed(implementation.plugin, hook, error) from error
            if changed:
                changes.update(changed)
                who.append(f"{implementation.plugin}: {', '.join(sorted(map(str, changed)))}")
        return Adjusted(changes, tuple(who))

    async def _ask(self, hook: str, implementation: Implementation, values: Mapping[str, Any]) -> Any:
        plugin, asking = implementation.plugin, self._asking[implementation.plugin]
        if asking.late:
            raise Internal(f"plugin {plugin}: {hook} cannot be asked: an earlier call has not come back", subject=plugin)
        wanted = _copied(implementation, values)
        future = asking.ask(lambda: implementation.function(**wanted))
        try:
            answer, error = await asyncio.wait_for(asyncio.wrap_future(future), self._deadline)
        except TimeoutError:
            asking.give_up(future)
            raise Internal(f"plugin {plugin}: {hook} did not come back within {self._deadline:g} s", subject=plugin) from None
        except asyncio.CancelledError:
            asking.give_up(future)
            raise
        if error is not None:
            raise _failed(plugin, hook, error) from error
        return answer

    def after(self, hook: str, **values: Any) -> None:
        """Tell every plugin; never waits and never raises."""
        implementations = self._hooks.get(hook)
        if implementations is None:
            return
        for implementation in implementations:
            wanted = _copied(implementation, values)
            self._telling[implementation.plugin].tell(hook, lambda f=implementation.function, w=wanted: f(**w))  # type: ignore[misc]

    def close(self, seconds: float = DEADLINE) -> None:
        """Let plugins hear what they have not heard yet, for at most so many seconds in all. Safe twice."""
        until = time.monotonic() + seconds
        for name, telling in self._telling.items():
            if not telling.settle(max(0.0, until - time.monotonic())):
                log.warning("plugin %s has not heard everything", name)
            telling.close()


def _copied(implementation: Implementation, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that an implementation wants, as its own: changing them changes nothing."""
    return {name: _own(values[name]) for name in implementation.arguments if name in values}


def _own(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _own(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_own, value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: _own(getattr(value, field.name)) for field in dataclasses.fields(value)})
    return value


def _failed(plugin: str, hook: str, error: BaseException) -> TareError:
    if isinstance(error, TareError):
        return type(error)(f"plugin {plugin}: {error.message}", subject=error.subject, hint=error.hint, exit_code=error.exit_code)
    log.error("plugin %s: %s: %s", plugin, hook, lane.words(error), exc_info=error)
    return Internal(f"plugin {plugin}: {hook}: {lane.words(error)}", subject=plugin)
