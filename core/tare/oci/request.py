"""Everything that decides what a container's OCI runtime specification says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tare.model.container import BindMount, Device, Limits, TmpfsMount, Ulimit

DEFAULT_SHM = 64 << 20
"""Bytes of /dev/shm when nobody says otherwise, as in Docker."""


@dataclass(frozen=True, slots=True)
class SpecRequest:
    """A container's wish, with the image and the daemon's settings merged in.

    ``user`` is what ``--user`` takes (``""``, name or number, ``:group``): the container's child looks it up inside.
    ``network`` is ``new``, ``host`` or ``container``; ``pid_mode``, ``ipc_mode``, ``uts_mode``, ``cgroupns_mode`` as
    Docker spells them. ``cgroups_path`` is absolute below each hierarchy, or ``""`` for the runtime's own choice.
    ``init`` is the host path of a static init program to put before the command, or ``""``.
    ``seccomp_profile`` is the daemon's default: ``""`` or ``builtin``, ``unconfined``, or the text of a profile.
    ``masked_paths`` and ``readonly_paths`` None mean Docker's. ``rootfs_propagation`` as mount(2) names it.
    """

    id: str
    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: str = ""
    groups: tuple[str, ...] = ()
    tty: bool = False
    hostname: str = ""
    domainname: str = ""
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    privileged: bool = False
    security_opt: tuple[str, ...] = ()
    no_new_privileges: bool = False
    seccomp_profile: str = ""
    masked_paths: tuple[str, ...] | None = None
    readonly_paths: tuple[str, ...] | None = None
    binds: tuple[BindMount, ...] = ()
    tmpfs: tuple[TmpfsMount, ...] = ()
    devices: tuple[Device, ...] = ()
    shm_size: int = 0
    sysctls: Mapping[str, str] = field(default_factory=dict)
    ulimits: tuple[Ulimit, ...] = ()
    oom_score_adj: int = 0
    limits: Limits = field(default_factory=Limits)
    cgroups_path: str = ""
    network: str = "new"
    pid_mode: str = ""
    ipc_mode: str = ""
    uts_mode: str = ""
    cgroupns_mode: str = ""
    read_only: bool = False
    init: str = ""
    rootfs_propagation: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
