"""The first process of a container, from its clone to execve. This file is the order; the others are the how.

Runs in a clone of the runtime's template (see tare.drivers.runtime for its descriptors), in the namespaces of the
Launch but still in the host's file system, which it sees through a mount namespace of its own.
"""

from __future__ import annotations

import os

from tare.errors import Unavailable
from tare.linux import links, mounts
from tare.linux.paths import make_directory
from tare.linux.process import CLONE_NEWCGROUP, set_domainname, set_hostname, unshare
from tare_runtime.ns import placement, steps
from tare_runtime.ns.failure import Failure, failed, give_up
from tare_runtime.ns.handover import hand_over, remember_inheritance
from tare_runtime.ns.terminal import open_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


def before_clone(plan: dict[str, Any]) -> list[str]:
    """In the template: make the version 2 cgroup that the clone is born in. Returns warnings, raises TareError."""
    remember_inheritance()
    if not plan["unified"]:
        return []
    try:
        return placement.prepare_unified(plan["unified"])
    except OSError as error:
        raise Unavailable(
            f"cannot make the cgroup of container {plan['id'][:12]}: {error.filename}: {error.strerror}",
            hint="does tared run with Delegate=yes, or as root on the whole tree?",
        ) from error


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
    if plan["own_cgroup_namespace"]:
        unshare(CLONE_NEWCGROUP)
    mounts.mount("", "/", flags=mounts.MS_REC | (plan["propagation"] or mounts.MS_SLAVE))
    trees = steps.open_trees(plan["trees"])
    _make_root(plan["root"], plan["rootfs"])
    mounts.pivot_root_here()
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    furnishing = steps.Furnishing(root, trees)
    furnishing.perform(plan["steps"])
    _name(plan)
    _network(plan, fds)
    terminal = _terminal(plan, fds) if plan["process"]["terminal"] else -1
    furnishing.perform(plan["last_steps"])
    hand_over(plan["process"], fds, terminal, make_cwd=True)


def _make_root(place: str, wanted: list[tuple[str, str, str, int, int, str, str]]) -> None:
    """Mount what makes ``/`` over the driver's empty directory, which is the current directory afterwards."""
    for type, source, target, flags, propagation, data, cwd in wanted:
        here = target == "/"
        try:
            if cwd:
                os.chdir(cwd)
            if flags & mounts.MS_BIND:
                _bind_root(source, place + target, flags)
            elif here:
                mounts.mount(source, place, type, flags, data)
            else:
                root = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                inner = make_directory(root, target)
                mounts.mount(source, f"/proc/self/fd/{inner}", type, flags, data)
                os.close(inner)
                os.close(root)
            if here:
                mounts.mount("", place, flags=propagation or mounts.MS_PRIVATE)
        except OSError as error:
            raise failed("rootfs", f"mounting the container's {target} ({type})", error) from None
    os.chdir(place)


def _bind_root(source: str, target: str, flags: int) -> None:
    tree = mounts.open_tree(source, recursive=bool(flags & mounts.MS_REC))
    attributes = mounts.attributes(flags)
    if attributes:
        mounts.set_attributes(tree, on=attributes, recursive=bool(flags & mounts.MS_REC))
    place = os.open(target, os.O_PATH | os.O_CLOEXEC)
    mounts.move_mount(tree, place)
    os.close(place)
    os.close(tree)


def _name(plan: dict[str, Any]) -> None:
    try:
        if plan["hostname"]:
            set_hostname(plan["hostname"])
        if plan["domainname"]:
            set_domainname(plan["domainname"])
    except OSError as error:
        raise failed("hostname", f'setting the hostname "{plan["hostname"]}"', error) from None


def _network(plan: dict[str, Any], fds: dict[str, Any]) -> None:
    """Wait until the supervisor has put the links into this namespace, then set them up."""
    if fds["gate"] >= 0 and not os.read(fds["gate"], 1):
        raise Failure("network", 0, "the supervisor could not create the container's links")
    if plan["own_network"]:
        try:
            links.configure(plan["links"])
        except OSError as error:
            text = error.strerror or str(error)
            raise Failure("network", error.errno or 0, f"configuring the container's network: {text}") from None


def _terminal(plan: dict[str, Any], fds: dict[str, Any]) -> int:
    slave = open_terminal(fds["report"], plan["rows"], plan["columns"])
    try:
        os.close(os.open("/dev/console", os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        mounts.mount(os.ttyname(slave), "/dev/console", flags=mounts.MS_BIND)
    except OSError as error:
        raise failed("terminal", "showing the terminal as /dev/console", error) from None
    return slave
