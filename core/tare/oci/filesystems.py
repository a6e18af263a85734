"""The mounts of the specification: what every container has, and what the user asked for."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

from tare.errors import Invalid
from tare.linux.filesystems import filesystem_type
from tare.linux.mounts import WITHIN_PROC, split_options
from tare.oci.request import DEFAULT_SHM, SpecRequest

Entry = dict[str, Any]

_PROC: Entry = {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]}
_DEV: Entry = {
    "destination": "/dev",
    "type": "tmpfs",
    "source": "tmpfs",
    "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
}
_PTS: Entry = {
    "destination": "/dev/pts",
    "type": "devpts",
    "source": "devpts",
    "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
}
_MQUEUE: Entry = {
    "destination": "/dev/mqueue",
    "type": "mqueue",
    "source": "mqueue",
    "options": ["nosuid", "noexec", "nodev"],
}
_SYS: Entry = {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]}
_CGROUP: Entry = {
    "destination": "/sys/fs/cgroup",
    "type": "cgroup",
    "source": "cgroup",
    "options": ["ro", "nosuid", "noexec", "nodev"],
}

MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
TMPFS_OPTIONS = ("size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol")
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def mounts(request: SpecRequest, writable_cgroups: bool) -> list[Entry]:
    """All mounts in the order to perform: the defaults that no user's mount replaces, then the user's, outer before inner."""
    wanted = [*map(_bind, request.binds), *map(_tmpfs, request.tmpfs)]
    if request.init:
        wanted.append(
            {
                "destination": "/sbin/docker-init",
                "type": "bind",
                "source": request.init,
                "options": ["bind", "ro", "rprivate"],
            }
        )
    defaults = [_PROC, _DEV, _PTS, _SYS, _CGROUP, _MQUEUE]
    if request.privileged or writable_cgroups:
        defaults = [_writable(entry) if entry is _CGROUP or request.privileged else entry for entry in defaults]
    shm = _shm(request)
    if shm is not None:
        defaults.append(shm)
    if not wanted:
        return defaults
    taken = {entry["destination"] for entry in wanted}
    if "/dev" in taken:
        taken.update(entry["destination"] for entry in defaults if entry["destination"].startswith("/dev/"))
    for entry in wanted:
        _spare_proc(entry)
    wanted.sort(key=lambda entry: entry["destination"].rstrip("/").count("/"))
    return [entry for entry in defaults if entry["destination"] not in taken] + wanted


def masked(request: SpecRequest, system_paths: bool) -> list[str]:
    """``linux.maskedPaths``."""
    if request.masked_paths is not None:
        return list(request.masked_paths)
    return [*MASKED, *_throttles()] if system_paths and not request.privileged else []


def read_only(request: SpecRequest, system_paths: bool) -> list[str]:
    """``linux.readonlyPaths``."""
    if request.readonly_paths is not None:
        return list(request.readonly_paths)
    return list(READ_ONLY) if system_paths and not request.privileged else []


def _bind(bind: Any) -> Entry:
    options = ["rbind" if bind.recursive else "bind", "ro" if bind.read_only else "rw", bind.propagation or "rprivate"]
    return {"destination": _absolute(bind.target), "type": "bind", "source": bind.source, "options": options}


def _tmpfs(tmpfs: Any) -> Entry:
    for word in filter(None, split_options(tmpfs.options)[2].split(",")):
        name, given, _ = word.partition("=")
        if not given or name not in TMPFS_OPTIONS:
            hint = f"a word of mount(8), or one of {', '.join(TMPFS_OPTIONS)} with a value"
            raise Invalid(f'invalid tmpfs option ["{word}"]', subject=tmpfs.target, hint=hint)
    return {"destination": _absolute(tmpfs.target), "type": "tmpfs", "source": "tmpfs", "options": [*tmpfs.options, "rprivate"]}


def _absolute(target: str) -> str:
    clean = "/" + os.path.normpath(target).lstrip("/")
    if not target.startswith("/") or clean == "/":
        raise Invalid(f"invalid mount target: '{target}': it must be an absolute path and not /", subject=target)
    return clean


def _spare_proc(entry: Entry) -> None:
    """Refuse what would hide /proc or a part of it; where a link of the image leads there, the runtime refuses."""
    target = entry["destination"]
    if target.startswith("/proc/") and target not in WITHIN_PROC:
        raise Invalid(f"cannot mount at {target}: it is inside /proc", subject=target, hint="mount it elsewhere")
    if target == "/proc" and not (entry["type"] == "bind" and filesystem_type(entry["source"]) == "proc"):
        raise Invalid(f"cannot mount at {target}: it is not of type proc", subject=target, hint="mount it elsewhere")


def _shm(request: SpecRequest) -> Entry | None:
    if request.ipc_mode == "none":
        return None
    if request.ipc_mode == "host":
        return {"destination": "/dev/shm", "type": "bind", "source": "/dev/shm", "options": ["rbind", "rw", "rprivate"]}
    size = request.shm_size or DEFAULT_SHM
    options = ["nosuid", "noexec", "nodev", "mode=1777", f"size={size}"]
    return {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": options}


def _writable(entry: Entry) -> Entry:
    return {**entry, "options": [word for word in entry["options"] if word != "ro"]}


@lru_cache(maxsize=1)
def _throttles() -> tuple[str, ...]:
    """Per-CPU counters that leak what other tenants do (only where the machine has them)."""
    base = "/sys/devices/system/cpu"
    places = (f"{base}/{name}/thermal_throttle" for name in sorted(os.listdir(base)) if name[3:].isdigit())
    return tuple(place for place in places if os.path.isdir(place))
