"""A further process of a running container (exec), from its clone to execve.

The template opens the container's first process, whom it can see, and the clone enters all of its namespaces at once by
that descriptor (setns(2) with a pidfd, Linux 5.8); in the pid namespace it is by birth.
"""

from __future__ import annotations

import os

from tare.errors import Conflict
from tare.linux.process import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWUTS,
    pidfd_open,
    setns,
    start_time,
)
from tare_runtime.ns import placement
from tare_runtime.ns.failure import Failure, failed, give_up
from tare_runtime.ns.handover import hand_over, remember_inheritance
from tare_runtime.ns.terminal import open_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


_EVERY = CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWCGROUP | CLONE_NEWNS
_target = -1
"""A pidfd of the container's first process; the template keeps it until the next."""


def before_clone(plan: dict[str, Any]) -> list[str]:
    """In the template: see what a clone inherits, and find the process to join. Raises Conflict when it is not that one."""
    global _target
    remember_inheritance()
    if _target >= 0:
        os.close(_target)
        _target = -1
    pid, started = plan["target"]
    try:
        _target = pidfd_open(pid)
        # Compared after the descriptor is open: from then on the number cannot change hands unseen.
        same = start_time(pid) == started
    except OSError:
        same = False
    if not same:
        raise Conflict(f"cannot join process {pid}: the container is not running", subject=plan["id"])
    return []


def start(plan: dict[str, Any], fds: dict[str, Any]) -> NoReturn:
    """The entry. Ends in execve, or in a report of why not."""
    try:
        _start(plan, fds)
    except BaseException as error:
        give_up(fds["report"], error)


def _start(plan: dict[str, Any], fds: dict[str, Any]) -> NoReturn:
    os.umask(0o022)
    os.setsid()
    placement.enter(plan["cgroups"], plan["unified"], fds["report"])
    try:
        setns(_target, _EVERY)
    except ProcessLookupError as error:
        raise Failure("join", error.errno or 0, "cannot join the container: it is not running") from None
    except OSError as error:
        raise failed("join", "entering the namespaces of the container", error) from None
    os.chdir("/")
    process = plan["process"]
    terminal = -1
    if process["terminal"]:
        terminal = open_terminal(fds["report"], plan["rows"], plan["columns"])
    hand_over(process, fds, terminal, make_cwd=False)
