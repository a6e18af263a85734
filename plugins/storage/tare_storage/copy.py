"""A full copy of a tree: everything that lstat and listxattr show, hard links as hard links, holes as holes."""

from __future__ import annotations

import errno
import os
import stat

from tare.linux.filesystems import share_blocks
from tare_storage.attributes import kept_attributes
from tare_storage.directories import OPEN

CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
CHUNK = 1 << 30


def copy_tree(source: str, target: str) -> None:
    """Make directory ``target`` as a copy of ``source``. Blocks are shared where the file system can (reflink)."""
    os.mkdir(target, 0o700)
    into = os.open(target, OPEN)
    origin = os.open(source, OPEN)
    try:
        copying = _Copying(into)
        copying.directory(origin, into, "")
        _dress(into, origin, os.fstat(origin))
    finally:
        os.close(origin)
        os.close(into)


def copy_leaf(source: int, target: int, name: str, status: os.stat_result) -> None:
    """Copy what is no directory from one open directory to another. ``status``: its lstat."""
    _Copying(target).leaf(source, target, name, status, stat.S_IFMT(status.st_mode))


class _Copying:
    def __init__(self, root: int) -> None:
        self._links: dict[tuple[int, int], str] = {}
        self._root = root
        self._shares = True

    def directory(self, source: int, target: int, path: str) -> None:
        for name in os.listdir(source):
            status = os.lstat(name, dir_fd=source)
            below = f"{path}/{name}" if path else name
            kind = stat.S_IFMT(status.st_mode)
            if kind == stat.S_IFDIR:
                self._descend(source, target, name, below, status)
            elif status.st_nlink == 1 or not self._linked(status, target, name, below):
                self.leaf(source, target, name, status, kind)

    def _descend(self, source: int, target: int, name: str, below: str, status: os.stat_result) -> None:
        os.mkdir(name, 0o700, dir_fd=target)
        inner = os.open(name, OPEN, dir_fd=source)
        try:
            made = os.open(name, OPEN, dir_fd=target)
            try:
                self.directory(inner, made, below)
                _dress(made, inner, status)
            finally:
                os.close(made)
        finally:
            os.close(inner)

    def _linked(self, status: os.stat_result, target: int, name: str, below: str) -> bool:
        """Make a further name of an inode that was copied already."""
        key = (status.st_dev, status.st_ino)
        first = self._links.setdefault(key, below)
        if first == below:
            return False
        directory, _, base = first.rpartition("/")
        holder = os.dup(self._root)
        try:
            for part in directory.split("/") if directory else ():
                deeper = os.open(part, OPEN, dir_fd=holder)
                os.close(holder)
                holder = deeper
            os.link(base, name, src_dir_fd=holder, dst_dir_fd=target, follow_symlinks=False)
        finally:
            os.close(holder)
        return True

    def leaf(self, source: int, target: int, name: str, status: os.stat_result, kind: int) -> None:
        if kind == stat.S_IFREG:
            self._file(source, target, name, status)
            return
        if kind == stat.S_IFLNK:
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        else:
            os.mknod(name, kind | 0o600, status.st_rdev, dir_fd=target)
        os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
        if kind != stat.S_IFLNK:
            os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=target)
        where = f"/proc/self/fd/{target}/{name}"
        for attribute, value in kept_attributes(f"/proc/self/fd/{source}/{name}").items():
            os.setxattr(where, attribute, value, follow_symlinks=False)
        os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=target, follow_symlinks=False)

    def _file(self, source: int, target: int, name: str, status: os.stat_result) -> None:
        origin = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOATIME, dir_fd=source)
        try:
            made = os.open(name, CREATE, 0o600, dir_fd=target)
            try:
                if status.st_size and not self._shared(origin, made):
                    _copy_data(origin, made, status.st_size)
                _dress(made, origin, status)
            finally:
                os.close(made)
        finally:
            os.close(origin)

    def _shared(self, origin: int, made: int) -> bool:
        self._shares = self._shares and share_blocks(origin, made)
        return self._shares


def _copy_data(source: int, target: int, size: int) -> None:
    """The bytes that are there, by copy_file_range(2); holes by not writing them (lseek(2), SEEK_DATA)."""
    at = 0
    while at < size:
        try:
            start = os.lseek(source, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            break
        end = min(os.lseek(source, start, os.SEEK_HOLE), size)
        while start < end:
            done = os.copy_file_range(source, target, min(end - start, CHUNK), start, start)
            if not done:
                break
            start += done
        at = end
    os.ftruncate(target, size)


def _dress(target: int, source: int, status: os.stat_result) -> None:
    os.fchown(target, status.st_uid, status.st_gid)
    os.fchmod(target, stat.S_IMODE(status.st_mode))
    for name, value in kept_attributes(source).items():
        os.setxattr(target, name, value)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
