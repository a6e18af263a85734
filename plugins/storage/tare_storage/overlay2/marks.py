"""Whiteouts as overlayfs has them: character devices 0:0, and directories marked opaque."""

from __future__ import annotations

import os
import stat

from tare.linux import tar
from tare_storage.attributes import kept_attributes
from tare_storage.destroy import destroy
from tare_storage.directories import Directories
from tare_storage.overlay2.lowers import OPAQUE, Lowers, is_whiteout


class Marks:
    """Whiteouts for a layer that will lie on ``lowers``. One that would hide nothing is left out, because overlayfs lists
    it by name where it has nothing to merge."""

    def __init__(self, lowers: Lowers) -> None:
        self._lowers = lowers
        self._opaque: set[bytes] = set()

    def hide(self, tree: Directories, path: bytes) -> None:
        if self._lowers.find(path) is None or self._in_opaque(path):
            return
        parent, _, name = path.rpartition(b"/")
        directory = tree.open(parent, self._make)
        try:
            os.mknod(name, stat.S_IFCHR, 0, dir_fd=directory)
        except FileExistsError:
            if stat.S_ISDIR(os.lstat(name, dir_fd=directory).st_mode):
                self._mark(tree.open(path), path)

    def hide_all(self, tree: Directories, path: bytes) -> None:
        self._mark(tree.open(path, self._make), path)

    def make_directory(self, directory: int, name: bytes, path: bytes) -> int | None:
        os.mkdir(name, 0o755, dir_fd=directory)
        found = self._lowers.find(path)
        if found is None or not stat.S_ISDIR(found[1].st_mode) or self._in_opaque(path):
            return None
        where, status = found
        made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        try:
            dress_like(made, where, status)
        finally:
            os.close(made)
        return status.st_mtime_ns

    def _make(self, directory: int, name: bytes, path: bytes) -> None:
        destroy(directory, name)
        self.make_directory(directory, name, path)

    def renewed(self, directory: int, name: bytes, path: bytes) -> None:
        found = self._lowers.find(path)
        if found is not None and stat.S_ISDIR(found[1].st_mode):
            made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
            try:
                self._mark(made, path)
            finally:
                os.close(made)

    def placed(self, path: bytes) -> None:
        return

    def may_make(self, entry: tar.Entry) -> bool:
        return entry.kind != tar.CHARACTER or bool(entry.major or entry.minor)

    def _mark(self, directory: int, path: bytes) -> None:
        if path:
            os.setxattr(directory, OPAQUE, b"y")
        else:
            self._hide_root(directory)
        self._opaque.add(path)
        if path:
            _remove_whiteouts(directory)

    def _hide_root(self, directory: int) -> None:
        """The root cannot be opaque: each name beneath it is hidden by itself."""
        for name in self._lowers.names(b""):
            try:
                os.mknod(name, stat.S_IFCHR, 0, dir_fd=directory)
            except FileExistsError:
                if stat.S_ISDIR(os.lstat(name, dir_fd=directory).st_mode):
                    inside = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
                    try:
                        self._mark(inside, name)
                    finally:
                        os.close(inside)

    def _in_opaque(self, path: bytes) -> bool:
        if not self._opaque:
            return False
        while path:
            path = path.rpartition(b"/")[0]
            if path in self._opaque:
                return True
        return False


def dress_like(directory: int, where: bytes | str, status: os.stat_result) -> None:
    """Give an open directory the owner, mode and attributes of another one."""
    os.fchown(directory, status.st_uid, status.st_gid)
    os.fchmod(directory, stat.S_IMODE(status.st_mode))
    for name, value in kept_attributes(where).items():
        os.setxattr(directory, name, value)


def _remove_whiteouts(directory: int) -> None:
    for _, _, files, here in os.fwalk(".", dir_fd=directory):
        for name in files:
            if is_whiteout(os.lstat(name, dir_fd=here)):
                os.unlink(name, dir_fd=here)
