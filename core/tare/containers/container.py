"""A container as the engine holds it: the wish, what became of it, and where it is in its life."""

from __future__ import annotations

from dataclasses import dataclass, field

from tare.model.container import ContainerConfig, ContainerState, Exec, Ulimit
from tare.model.image import ImageConfig
from tare.model.network import Attachment, Endpoint, PortBinding
from tare.model.process import ProcessRef


@dataclass(slots=True)
class Connection:
    """A container's place on one network, from its start to its end."""

    endpoint: Endpoint
    attachment: Attachment
    bindings: tuple[PortBinding, ...] = ()


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a start took from the daemon's settings. ``seccomp_profile`` is ``""`` or ``builtin``, ``unconfined``, or a
    profile's text; ``cgroup_parent`` ``""`` leaves the place to the runtime."""

    no_new_privileges: bool = False
    seccomp_profile: str = ""
    ulimits: tuple[Ulimit, ...] = ()
    cgroup_parent: str = ""


@dataclass(slots=True)
class Container:
    """The engine's record. Only the engine writes to it; others read.

    ``config`` is what was asked for and what the daemon fixed at create, ``image_config`` what the image adds;
    ``args`` the merged command line, ``env`` the merged environment, ``working_dir``, ``user``, ``stop_signal`` and
    ``labels`` likewise merged.
    ``storage``, ``runtime`` and ``log_driver`` are the names chosen (never empty), ``log_options`` the log's merged options,
    ``init`` the host path of an init program or ``""``. ``directory`` holds the container's
    hosts, hostname, resolv.conf and log. ``connections`` is keyed by network name; empty while it does not run, but
    ``last_bindings`` keeps what ports it had. ``defaults`` (None before the first start) and ``adjusted`` are of the last
    start and decide what an exec is like: the daemon's settings of then, and what plugins made of the specification's
    ``process`` and ``linux`` (marshal, in hex; ``""`` for nothing).
    """

    id: str
    name: str
    created: str
    config: ContainerConfig
    image_id: str
    image_config: ImageConfig
    args: tuple[str, ...]
    env: tuple[str, ...]
    working_dir: str
    user: str
    hostname: str
    stop_signal: str
    labels: dict[str, str]
    storage: str
    runtime: str
    log_driver: str
    directory: str
    log_options: dict[str, str] = field(default_factory=dict)
    init: str = ""
    state: ContainerState = field(default_factory=ContainerState)
    connections: dict[str, Connection] = field(default_factory=dict)
    last_bindings: tuple[PortBinding, ...] = ()
    execs: dict[str, Exec] = field(default_factory=dict)
    changed_by: tuple[str, ...] = ()
    defaults: Defaults | None = None
    adjusted: str = ""

    @property
    def running(self) -> bool:
        return self.state.status in ("running", "paused")

    @property
    def process(self) -> ProcessRef:
        """The first process; meaningful while ``running``."""
        return ProcessRef(self.id, self.state.pid, self.state.start_time)

    @property
    def log_path(self) -> str:
        """The log file, or ``""`` with the driver ``none``."""
        names = {"json-file": f"{self.id}-json.log", "local": "container.log"}
        name = names.get(self.log_driver)
        return f"{self.directory}/{name}" if name else ""
