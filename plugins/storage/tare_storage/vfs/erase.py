"""Whiteouts on a full copy: what is hidden is deleted, but never what the same layer has put there."""

from __future__ import annotations

import os
import stat

from tare.linux import tar
from tare_storage.destroy import destroy
from tare_storage.directories import OPEN, Growing


class Erase:
    """Whiteouts for a copy of the parent. A layer's entries come in any order, so what it placed is remembered."""

    def __init__(self) -> None:
        self._placed: dict[bytes, bool] = {}
        """Path → whether the layer names it; False: it is on the way to something that the layer names."""

    def hide(self, tree: Growing, path: bytes) -> None:
        parent, _, name = path.rpartition(b"/")
        try:
            self._erase(tree, tree.open(parent), name, path)
        except (FileNotFoundError, NotADirectoryError):
            return

    def hide_all(self, tree: Growing, path: bytes) -> None:
        try:
            self._clear(tree, tree.open(path), path)
        except (FileNotFoundError, NotADirectoryError):
            return

    def _erase(self, tree: Growing, parent: int, name: bytes, path: bytes) -> None:
        """Delete what the parents have at a path. A directory that stays because of what this layer put into it is a new one."""
        if path not in self._placed:
            tree.gone(path)
            destroy(parent, name)
        elif stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
            here = os.open(name, OPEN, dir_fd=parent)
            try:
                if not self._placed[path]:
                    tree.undress(here, path)
                self._clear(tree, here, path)
            finally:
                os.close(here)

    def _clear(self, tree: Growing, here: int, path: bytes) -> None:
        for inside in map(os.fsencode, os.listdir(here)):
            self._erase(tree, here, inside, path + b"/" + inside if path else inside)

    def make_directory(self, directory: int, name: bytes, path: bytes, fresh: bool) -> None:
        os.mkdir(name, 0o755, dir_fd=directory)

    def renewed(self, directory: int, name: bytes, path: bytes) -> None:
        return

    def placed(self, path: bytes) -> None:
        self._placed[path] = True
        while path:
            path = path.rpartition(b"/")[0]
            if path in self._placed:
                return
            self._placed[path] = False

    def linkable(self, tree: Growing, path: bytes) -> bool:
        return True

    def may_make(self, entry: tar.Entry) -> bool:
        return True
