"""A container as the user asked for it and as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tare.model.network import PortRequest


@dataclass(frozen=True, slots=True)
class BindMount:
    """A host path inside the container. ``propagation`` as mount(2) names it (rprivate, rslave, rshared …).

    ``create`` makes a missing source directory, as ``-v`` does and ``--mount`` does not.
    """

    source: str
    target: str
    read_only: bool = False
    propagation: str = "rprivate"
    recursive: bool = True
    create: bool = False
    spelled: str = "mount"


@dataclass(frozen=True, slots=True)
class TmpfsMount:
    """A tmpfs inside the container; ``options`` are tmpfs(5) words, by default Docker's noexec,nosuid,nodev."""

    target: str
    options: tuple[str, ...] = ("noexec", "nosuid", "nodev")
    spelled: str = "tmpfs"


@dataclass(frozen=True, slots=True)
class Device:
    """A host device node inside the container; ``access`` is a subset of ``rwm``."""

    source: str
    target: str
    access: str = "rwm"


@dataclass(frozen=True, slots=True)
class Ulimit:
    """A resource limit by its setrlimit(2) name without RLIMIT_, in lower case. -1 is unlimited."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class Limits:
    """Resource limits. Bytes, nanoseconds and counts; 0 means unset everywhere but ``pids`` and swap (-1 is unlimited)."""

    memory: int = 0
    memory_swap: int = 0
    memory_reservation: int = 0
    nano_cpus: int = 0
    cpu_shares: int = 0
    cpu_quota: int = 0
    cpu_period: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids: int = 0
    blkio_weight: int = 0


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    """The whole wish: what came from the client, with nothing of the image merged in.

    ``None`` in ``command``, ``entrypoint``, ``stop_timeout`` means that the image or the daemon decides.
    ``console_size`` is (rows, columns) of the first terminal, zeros where the client does not say.
    """

    image: str
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    env: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    hostname: str = ""
    domainname: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    stop_timeout: int | None = None
    tty: bool = False
    console_size: tuple[int, int] = (0, 0)
    open_stdin: bool = False
    stdin_once: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    auto_remove: bool = False
    exposed_ports: tuple[str, ...] = ()
    ports: tuple[PortRequest, ...] = ()
    publish_all: bool = False
    network: str = "default"
    address: str = ""
    address6: str = ""
    mac: str = ""
    binds: tuple[BindMount, ...] = ()
    tmpfs: tuple[TmpfsMount, ...] = ()
    devices: tuple[Device, ...] = ()
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    group_add: tuple[str, ...] = ()
    privileged: bool = False
    read_only: bool = False
    security_opt: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    pid_mode: str = ""
    ipc_mode: str = ""
    uts_mode: str = ""
    cgroupns_mode: str = ""
    cgroup_parent: str = ""
    shm_size: int = 0
    sysctls: Mapping[str, str] = field(default_factory=dict)
    ulimits: tuple[Ulimit, ...] = ()
    oom_score_adj: int = 0
    init: bool | None = None
    limits: Limits = Limits()
    masked_paths: tuple[str, ...] | None = None
    readonly_paths: tuple[str, ...] | None = None
    log_driver: str = ""
    log_options: Mapping[str, str] = field(default_factory=dict)
    runtime: str = ""
    storage_driver: str = ""
    storage_options: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ContainerState:
    """Where a container is in its life. Times are RFC 3339 with nanoseconds in UTC, or ``""`` for never.

    ``status`` is one of created, running, paused, restarting, removing, exited, dead.
    """

    status: str = "created"
    pid: int = 0
    start_time: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_at: str = ""
    finished_at: str = ""


@dataclass(frozen=True, slots=True)
class Exec:
    """A further process in a running container. ``exit_code`` is None until it has ended (or while unknown)."""

    id: str
    container: str
    command: tuple[str, ...]
    env: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    tty: bool = False
    console_size: tuple[int, int] = (0, 0)
    open_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    privileged: bool = False
    detach_keys: str = ""
    running: bool = False
    pid: int = 0
    start_time: int = 0
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What of a log is wanted. Times are nanoseconds since the epoch; ``tail`` -1 is everything."""

    stdout: bool = True
    stderr: bool = True
    follow: bool = False
    since: int = 0
    until: int = 0
    timestamps: bool = False
    tail: int = -1
