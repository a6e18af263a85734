"""Where a child goes before anything else: into its cgroups, with their limits, and into namespaces that it shares.

A version 1 place is ``(directory, ((file, values), ...))``, or ``(directory, None)`` where it exists already. The place in
the version 2 tree is a dict: ``root`` (mount point), ``path`` below it, ``settings`` ((file, value), ...) and ``devices``
(a program or None).
"""

from __future__ import annotations

import errno
import os

from tare.linux import cgroups, device_filter
from tare.linux.process import hide, setns, start_time
from tare_runtime.ns.failure import Failure, failed, warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def prepare_unified(place: dict[str, Any]) -> list[str]:
    """Make the version 2 directory with its limits. Returns warnings; raises OSError naming the file."""
    directory = place["root"] + place["path"]
    cgroups.make_v2(place["root"], place["path"])
    warnings = []
    for file, value in place["settings"]:
        try:
            cgroups.write(f"{directory}/{file}", value)
        except FileNotFoundError:
            warnings.append(_lacks(file))
    if place["devices"] is not None:
        device_filter.attach(directory, place["devices"])
    return warnings


def enter(
    places: list[tuple[str, tuple[tuple[str, tuple[str, ...]], ...] | None]], unified: dict[str, Any] | None, report: int
) -> None:
    """Make and enter every version 1 place, and see to it that this process is in its version 2 place."""
    hide()  # processes of the container may see this one before it has become theirs
    for directory, settings in places:
        try:
            if settings is not None:
                cgroups.make_v1(directory)
                for file, values in settings:
                    _set(directory, file, values, report)
            cgroups.enter_v1(directory)
        except OSError as error:
            raise failed("cgroup", f"placing the container in the cgroup {error.filename or directory}", error) from None
    if unified is not None and cgroups.membership("self").get("") != unified["path"]:
        try:
            cgroups.enter_v2(unified["root"] + unified["path"])
        except OSError as error:
            raise failed("cgroup", f"placing the container in the cgroup {unified['path']}", error) from None


def _set(directory: str, file: str, values: tuple[str, ...], report: int) -> None:
    try:
        fd = os.open(f"{directory}/{file}", os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        warn(report, _lacks(file))
        return
    try:
        for value in values:
            os.write(fd, value.encode())
    except OSError as error:
        raise failed("cgroup", f"setting {file} to {value}", error) from None
    finally:
        os.close(fd)


def _lacks(file: str) -> str:
    return f"this host's kernel does not support {file}: limitation discarded"


def join(wanted: list[tuple[str, int, int, int]]) -> None:
    """Enter namespaces of running processes: (path, CLONE_NEW* kind, pid, start time or 0) each. Raises Failure when the
    process is not the one that was meant."""
    opened = []
    path = ""
    try:
        for path, kind, _pid, _started in wanted:
            opened.append((os.open(path, os.O_RDONLY | os.O_CLOEXEC), kind))
        # Who is still there when all are open was there all the time.
        for pid, started in {(pid, started) for _path, _kind, pid, started in wanted if started}:
            path = f"/proc/{pid}"
            if start_time(pid) != started:
                raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH), path)
    except OSError as error:
        raise Failure("join", error.errno or 0, f"cannot join {path}: the container is not running") from None
    for fd, kind in opened:
        try:
            setns(fd, kind)
        except OSError as error:
            raise failed("join", "entering a namespace of the container", error) from None
        os.close(fd)
