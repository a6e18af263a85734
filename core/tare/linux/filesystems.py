"""What a file system can do and be told: syncfs(2), FICLONE, its type, and a mount tried without mounting anything."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from collections.abc import Iterable

from tare.linux import syscalls
from tare.linux.mounts import mount_table
from tare.linux.syscalls import LIBC, call, failed

FICLONE = 0x40049409
FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6
FSOPEN_CLOEXEC = 1

_NO_CLONE = (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS)


def sync(descriptor: int) -> None:
    """Write out everything of the file system that ``descriptor`` lies on, and wait: syncfs(2). Raises OSError."""
    if LIBC.syncfs(descriptor):
        raise failed()


def share_blocks(source: int, target: int) -> bool:
    """Let the empty file ``target`` share the blocks of ``source`` (ioctl_ficlone(2)). False where that cannot be."""
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError as error:
        if error.errno in _NO_CLONE:
            return False
        raise
    return True


def filesystem_type(path: str) -> str:
    """The type (``ext4``, ``overlay`` …) of the file system that holds ``path``, or ``""`` when the table names none."""
    device = os.stat(path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    real = os.path.realpath(path)
    best = type = ""
    for mount in mount_table():
        below = real == mount.target or real.startswith(mount.target.rstrip("/") + "/")
        if below and len(mount.target) >= len(best) and (mount.device == number or mount.type == "btrfs"):
            best, type = mount.target, mount.type
    return type


def try_mount(type: str, options: Iterable[tuple[str, str]]) -> None:
    """Make a mount of ``type`` that is attached nowhere, and let it go: nothing is left, whatever happens.

    A pair with an empty value is a flag. Values are at most 255 bytes long (fsconfig(2)). Raises OSError.
    """
    name = ctypes.create_string_buffer(type.encode())
    context = call(syscalls.FSOPEN, ctypes.addressof(name), FSOPEN_CLOEXEC)
    try:
        for key, value in options:
            word = ctypes.create_string_buffer(key.encode())
            text = ctypes.create_string_buffer(os.fsencode(value))
            command = FSCONFIG_SET_STRING if value else FSCONFIG_SET_FLAG
            call(syscalls.FSCONFIG, context, command, ctypes.addressof(word), ctypes.addressof(text) if value else 0, 0)
        call(syscalls.FSCONFIG, context, FSCONFIG_CMD_CREATE, 0, 0, 0)
        os.close(call(syscalls.FSMOUNT, context, FSOPEN_CLOEXEC, 0))
    finally:
        os.close(context)
