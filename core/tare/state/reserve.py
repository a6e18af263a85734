"""Room put aside on the disk, so that a full one can still be cleaned up: removing a container must be recorded too."""

from __future__ import annotations

import logging
import os
from pathlib import Path

log = logging.getLogger(__name__)

SIZE = 1 << 20
"""Bytes put aside; a removal takes a few pages of the database's log."""

PLENTY = 16 * SIZE
"""With less free than this nothing is put aside again."""


class Reserve:
    """A file of SIZE bytes beside the database, given up when the disk is full and made again when it is not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held = path.exists()

    def keep(self) -> None:
        """Put the room aside if it is not, and if there is plenty. Never raises."""
        if self._held:
            return
        try:
            if _free(self._path.parent) < PLENTY:
                return
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, SIZE)
            finally:
                os.close(fd)
            self._held = True
        except OSError as error:
            log.warning("%s: %s", self._path, error)

    def give_up(self) -> None:
        """Let what follows have the room, if the disk is full. Never raises."""
        if not self._held:
            return
        try:
            if _free(self._path.parent) < SIZE:
                log.warning("the disk of %s is full: the reserve is given up so that things can be removed", self._path.parent)
                self._path.unlink(missing_ok=True)
                self._held = False
        except OSError as error:
            log.warning("%s: %s", self._path, error)


def _free(directory: Path) -> int:
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize
