"""Finding plugins and asking them for their drivers, trusting none of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from tare.drivers.registration import API_VERSION, Driver
from tare.hooks import lane
from tare.hooks.specs import GROUP, PROJECT, SPECS
from tare.hooks.status import DriverStatus, PluginStatus

LOAD_DEADLINE = 10.0
KINDS = ("storage", "network", "runtime")
REGISTER = {f"tare_register_{kind}_drivers": kind for kind in KINDS}
OPTION_TYPES = frozenset(("string", "bool", "int", "bytes", "list", "table"))
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


@dataclass(frozen=True, slots=True)
class Implementation:
    """One plugin's function for one hook; ``arguments`` are those of the hook's values that it wants."""

    plugin: str
    function: Callable[..., Any]
    arguments: tuple[str, ...]


@dataclass(slots=True)
class Found:
    """A plugin while it is looked at."""

    status: PluginStatus
    hooks: dict[str, Implementation] = field(default_factory=dict)
    drivers: list[Driver] = field(default_factory=list)


class Refused(Exception):
    """Why a plugin cannot be used."""


def discover(disabled: Collection[str] = (), deadline: float = LOAD_DEADLINE) -> list[Found]:
    """Every entry point of the group ``tare.plugins``, in the order of the plugins' names. Never raises for a plugin's sake.

    Where two distributions offer one name, both are called ``NAME@DISTRIBUTION``.
    """
    points = sorted(entry_points(group=GROUP), key=lambda point: (point.name, _dist(point)))
    counts = Counter(point.name for point in points)
    found = []
    for point in points:
        name = point.name if counts[point.name] == 1 else f"{point.name}@{_dist(point)}"
        plugin = Found(PluginStatus(name, _dist(point), (point.dist.version if point.dist else "") or "", point.value, "ok"))
        found.append(plugin)
        if name in disabled or point.name in disabled:
            plugin.status = replace(plugin.status, state="skipped", reason="disabled by plugins.disable")
        else:
            _take_in(plugin, point, deadline)
    _refuse_duplicates(found)
    return found


def _dist(point: EntryPoint) -> str:
    return (point.dist.name if point.dist else "") or ""


def _take_in(plugin: Found, point: EntryPoint, deadline: float) -> None:
    """Load, look for hooks, ask for drivers; or note why not."""
    name = plugin.status.name
    try:
        loaded = _guarded(point.load, deadline, f"importing {point.value}")
        plugin.hooks = _guarded(lambda: _implementations(name, loaded), deadline, "reading its hooks")
        plugin.status = replace(plugin.status, hooks=tuple(sorted(plugin.hooks)))
        if not plugin.hooks:
            plugin.status = replace(plugin.status, state="skipped", reason="implements no hook")
        for hook, kind in REGISTER.items():
            if hook in plugin.hooks:
                _take_drivers(plugin, kind, _guarded(plugin.hooks[hook].function, deadline, hook))
    except Exception as error:
        # What a plugin hands over may do anything when it is looked at.
        reason = str(error) if isinstance(error, Refused) else f"what it offers cannot be read: {lane.words(error)}"
        drivers = tuple(replace(d, state="refused", reason="its plugin failed") for d in plugin.status.drivers)
        plugin.status = replace(plugin.status, state="failed", reason=reason, drivers=drivers)
        plugin.hooks.clear()
        plugin.drivers.clear()


def _guarded(function: Callable[[], Any], deadline: float, what: str) -> Any:
    try:
        value, error = lane.call(function, deadline, what)
    except lane.Late:
        raise Refused(f"{what} did not come back within {deadline:g} s") from None
    if isinstance(error, Refused):
        raise error
    if error is not None:
        raise Refused(f"{what}: {lane.words(error)}") from error
    return value


def _implementations(name: str, loaded: object) -> dict[str, Implementation]:
    """The hooks of a plugin, checked by pluggy against the hookspecs."""
    manager = pluggy.PluginManager(PROJECT)
    for spec in SPECS:
        manager.add_hookspecs(spec)
    known = [hook for spec in SPECS for hook in vars(spec) if hook.startswith("tare_")]
    try:
        manager.register(loaded, name)
    except pluggy.PluginValidationError as error:
        raise Refused(" ".join(str(error).split())) from error
    found: dict[str, Implementation] = {}
    for caller in manager.get_hookcallers(loaded) or ():
        for implementation in caller.get_hookimpls():
            if caller.spec is None and implementation.optionalhook:
                continue
            if caller.spec is None:
                close = get_close_matches(caller.name, known, 1)
                raise Refused(f"there is no hook {caller.name}" + (f"; did you mean {close[0]}" if close else ""))
            if implementation.wrapper or implementation.hookwrapper:
                raise Refused(f"{caller.name} is a wrapper, which tare does not call")
            found[caller.name] = Implementation(name, implementation.function, implementation.argnames)
    return found


def _take_drivers(plugin: Found, kind: str, returned: object) -> None:
    hook = f"tare_register_{kind}_drivers"
    if not isinstance(returned, list | tuple) or not all(isinstance(driver, Driver) for driver in returned):
        raise Refused(f"{hook} must return a list of tare.drivers.registration.Driver, not {_shape(returned)}")
    for driver in returned:
        why = _objection(driver, kind)
        if not why:
            plugin.drivers.append(driver)
        _note(plugin, driver, why)


def _shape(returned: object) -> str:
    if isinstance(returned, list | tuple):
        return f"a list with {', '.join(sorted({type(item).__name__ for item in returned}))}"
    return type(returned).__name__


def _objection(driver: Driver, kind: str) -> str:
    """Why a driver cannot be taken, or ``""``."""
    if not isinstance(driver.name, str) or not _NAME.fullmatch(driver.name):
        return "has no name that a driver may have: a-z, 0-9, _ . and -, at most 63 characters"
    if driver.kind != kind:
        return f"is of kind {driver.kind!r} but was returned by tare_register_{kind}_drivers"
    try:
        oldest, newest = driver.api
        fits = oldest <= API_VERSION <= newest
    except (TypeError, ValueError):
        return f"declares no pair of versions as its api: {driver.api!r}"
    if not fits:
        return f"was written for version {oldest} to {newest} of the driver contracts, this tare has {API_VERSION}"
    if not isinstance(driver.factory, str) or not _FACTORY.fullmatch(driver.factory):
        return f"has a factory that is not module:callable: {driver.factory!r}"
    unknown = [f"{name}: {type}" for name, type in driver.options.items() if type not in OPTION_TYPES]
    if unknown:
        return f"has options of unknown types ({', '.join(unknown)}); there are {', '.join(sorted(OPTION_TYPES))}"
    return ""


def _note(plugin: Found, driver: Driver, why: str) -> None:
    """Record a driver; one that is refused makes its plugin a failed one, though the others of it work."""
    state = DriverStatus(driver.kind, str(driver.name), "refused" if why else "ok", why, driver.summary)
    others = tuple(d for d in plugin.status.drivers if (d.kind, d.name) != (state.kind, state.name))
    plugin.status = replace(plugin.status, drivers=(*others, state))
    if why:
        reason = f"{driver.kind} driver {driver.name} {why}"
        reasons = f"{plugin.status.reason}; {reason}" if plugin.status.reason else reason
        plugin.status = replace(plugin.status, state="failed", reason=reasons)


def _refuse_duplicates(found: Iterable[Found]) -> None:
    """Two drivers of one kind and name: neither is used, both are named."""
    claims: dict[tuple[str, str], list[tuple[Found, Driver]]] = {}
    for plugin in found:
        for driver in plugin.drivers:
            claims.setdefault((driver.kind, driver.name), []).append((plugin, driver))
    for claimants in claims.values():
        if len(claimants) < 2:
            continue
        names = [f"{plugin.status.name} ({plugin.status.dist} {plugin.status.version})" for plugin, _ in claimants]
        for plugin, driver in claimants:
            plugin.drivers.remove(driver)
            _note(plugin, driver, f"is offered by {' and by '.join(names)}: disable one of them by plugins.disable")
