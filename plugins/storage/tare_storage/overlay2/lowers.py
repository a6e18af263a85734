"""What lies beneath a layer: the directories of its parents, looked up as overlayfs would merge them."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

OPAQUE = "trusted.overlay.opaque"


def is_whiteout(status: os.stat_result) -> bool:
    """A character device 0:0 (kernel Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories")."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(path: int | str) -> bool:
    try:
        return os.getxattr(path, OPAQUE, follow_symlinks=not isinstance(path, str)) == b"y"
    except OSError:
        return False


class Lowers:
    """The merged view of ``directories`` (highest first), read-only. Paths are bytes without a leading slash.

    The directories that make up the directory last asked for are kept, since whoever walks asks for its neighbours next.
    """

    def __init__(self, directories: Sequence[str]) -> None:
        self._stacks: dict[bytes, list[bytes]] = {b"": [os.fsencode(directory) for directory in directories]}
        self._anchors: list[int] = []

    def close(self) -> None:
        while self._anchors:
            os.close(self._anchors.pop())

    def find(self, path: bytes) -> tuple[bytes, os.stat_result] | None:
        """(absolute path, lstat) of what shows at ``path``, or None."""
        parent, _, name = path.rpartition(b"/")
        for directory in self._stack(parent):
            where = directory + b"/" + name if name else directory
            try:
                status = os.lstat(where)
            except (FileNotFoundError, NotADirectoryError):
                continue
            return None if is_whiteout(status) else (where, status)
        return None

    def names(self, path: bytes) -> set[bytes]:
        """What a directory shows; empty when there is none."""
        shown: set[bytes] = set()
        hidden: set[bytes] = set()
        for directory in self._stack(path):
            with os.scandir(directory) as entries:
                for entry in entries:
                    if entry.name in shown or entry.name in hidden:
                        continue
                    marked = not entry.is_file(follow_symlinks=False) and is_whiteout(entry.stat(follow_symlinks=False))
                    (hidden if marked else shown).add(entry.name)
        return shown

    def _stack(self, path: bytes) -> list[bytes]:
        """The directories that are merged at ``path``, highest first."""
        known = self._stacks.get(path)
        if known is not None:
            return known
        parent, _, name = path.rpartition(b"/")
        found = []
        for directory in self._stack(parent):
            where = directory + b"/" + name
            try:
                status = os.lstat(where)
            except (FileNotFoundError, NotADirectoryError):
                continue
            if not stat.S_ISDIR(status.st_mode):
                break
            found.append(self._anchored(where))
            if is_opaque(os.fsdecode(where)):
                break
        if len(self._stacks) > 4096:
            self._stacks = {b"": self._stacks[b""]}
        self._stacks[path] = found
        return found

    def _anchored(self, path: bytes) -> bytes:
        """The same directory by a path that leaves room for names below it (PATH_MAX is 4096)."""
        if len(path) < 3000:
            return path
        self._anchors.append(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC))
        return b"/proc/self/fd/%d" % self._anchors[-1]
