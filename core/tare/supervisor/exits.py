"""How a process ended: its status, whether memory ran out, and the record that is on disk before anybody hears of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from tare.supervisor.messages import Body

UNKNOWN = 255
"""The code reported when nobody can know it."""

_PIDFD_GET_INFO = 0xC040_FF0B
_INFO_EXIT = 1 << 3
_INFO = struct.Struct("=QQ11Ii")
"""struct pidfd_info, first version: mask, cgroup, eleven ids, exit status (linux/pidfd.h, since 6.15)."""


def ending(code: int, signal: int, oom: bool) -> Body:
    """``exit`` of messages, now."""
    return {"code": code & 0xFF, "signal": signal, "oom": oom, "at": time.time_ns()}


def of_status(status: int, oom: bool) -> Body:
    """An exit from a status of wait(2)."""
    signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    return ending(128 + signal if signal else os.WEXITSTATUS(status), signal, oom)


def of_stranger(pidfd: int) -> int | None:
    """The wait status of an ended process that is not our child, once its parent has reaped it; None while (or where) the
    kernel does not tell."""
    info = bytearray(_INFO.pack(_INFO_EXIT, *(0 for _ in range(13))))
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, info, True)
    except OSError:
        return None
    fields = _INFO.unpack(info)
    return int(fields[-1]) if fields[0] & _INFO_EXIT else None


def ran_out_of_memory(cgroups: Iterable[str]) -> bool:
    """Whether the kernel has killed anything in these cgroups for want of memory (cgroup v1 memory.oom_control,
    v2 memory.events)."""
    for folder in cgroups:
        for name in ("memory.oom_control", "memory.events"):
            try:
                fd = os.open(f"{folder}/{name}", os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                for line in os.read(fd, 4096).splitlines():
                    if line.startswith(b"oom_kill ") and int(line[9:]):
                        return True
            except OSError:
                pass
            finally:
                os.close(fd)
    return False


def write_record(path: str, exit: Body) -> None:
    """Put ``code signal oom at`` in place by rename. Raises OSError."""
    replace(path, f"{exit['code']} {exit['signal']} {int(exit['oom'])} {exit['at']}\n".encode())


def read_record(path: str) -> Body | None:
    """An exit as ``write_record`` left it, or None."""
    try:
        with open(path, "rb") as file:
            code, signal, oom, at = map(int, file.read(200).split())
    except (OSError, ValueError):
        return None
    return {"code": code, "signal": signal, "oom": bool(oom), "at": at}


def replace(path: str, content: bytes) -> None:
    """Write a small file that is never seen half written. Raises OSError."""
    draft = f"{path}.new"
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        if os.write(fd, content) < len(content):
            raise OSError(28, os.strerror(28))  # ENOSPC, which a short write means.
    except OSError:
        remove(draft)
        raise
    finally:
        os.close(fd)
    os.rename(draft, path)


def remove(path: str) -> None:
    """Remove a file that may be gone already."""
    if path:
        with contextlib.suppress(OSError):
            os.unlink(path)
