"""A further process of a running container (exec), from its clone to execve.

The clone is in the container's pid namespace already, and still sees the host's file system: through its /proc the
other namespaces are opened, all of them before the first is entered.
"""

from __future__ import annotations

import os

from tare_runtime.ns import placement
from tare_runtime.ns.failure import give_up
from tare_runtime.ns.handover import hand_over, remember_inheritance
from tare_runtime.ns.terminal import open_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


def before_clone(plan: dict[str, Any]) -> list[str]:
    """In the template, once: see what a clone inherits."""
    remember_inheritance()
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
    placement.join(plan["joins"])
    os.chdir("/")
    process = plan["process"]
    terminal = -1
    if process["terminal"]:
        terminal = open_terminal(fds["report"], plan["rows"], plan["columns"])
    hand_over(process, fds, terminal, make_cwd=False)
