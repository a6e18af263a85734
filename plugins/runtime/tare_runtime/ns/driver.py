"""The runtime driver ``ns``: containers straight from the kernel's namespaces, without another program."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tare.drivers.registration import DriverContext
from tare.drivers.runtime import Bundle
from tare.errors import Conflict, Unavailable
from tare.linux import cgroups
from tare.linux.capabilities import last_capability, mask, permitted
from tare.linux.process import start_time
from tare.model.probe import Probe
from tare.model.process import Launch, ProcessRef
from tare_runtime.ns import plan as plans

INIT = "tare_runtime.ns.init:start"
JOIN = "tare_runtime.ns.join:start"

_OLDEST_KERNEL = (5, 12)
_SPACES = ("mnt", "net", "pid", "uts", "ipc", "cgroup")
_LEAST = ("CAP_SYS_ADMIN", "CAP_SETPCAP", "CAP_SETUID", "CAP_SETGID", "CAP_MKNOD", "CAP_NET_ADMIN")


class NsRuntime:
    """tare.drivers.runtime.RuntimeDriver, with pause."""

    def __init__(self, context: DriverContext) -> None:
        self._parent = f"/tare-{context.instance}" if context.instance else "/tare"
        self._place = context.run / "root"
        self._place.mkdir(mode=0o755, exist_ok=True)
        self._host = plans.Host(cgroups.hierarchies(), str(self._place), last_capability(), self._parent)

    def probe(self) -> Probe:
        """Kernel, namespaces, privilege and cgroups."""
        release = os.uname().release
        numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2])
        if numbers < _OLDEST_KERNEL:
            return Probe("skip", f"kernel {release} is older than 5.12 (mount_setattr)")
        missing = [name for name in _SPACES if not os.path.exists(f"/proc/self/ns/{name}")]
        if missing:
            return Probe("skip", f"the kernel has no namespaces of the kinds {', '.join(missing)}")
        held = permitted()
        lacking = [name for name in _LEAST if not held & mask((name,))]
        if lacking:
            return Probe("skip", f"the engine lacks {', '.join(lacking)}; run it as root")
        if not self._host.trees:
            return Probe("skip", "no cgroups are mounted (mount -t cgroup2 cgroup2 /sys/fs/cgroup)")
        return Probe("ok", f"kernel {release}, cgroup version {self._version}, {os.uname().machine}")

    @property
    def _version(self) -> int:
        return self._host.trees[0].version if self._host.trees else 0

    def status(self) -> Sequence[tuple[str, str]]:
        controllers = sorted(name for tree in self._host.trees for name in tree.controllers)
        return (
            ("Cgroup Driver", "cgroupfs"),
            ("Cgroup Version", str(self._version)),
            ("Cgroup Parent", self._parent),
            ("Controllers", " ".join(controllers)),
        )

    def prompt(self, method: str, *args: object) -> bool:
        return method in ("plan", "plan_exec", "remove")

    def entries(self) -> Sequence[str]:
        return (INIT, JOIN)

    def plan(self, bundle: Bundle) -> Launch:
        plan, spaces = plans.container_plan(bundle, self._host)
        return Launch(
            entry=INIT,
            plan=plan,
            namespaces=spaces.new,
            pid_namespace=spaces.pid,
            cgroups=self._directories(plan),
            clone_cgroup=self._unified(plan),
        )

    def plan_exec(self, process: Mapping[str, Any], bundle: Bundle, target: ProcessRef) -> Launch:
        _must_run(target)
        plan = plans.exec_plan(process, bundle, self._host, target)
        return Launch(entry=JOIN, plan=plan, pid_namespace=f"/proc/{target.pid}/ns/pid", clone_cgroup=self._unified(plan))

    def processes(self, target: ProcessRef) -> Sequence[int]:
        _must_run(target)
        return sorted(cgroups.processes(self._directory(target)))

    def pause(self, target: ProcessRef) -> None:
        self._freeze(target, True)

    def resume(self, target: ProcessRef) -> None:
        self._freeze(target, False)

    def remove(self, id: str) -> tuple[str, ...]:
        """Nothing is kept but cgroups; those of a path of the user's own were named in the Launch."""
        return tuple(path for path in (tree.path + f"{self._parent}/{id}" for tree in self._host.trees) if os.path.isdir(path))

    def reconcile(self, valid: Iterable[str]) -> Sequence[str]:
        """Cgroups of containers that nobody knows, when nothing runs in them."""
        keep = set(valid)
        lines = []
        for tree in self._host.trees:
            base = tree.path + self._parent
            for name in sorted(os.listdir(base)) if os.path.isdir(base) else ():
                directory = f"{base}/{name}"
                if name in keep or not os.path.isdir(directory) or cgroups.processes(directory):
                    continue
                _remove_tree(directory)
                lines.append(f"removed the cgroup {directory}")
        return lines

    def close(self) -> None:
        """The parent group goes when no container is left in it."""
        for tree in self._host.trees:
            with contextlib.suppress(OSError):
                os.rmdir(tree.path + self._parent)

    def _directories(self, plan: Mapping[str, Any]) -> tuple[str, ...]:
        """What is the container's alone; a place of another name, which a plugin chose, may hold others as well."""
        every = (*(directory for directory, _ in plan["cgroups"]), self._unified(plan))
        return tuple(directory for directory in every if os.path.basename(directory) == plan["id"])

    def _unified(self, plan: Mapping[str, Any]) -> str:
        place = plan["unified"]
        return place["root"] + place["path"] if place else ""

    def _directory(self, target: ProcessRef, controller: str = "pids") -> str:
        """The container's directory in the tree that has ``controller``, as the kernel says where its first process is; a
        process that moved itself further down is cut short at the container's id. Without the process: the usual place."""
        places = cgroups.membership(target.pid) if _runs(target) else {}
        for tree in self._host.trees:
            if tree.version == 2 or controller in tree.controllers:
                path = places.get("" if tree.version == 2 else tree.title, f"{self._parent}/{target.container}")
                head, found, _ = path.partition(target.container)
                if path == "/":  # where the kernel puts who has ended and is not reaped yet
                    raise Conflict(f"container {target.container[:12]} is not running", subject=target.container)
                return tree.path + head + found
        raise Unavailable(f"no cgroup tree has the controller {controller}", subject=target.container)

    def _freeze(self, target: ProcessRef, frozen: bool) -> None:
        _must_run(target)
        try:
            cgroups.freeze(self._directory(target, "freezer"), frozen)
        except OSError as error:
            verb = "freeze" if frozen else "thaw"
            raise Unavailable(
                f"cannot {verb} container {target.container[:12]}: {error.strerror}", subject=target.container
            ) from error


def _runs(target: ProcessRef) -> bool:
    try:
        return start_time(target.pid) == target.start_time
    except OSError:
        return False


def _must_run(target: ProcessRef) -> None:
    if not _runs(target):
        raise Conflict(f"container {target.container} is not running", subject=target.container)


def _remove_tree(directory: str) -> None:
    for place, _, _ in os.walk(directory, topdown=False):
        with contextlib.suppress(FileNotFoundError):  # the janitor takes groups away as well
            os.rmdir(place)
