"""The file that holds the daemon's process id."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from tare.errors import InUse, Invalid


class PidFile:
    """Written by ``take``, removed by ``drop``; one that a dead daemon left is taken over."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._taken = False

    def take(self) -> None:
        """Raises InUse while the daemon that it names is alive, Invalid when it cannot be written."""
        try:
            other = self._owner()
            if other:
                raise InUse(
                    f"process {other} is still running, as {self._path} says",
                    subject=str(self._path),
                    hint="stop that daemon, or choose another --pidfile",
                )
            self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}")
            temporary.write_text(f"{os.getpid()}")
            temporary.rename(self._path)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise Invalid(f"cannot write the pid file {self._path}: {reason}", subject=str(self._path)) from None
        self._taken = True

    def drop(self) -> None:
        """Remove the file if it is still ours."""
        if self._taken:
            with contextlib.suppress(OSError, ValueError):
                if int(self._path.read_text()) == os.getpid():
                    self._path.unlink()

    def _owner(self) -> int:
        """The live daemon named in the file, or 0. A process that took over its number is no daemon of ours."""
        try:
            pid = int(self._path.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return 0
        return pid if pid != os.getpid() and (b"tared" in command or b"tare.daemon" in command) else 0
