"""Hearing of changes in a directory (inotify(7))."""

from __future__ import annotations

import contextlib
import ctypes
import os

from tare.linux.syscalls import LIBC, failed

IN_MODIFY = 0x2
IN_MOVED_FROM = 0x40
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_DELETE = 0x200

_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000
_add_watch = LIBC.inotify_add_watch
_add_watch.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]


class Watch:
    """Readable (``fileno``) when something of ``mask`` has happened in ``folder`` since the last ``clear``. Raises OSError."""

    __slots__ = ("_fd",)

    def __init__(self, folder: str, mask: int = IN_MODIFY | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE) -> None:
        self._fd: int = LIBC.inotify_init1(_NONBLOCK_CLOEXEC)
        if self._fd < 0:
            raise failed("inotify")
        if _add_watch(self._fd, os.fsencode(folder), mask) < 0:
            error = failed(folder)
            self.close()
            raise error

    def fileno(self) -> int:
        """For poll, epoll, asyncio."""
        return self._fd

    def clear(self) -> None:
        """Forget what has happened."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._fd, 16384):
                pass

    def close(self) -> None:
        """Safe twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
