"""The settings of one daemon, typed and frozen. A TOML path is an attribute path: ``network.bridge.fixed-cidr`` is
``settings.network.bridge.fixed_cidr``. What each key means is said once, in tare.config.keys.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

from tare.config.values import AddressPool, RuntimeEntry
from tare.drivers.registration import Driver
from tare.errors import NotFound
from tare.model.container import Ulimit


@dataclass(frozen=True, slots=True)
class Api:
    hosts: tuple[str, ...]
    group: str
    min_version: str
    allow_plain_tcp: bool


@dataclass(frozen=True, slots=True)
class Log:
    debug: bool
    level: str
    format: str


@dataclass(frozen=True, slots=True)
class Storage:
    driver: str
    opts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Runtime:
    default: str
    runtimes: Mapping[str, RuntimeEntry]
    exec_opts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plugins:
    disable: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cgroups:
    parent: str
    namespace: str


@dataclass(frozen=True, slots=True)
class ContainerLog:
    driver: str
    opts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Containers:
    init: bool
    init_path: str
    ipc: str
    shm_size: int
    ulimits: tuple[Ulimit, ...]
    stop_timeout: int
    log: ContainerLog


@dataclass(frozen=True, slots=True)
class Security:
    seccomp_profile: str
    no_new_privileges: bool


@dataclass(frozen=True, slots=True)
class Dns:
    servers: tuple[str, ...]
    options: tuple[str, ...]
    search: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bridge:
    name: str
    ip: str
    ip6: str
    fixed_cidr: str
    fixed_cidr_v6: str
    gateway: str
    gateway_v6: str
    ipv6: bool
    mtu: int
    icc: bool
    publish_ip: str
    masquerade: bool


@dataclass(frozen=True, slots=True)
class Firewall:
    ipv4: bool
    ipv6: bool
    backend: str


@dataclass(frozen=True, slots=True)
class Network:
    bridge: Bridge
    address_pools: tuple[AddressPool, ...]
    ip_forward: bool
    ip_forward_no_drop: bool
    firewall: Firewall
    allow_direct_routing: bool
    userland_proxy: bool
    host_gateway_ips: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """Made by tare.config.load.load.

    ``values`` holds every supported key by its path; ``origins`` says where each comes from: ``default``,
    ``FILE:LINE``, ``flag --NAME`` or ``environment NAME``. ``tables`` are drivers' own options as the file and
    ``storage.opts`` give them, by (kind, name); ``warnings`` are lines for the log.
    """

    data_root: Path
    exec_root: Path
    pidfile: Path
    labels: tuple[str, ...]
    shutdown_timeout: int
    live_restore: bool
    api: Api
    log: Log
    storage: Storage
    runtime: Runtime
    plugins: Plugins
    cgroups: Cgroups
    containers: Containers
    security: Security
    dns: Dns
    network: Network
    values: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    origins: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    tables: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict, repr=False)
    warnings: tuple[str, ...] = ()
    options: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict, repr=False, compare=False)
    aliases: Mapping[str, Driver] = field(default_factory=dict, repr=False, compare=False)

    def driver_options(self, kind: str, name: str) -> dict[str, Any]:
        """The checked options for a driver's DriverContext: what its table holds, and those keys of ``[network]`` and
        ``[network.bridge]`` that it declares. Names are spelled as in TOML. Empty before tare.config.drivers.bind."""
        return dict(self.options.get((kind, name), {}))

    def offered(self, kind: str, drivers: Mapping[str, Driver]) -> dict[str, Driver]:
        """The drivers of a kind by name, with the names that ``[runtime.runtimes]`` adds."""
        return {**drivers, **(self.aliases if kind == "runtime" else {})}

    def at(self, path: str) -> str:
        """``ORIGIN: PATH`` for a message about a key or a driver's option."""
        origin = self.origins.get(path)
        return f"{origin}: {path}" if origin else path

    def value(self, path: str) -> Any:
        """A supported key by its TOML path. Raises NotFound."""
        if path not in self.values:
            raise NotFound(f"no configuration key {path}", subject=path)
        return self.values[path]


@cache
def _sections(cls: type) -> dict[str, type]:
    """The fields of a settings class that are settings classes themselves."""
    hints = get_type_hints(cls)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls) if dataclasses.is_dataclass(hints[f.name])}


def build(values: Mapping[str, Any], **rest: Any) -> Settings:
    """Settings from the values of all supported keys by path."""
    fields: dict[str, Any] = _fields(Settings, "", values, skip=("values", "origins", "tables", "warnings", "options", "aliases"))
    return Settings(**fields, values=values, **rest)


def _fields(cls: type, prefix: str, values: Mapping[str, Any], skip: Iterable[str] = ()) -> dict[str, Any]:
    sections = _sections(cls)
    made: dict[str, Any] = {}
    for item in dataclasses.fields(cls):
        if item.name in skip:
            continue
        path = prefix + item.name.replace("_", "-")
        section = sections.get(item.name)
        made[item.name] = section(**_fields(section, path + ".", values)) if section else values[path]
    return made
