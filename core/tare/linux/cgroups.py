"""Control groups of either version: where they are mounted, making, entering, freezing and killing them (cgroups(7)).

A host has *version 1* when any controller that tare limits by sits in a hierarchy of its own (also "hybrid", where a
cgroup2 tree without controllers lies beside them), else *version 2*.
"""

from __future__ import annotations

import errno
import os
import select
import time

from tare.linux.mounts import MountInfo, mount_table

NEEDED = ("cpu", "cpuset", "io", "memory", "pids")
"""Controllers of version 2 that a container's limits use."""

V1_NAMES = frozenset(
    [
        "cpu",
        "cpuacct",
        "cpuset",
        "memory",
        "devices",
        "freezer",
        "blkio",
        "pids",
        "hugetlb",
        "net_cls",
        "net_prio",
        "perf_event",
        "rdma",
        "misc",
    ]
)


class Hierarchy:
    """One mounted tree. ``controllers`` in the order of its mount options; a named one has ``name=…``."""

    __slots__ = ("controllers", "path", "version")

    def __init__(self, version: int, path: str, controllers: tuple[str, ...]) -> None:
        self.version = version
        self.path = path
        self.controllers = controllers

    @property
    def title(self) -> str:
        """How its directory is called by custom: ``cpu,cpuacct``, ``systemd``."""
        return ",".join(name.removeprefix("name=") for name in self.controllers)


def hierarchies(table: list[MountInfo] | None = None) -> tuple[Hierarchy, ...]:
    """The trees that containers are placed in: every version 1 tree, or the one of version 2; empty without either."""
    old: dict[tuple[str, ...], Hierarchy] = {}
    new: list[Hierarchy] = []
    for mount in mount_table() if table is None else table:
        if mount.root != "/":
            continue
        if mount.type == "cgroup":
            controllers = tuple(word for word in mount.data if word in V1_NAMES or word.startswith("name="))
            old.setdefault(controllers, Hierarchy(1, mount.target, controllers))
        elif mount.type == "cgroup2":
            new.append(Hierarchy(2, mount.target, ()))
    if any(set(controllers) & V1_NAMES for controllers in old):
        return tuple(old.values())
    for tree in new[:1]:
        tree.controllers = tuple(_read(f"{tree.path}/cgroup.controllers").split())
    return tuple(new[:1])


def membership(pid: int | str) -> dict[str, str]:
    """Where a process is: title of the tree (``""`` for version 2) → path below its mount point."""
    found = {}
    with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            found[controllers.replace("name=", "")] = path
    return found


def make_v1(directory: str) -> None:
    """Make a directory of a version 1 tree; the parents that are missing hand cpuset's values on. Existing: success."""
    try:
        os.mkdir(directory)
    except FileExistsError:
        return
    except FileNotFoundError:
        parent = os.path.dirname(directory)
        make_v1(parent)
        if os.path.exists(f"{parent}/cpuset.cpus"):
            inherit_cpuset(parent)
            write(f"{parent}/cgroup.clone_children", "1")
        make_v1(directory)


def enter_v1(directory: str) -> None:
    """Move this thread alone. Writing ``0`` to ``tasks`` takes no lock that the whole host shares; ``cgroup.procs`` does."""
    try:
        write(f"{directory}/tasks", "0")
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        inherit_cpuset(directory)
        write(f"{directory}/tasks", "0")


def inherit_cpuset(directory: str) -> None:
    """Fill the empty cpuset values of a version 1 directory from its parent: without them nobody may enter."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not _read(f"{directory}/{name}").strip():
            inherited = _read(f"{os.path.dirname(directory)}/{name}").strip()
            if inherited:
                write(f"{directory}/{name}", inherited)


def make_v2(root: str, path: str) -> None:
    """Make ``path`` below the version 2 tree at ``root``; every parent passes on the controllers that it has, also one that
    somebody else has made, or whose maker was killed before it did."""
    parent = os.path.dirname(path)
    try:
        os.mkdir(root + path)
    except FileExistsError:
        pass
    except FileNotFoundError:
        make_v2(root, parent)
        os.mkdir(root + path)
    if set(NEEDED) <= set(_read(f"{root}{path}/cgroup.controllers").split()):
        return
    place = root
    hand_down(place)
    for name in filter(None, parent.split("/")):
        place += f"/{name}"
        hand_down(place)


def hand_down(directory: str) -> None:
    """Enable for the children of a version 2 directory every needed controller that it has and does not pass on yet.

    One that the kernel will not enable there (realtime processes, a partition) is left: whoever writes its limit finds
    the file missing."""
    have = _read(f"{directory}/cgroup.controllers").split()
    passed = _read(f"{directory}/cgroup.subtree_control").split()
    for name in NEEDED:
        if name in have and name not in passed:
            try:
                write(f"{directory}/cgroup.subtree_control", f"+{name}")
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.EBUSY, errno.EOPNOTSUPP):
                    raise


def enter_v2(directory: str) -> None:
    """Move this process."""
    write(f"{directory}/cgroup.procs", "0")


def write(path: str, value: str) -> None:
    """One write, as the kernel wants it. Raises OSError naming the file."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(fd)


def processes(directory: str) -> list[int]:
    """Pids of all processes in a directory and below. A missing directory has none."""
    found: list[int] = []
    for place, _, _ in os.walk(directory):
        try:
            found.extend(int(pid) for pid in _read(f"{place}/cgroup.procs").split())
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
                raise
    return found


def freeze(directory: str, frozen: bool, deadline: float = 10.0) -> None:
    """Freeze or thaw everything in a directory of the freezer (version 1) or of version 2, and wait until it is so.

    Raises TimeoutError after ``deadline`` seconds, when it thaws it again.
    """
    end = time.monotonic() + deadline
    if os.path.exists(f"{directory}/freezer.state"):
        want = "FROZEN" if frozen else "THAWED"
        pause = 0.001
        while True:
            write(f"{directory}/freezer.state", want)
            if _read(f"{directory}/freezer.state").strip() == want:
                return
            if time.monotonic() > end:
                break
            time.sleep(pause)  # version 1 tells nobody when it is done
            pause = min(pause * 2, 0.05)
        write(f"{directory}/freezer.state", "THAWED")
    else:
        events = os.open(f"{directory}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
        try:
            change = select.poll()
            change.register(events, select.POLLPRI)
            write(f"{directory}/cgroup.freeze", str(int(frozen)))
            while f"frozen {int(frozen)}".encode() not in os.pread(events, 256, 0):
                left = end - time.monotonic()
                if left <= 0:
                    break
                change.poll(left * 1000)
            else:
                return
        finally:
            os.close(events)
        write(f"{directory}/cgroup.freeze", "0")
    raise TimeoutError(errno.ETIMEDOUT, "the processes do not freeze", directory)


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()
