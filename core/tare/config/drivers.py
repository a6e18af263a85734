"""Settings meet the drivers that the plugins offer: each driver's own options checked against what it declares."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from tare.config.keys import KEYS, SECTIONS
from tare.config.load import nearest
from tare.config.settings import Settings
from tare.config.values import OPTION_TYPES, AddressPool, Wrong
from tare.drivers.registration import Driver
from tare.errors import Invalid

# A driver with this name runs the command lines of ``[runtime.runtimes.NAME] path = …``.
COMMAND_RUNTIME = "runc"

Offered = Mapping[str, Mapping[str, Driver]]
"""Drivers by kind and name."""


def bind(settings: Settings, offered: Offered) -> Settings:
    """Settings whose ``driver_options`` are checked. Raises Invalid with a line for each problem: a table for a driver that
    nobody offers, an option that a driver does not declare, a wrong type, a default that does not exist."""
    problems: list[str] = []
    options: dict[tuple[str, str], Mapping[str, Any]] = {}
    for (kind, name), table in settings.tables.items():
        driver = offered.get(kind, {}).get(name)
        if driver is None:
            known = {*offered.get(kind, {}), *(path.split(".")[1] for path in SECTIONS if path.startswith(f"{kind}."))}
            problems.append(f"{settings.at(f'{kind}.{name}')}: no plugin offers a {kind} driver {name}{nearest(name, (), known)}")
        else:
            options[kind, name] = _checked(settings, driver, table, f"{kind}.{name}", problems)
    for name, driver in offered.get("network", {}).items():
        options["network", name] = {**_shared(settings, driver), **options.get(("network", name), {})}
    _undeclared(settings, offered, problems)
    aliases = _aliases(settings, offered, options, problems)
    _defaults(settings, offered, aliases, problems)
    if problems:
        raise Invalid("\n".join(problems))
    return dataclasses.replace(settings, options=MappingProxyType(options), aliases=MappingProxyType(aliases))


def _checked(settings: Settings, driver: Driver, table: Mapping[str, Any], where: str, problems: list[str]) -> dict[str, Any]:
    checked = {}
    for name, value in table.items():
        at = settings.at(f"{where}.{name}")
        kind = driver.options.get(name)
        if kind is None:
            known = f" (it has {', '.join(sorted(driver.options))})" if driver.options else " (it has none)"
            problems.append(f"{at}: the driver has no such option{nearest(name, (), driver.options) or known}")
            continue
        try:
            checked[name] = OPTION_TYPES[kind](_from_text(kind, value))
        except Wrong as wrong:
            problems.append(f"{at}: {wrong.message}")
    return checked


def _from_text(kind: str, value: Any) -> Any:
    """``storage.opts`` and driver options of daemon.json are texts whatever their type."""
    if isinstance(value, str):
        if kind == "int" and value.lstrip("-").isdecimal():
            return int(value)
        if kind == "bool" and value in ("true", "false"):
            return value == "true"
        if kind == "list":
            return value.split(",")
    return value


def _shared(settings: Settings, driver: Driver) -> dict[str, Any]:
    """The keys of ``[network]`` that a driver declares; for the driver ``bridge`` also those of its own section."""
    shared = {}
    for path, value in settings.values.items():
        option = _option(path, driver.name)
        if option in driver.options:
            shared[option] = [dataclasses.asdict(v) for v in value] if _is_pools(value) else _list(value)
    return shared


def _option(path: str, driver: str) -> str:
    own = f"network.{driver}."
    return path.removeprefix(own if path.startswith(own) else "network.") if path.startswith("network.") else ""


def _is_pools(value: object) -> bool:
    return isinstance(value, tuple) and bool(value) and isinstance(value[0], AddressPool)


def _list(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


# Keys of [network] that the core itself honours.
_CORE = ("network.host-gateway-ips", "network.firewall.backend")


def _undeclared(settings: Settings, offered: Offered, problems: list[str]) -> None:
    """A network key that was given and that no driver on offer honours is an error, not silence."""
    drivers = offered.get("network", {}).values()
    for path, value in settings.values.items():
        if not path.startswith("network.") or path in _CORE or value == KEYS[path].default:
            continue
        if not any(_option(path, driver.name) in driver.options for driver in drivers):
            problems.append(f"{settings.at(path)}: no network driver supports it")


def _aliases(
    settings: Settings, offered: Offered, options: dict[tuple[str, str], Mapping[str, Any]], problems: list[str]
) -> dict[str, Driver]:
    """``[runtime.runtimes.NAME]`` as drivers of that name."""
    runtimes = offered.get("runtime", {})
    made: dict[str, Driver] = {}
    for name, entry in settings.runtime.runtimes.items():
        where = f"{settings.origins['runtime.runtimes']}: runtime.runtimes.{name}"
        wanted = entry.runtime_type or COMMAND_RUNTIME
        driver = runtimes.get(wanted)
        if name in runtimes:
            problems.append(f"{where}: {name} is the name of a driver")
        elif driver is None and entry.path:
            problems.append(f"{where}.path: no plugin offers a runtime that runs command lines (a driver {COMMAND_RUNTIME})")
        elif driver is None:
            problems.append(f"{where}.runtimeType: no plugin offers a runtime driver {wanted}{nearest(wanted, (), runtimes)}")
        else:
            own = {"path": entry.path, "args": list(entry.runtime_args)} if entry.path else {}
            options["runtime", name] = _checked(settings, driver, {**own, **entry.options}, f"{where}.options", problems)
            made[name] = dataclasses.replace(driver, name=name)
    return made


def _defaults(settings: Settings, offered: Offered, aliases: Iterable[str], problems: list[str]) -> None:
    storage, runtime = offered.get("storage", {}), {*offered.get("runtime", {}), *aliases}
    for path, wanted, known in (
        ("storage.driver", settings.storage.driver, set(storage)),
        ("runtime.default", settings.runtime.default, runtime),
    ):
        if wanted and wanted not in known and settings.origins[path] != "default":
            names = f" (there are: {', '.join(sorted(known)) or 'none'}; see 'tare plugin ls')"
            problems.append(f"{settings.at(path)}: no plugin offers a driver {wanted}{nearest(wanted, (), known) or names}")
