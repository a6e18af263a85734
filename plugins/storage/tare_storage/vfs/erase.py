"""Whiteouts on a full copy: what is hidden is deleted, but never what the same layer has put there."""

from __future__ import annotations

import os
import stat

from tare.linux import tar
from tare_storage.destroy import destroy
from tare_storage.directories import OPEN, Directories


class Erase:
    """Whiteouts for a copy of the parent. A layer's entries come in any order, so what it placed is remembered."""

    def __init__(self) -> None:
        self._placed: set[bytes] = set()

    def hide(self, tree: Directories, path: bytes) -> None:
        parent, _, name = path.rpartition(b"/")
        try:
            directory = tree.open(parent)
            is_directory = stat.S_ISDIR(os.lstat(name, dir_fd=directory).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return
        if path not in self._placed:
            tree.forget(path)
            destroy(directory, name)
        elif is_directory:
            self._clear(tree, directory, name, path)

    def hide_all(self, tree: Directories, path: bytes) -> None:
        parent, _, name = path.rpartition(b"/")
        try:
            self._clear(tree, tree.open(parent), name or b".", path)
        except (FileNotFoundError, NotADirectoryError):
            return

    def _clear(self, tree: Directories, parent: int, name: bytes, path: bytes) -> None:
        """Delete everything in a directory that this layer did not put there."""
        here = os.open(name, OPEN, dir_fd=parent)
        try:
            for inside in map(os.fsencode, os.listdir(here)):
                below = path + b"/" + inside if path else inside
                if below not in self._placed:
                    tree.forget(below)
                    destroy(here, inside)
                elif stat.S_ISDIR(os.lstat(inside, dir_fd=here).st_mode):
                    self._clear(tree, here, inside, below)
        finally:
            os.close(here)

    def make_directory(self, directory: int, name: bytes, path: bytes) -> int | None:
        os.mkdir(name, 0o755, dir_fd=directory)
        return None

    def renewed(self, directory: int, name: bytes, path: bytes) -> None:
        return

    def placed(self, path: bytes) -> None:
        while path and path not in self._placed:
            self._placed.add(path)
            path = path.rpartition(b"/")[0]

    def may_make(self, entry: tar.Entry) -> bool:
        return True
