"""One daemon a data-root: a lock that dies with its owner (flock(2))."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from tare.errors import InUse, Unavailable


class Lock:
    """``data-root/lock``, held from construction to ``close``. The file holds the owner's pid and stays when it is let go.

    Raises InUse with the other daemon's pid, Unavailable when the file cannot be made.
    """

    def __init__(self, data_root: Path) -> None:
        path = data_root / "lock"
        try:
            data_root.mkdir(mode=0o711, parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise Unavailable(f"cannot make {path}: {error.strerror}", subject=str(path)) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.pread(self._fd, 20, 0).decode("ascii", "replace").strip()
            os.close(self._fd)
            raise InUse(
                f"another daemon uses {data_root}" + (f": process {owner}" if owner else ""),
                subject=str(data_root),
                hint="stop it, or give this one a --data-root and an --exec-root of its own",
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Let go; safe twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
