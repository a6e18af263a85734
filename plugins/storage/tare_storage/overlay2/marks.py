"""Whiteouts as overlayfs has them: character devices 0:0, and directories marked opaque."""

from __future__ import annotations

import os
import stat

from tare.linux import tar
from tare_storage.attributes import kept_attributes
from tare_storage.copy import copy_leaf
from tare_storage.directories import OPEN, Growing
from tare_storage.overlay2.lowers import OPAQUE, Lowers, is_whiteout


class Marks:
    """Whiteouts for a layer that will lie on ``lowers``. One that would hide nothing is left out, because overlayfs lists
    it by name where it has nothing to merge."""

    def __init__(self, lowers: Lowers) -> None:
        self._lowers = lowers
        self._hidden: set[bytes] = set()
        """Paths with a whiteout, whatever this layer has put there since: the parents do not show there nor below."""
        self._closed: set[bytes] = set()
        """Directories into which the parents do not show."""
        self._implicit: set[bytes] = set()
        """What is in this layer although it does not name it: directories on the way, and files that it links to."""

    def hide(self, tree: Growing, path: bytes) -> None:
        below = self._shown(path)
        own = self._own(tree, path)
        parent, _, name = path.rpartition(b"/")
        if own is not None and self._erased(tree, tree.open(parent), name, path, own):
            own = None
        if below is not None and own is None:
            try:
                os.mknod(name, stat.S_IFCHR, 0, dir_fd=tree.open(parent, self._way))
            except FileExistsError:
                return
        elif below is not None and own is not None and stat.S_ISDIR(own.st_mode) and stat.S_ISDIR(below[1].st_mode):
            self._close(tree.open(path), path)
        self._hidden.add(path)

    def hide_all(self, tree: Growing, path: bytes) -> None:
        if not path:
            self._hide_root(tree)
            return
        own = self._own(tree, path)
        if own is not None and not stat.S_ISDIR(own.st_mode):
            return
        if own is not None:
            self._clear(tree, tree.open(path), path)
        below = self._shown(path)
        if below is not None and stat.S_ISDIR(below[1].st_mode):
            try:
                self._close(tree.open(path, self._way), path)
            except FileExistsError:
                return
        self._closed.add(path)

    def make_directory(self, directory: int, name: bytes, path: bytes, fresh: bool) -> None:
        os.mkdir(name, 0o755, dir_fd=directory)
        self._implicit.add(path)
        found = None if fresh else self._shown(path)
        if found is None or not stat.S_ISDIR(found[1].st_mode):
            return
        where, status = found
        made = os.open(name, OPEN, dir_fd=directory)
        try:
            dress_like(made, where, status)
        finally:
            os.close(made)

    def renewed(self, directory: int, name: bytes, path: bytes) -> None:
        found = self._lowers.find(path)
        if found is not None and stat.S_ISDIR(found[1].st_mode):
            made = os.open(name, OPEN, dir_fd=directory)
            try:
                self._close(made, path)
            finally:
                os.close(made)

    def placed(self, path: bytes) -> None:
        self._implicit.discard(path)

    def linkable(self, tree: Growing, path: bytes) -> bool:
        own = self._own(tree, path)
        if own is not None:
            return not is_whiteout(own)
        below = self._shown(path)
        if below is None or stat.S_ISDIR(below[1].st_mode):
            return False
        parent, _, name = path.rpartition(b"/")
        origin = os.open(os.path.dirname(below[0]), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            copy_leaf(origin, tree.open(parent, self._way), os.fsdecode(name), below[1])
        finally:
            os.close(origin)
        self._implicit.add(path)
        return True

    def may_make(self, entry: tar.Entry) -> bool:
        return entry.kind != tar.CHARACTER or bool(entry.major or entry.minor)

    def _way(self, directory: int, name: bytes, path: bytes) -> None:
        """A directory on the way to a mark. Raises FileExistsError where this layer has something else: that hides already."""
        self.make_directory(directory, name, path, False)

    def _shown(self, path: bytes) -> tuple[bytes, os.stat_result] | None:
        """What of the parents would show at a path if nothing of this layer but its marks were there."""
        if path in self._hidden:
            return None
        above = path
        while above:
            above = above.rpartition(b"/")[0]
            if above in self._closed or above in self._hidden:
                return None
        return self._lowers.find(path)

    @staticmethod
    def _own(tree: Growing, path: bytes) -> os.stat_result | None:
        """lstat of what this layer has at a path by now."""
        parent, _, name = path.rpartition(b"/")
        try:
            return os.lstat(name, dir_fd=tree.open(parent))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _erased(self, tree: Growing, parent: int, name: bytes, path: bytes, own: os.stat_result) -> bool:
        """Delete what is at a path of this layer, if it is there for the sake of the parents only."""
        if not stat.S_ISDIR(own.st_mode):
            if path not in self._implicit:
                return False
            os.unlink(name, dir_fd=parent)
        else:
            here = os.open(name, OPEN, dir_fd=parent)
            try:
                self._clear(tree, here, path)
                if path not in self._implicit:
                    return False
                if os.listdir(here):
                    tree.undress(here, path)
                    return False
            finally:
                os.close(here)
            tree.gone(path)
            os.rmdir(name, dir_fd=parent)
        self._implicit.discard(path)
        return True

    def _clear(self, tree: Growing, here: int, path: bytes) -> None:
        for inside in map(os.fsencode, os.listdir(here)):
            status = os.lstat(inside, dir_fd=here)
            if is_whiteout(status):
                os.unlink(inside, dir_fd=here)
            else:
                self._erased(tree, here, inside, path + b"/" + inside if path else inside, status)

    def _close(self, directory: int, path: bytes) -> None:
        os.setxattr(directory, OPAQUE, b"y")
        self._closed.add(path)

    def _hide_root(self, tree: Growing) -> None:
        """The root cannot be opaque: each name beneath it is hidden by itself."""
        for name in self._lowers.names(b"").union(map(os.fsencode, os.listdir(tree.open(b"")))):
            self.hide(tree, name)
        self._closed.add(b"")


def dress_like(directory: int, where: bytes | str, status: os.stat_result) -> None:
    """Give an open directory the owner, mode, attributes and times of another one."""
    os.fchown(directory, status.st_uid, status.st_gid)
    os.fchmod(directory, stat.S_IMODE(status.st_mode))
    for name, value in kept_attributes(where).items():
        os.setxattr(directory, name, value)
    os.utime(directory, ns=(status.st_atime_ns, status.st_mtime_ns))
