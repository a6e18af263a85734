"""What a runtime driver plans and what it is later asked about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ProcessRef:
    """A process that cannot be mistaken for a later one with the same number.

    ``start_time`` is field 22 of /proc/PID/stat in clock ticks since boot (proc(5)).
    """

    container: str
    pid: int
    start_time: int
    exec_id: str = ""
    cgroup: str = ""


@dataclass(frozen=True, slots=True)
class Launch:
    """What the supervisor is asked to start: data alone, made by a runtime driver.

    Either ``entry`` is set: the dotted name ``module:function`` of a child entry, run in a clone of the driver's
    template (see tare.drivers.runtime for the child's contract), with ``plan`` as its only argument that the driver
    chose. ``plan`` holds None, bool, int, float, str, bytes, list, tuple and dict alone, because it travels by marshal.
    Or ``argv`` is set: a command line (runc …) which daemonises the container and writes its pid to ``pid_file``.

    ``namespaces`` are CLONE_NEW* flags for clone3(2). ``pid_namespace`` is a path (/proc/PID/ns/pid) that the template
    enters for its children before it clones; empty for none. ``cgroups`` are directories of this process and its
    descendants alone: when it has ended the janitor ends who is left in them and removes them. ``clone_cgroup`` is a cgroup
    v2 directory for CLONE_INTO_CGROUP, or empty.
    """

    entry: str = ""
    plan: Mapping[str, Any] = field(default_factory=dict)
    namespaces: int = 0
    pid_namespace: str = ""
    cgroups: tuple[str, ...] = ()
    clone_cgroup: str = ""
    argv: tuple[str, ...] = ()
    pid_file: str = ""
