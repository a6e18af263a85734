"""What became of a copy: it against what it was copied from."""

from __future__ import annotations

import os
import stat

from tare.errors import Invalid
from tare_storage.attributes import kept_attributes
from tare_storage.delta import ADDED, DELETED, MODIFIED, Delta, same_directory
from tare_storage.directories import MAX_DEPTH, OPEN

CHUNK = 1 << 20


def deltas(tree: str, base: str | None, copied: int) -> list[Delta]:
    """All differences of ``tree`` against ``base`` (None: against nothing). ``copied`` is the ctime in ns at which the copy was
    complete: a file that the kernel has not touched since, in directories that were not moved, is as it was."""
    here = os.open(tree, OPEN)
    try:
        beneath = -1 if base is None else os.open(base, OPEN)
        try:
            comparison = _Comparison(copied)
            found = comparison.directory(here, beneath, b"", False, 0)
            return found + comparison.further_names(found)
        finally:
            if beneath >= 0:
                os.close(beneath)
    finally:
        os.close(here)


class _Comparison:
    def __init__(self, copied: int) -> None:
        self._copied = copied
        self._unchanged: dict[int, list[Delta]] = {}

    def further_names(self, found: list[Delta]) -> list[Delta]:
        """Unchanged files that bear a new name as well: a layer in which they are missing could not say that it is one file."""
        inodes = {delta.status.st_ino for delta in found if delta.status is not None and delta.status.st_nlink > 1}
        return [delta for inode in inodes.intersection(self._unchanged) for delta in self._unchanged[inode]]

    def directory(self, here: int, beneath: int, path: bytes, moved: bool, depth: int) -> list[Delta]:
        """``moved``: this directory may be another one than the copied one of that name."""
        if depth > MAX_DEPTH:
            raise Invalid(f"a directory more than {MAX_DEPTH} levels deep: {os.fsdecode(path)[:200]}…")
        names = {os.fsencode(name) for name in os.listdir(here)}
        before = {os.fsencode(name) for name in os.listdir(beneath)} if beneath >= 0 else set()
        found: list[Delta] = []
        for name in sorted(names | before):
            below = path + b"/" + name if path else name
            if name not in names:
                found.append(Delta(below, DELETED, None))
            else:
                found += self._entry(here, beneath if name in before else -1, name, below, moved, depth)
        return found

    def _entry(self, here: int, beneath: int, name: bytes, path: bytes, moved: bool, depth: int) -> list[Delta]:
        status = os.lstat(name, dir_fd=here)
        old = os.lstat(name, dir_fd=beneath) if beneath >= 0 else None
        kind = ADDED if old is None else MODIFIED
        if not stat.S_ISDIR(status.st_mode):
            if old is not None and self._same(here, beneath, name, status, old, moved):
                if status.st_nlink > 1:
                    self._unchanged.setdefault(status.st_ino, []).append(Delta(path, MODIFIED, status))
                return []
            return [Delta(path, kind, status)]
        merged = old is not None and stat.S_ISDIR(old.st_mode)
        opened = os.open(name, OPEN, dir_fd=here)
        try:
            under = os.open(name, OPEN, dir_fd=beneath) if merged else -1
            try:
                touched = merged and status.st_ctime_ns >= self._copied
                attributes = touched and kept_attributes(opened) != kept_attributes(under)
                inside = self.directory(opened, under, path, moved or status.st_ctime_ns >= self._copied, depth + 1)
            finally:
                if under >= 0:
                    os.close(under)
        finally:
            os.close(opened)
        if merged and old is not None and not inside and same_directory(status, old) and not attributes:
            return []
        return [Delta(path, kind, status), *inside]

    def _same(self, here: int, beneath: int, name: bytes, new: os.stat_result, old: os.stat_result, moved: bool) -> bool:
        if new.st_ctime_ns < self._copied and not moved:
            return True
        if (new.st_mode, new.st_uid, new.st_gid, new.st_rdev, new.st_size, new.st_mtime_ns) != (
            old.st_mode,
            old.st_uid,
            old.st_gid,
            old.st_rdev,
            old.st_size,
            old.st_mtime_ns,
        ):
            return False
        ours, theirs = b"/proc/self/fd/%d/%s" % (here, name), b"/proc/self/fd/%d/%s" % (beneath, name)
        if kept_attributes(ours) != kept_attributes(theirs):
            return False
        if stat.S_ISLNK(new.st_mode):
            return os.readlink(name, dir_fd=here) == os.readlink(name, dir_fd=beneath)
        return not stat.S_ISREG(new.st_mode) or _same_content(here, beneath, name)


def _same_content(here: int, beneath: int, name: bytes) -> bool:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOATIME
    one = os.open(name, flags, dir_fd=here)
    try:
        other = os.open(name, flags, dir_fd=beneath)
        try:
            while True:
                piece = os.read(one, CHUNK)
                if piece != os.read(other, CHUNK):
                    return False
                if not piece:
                    return True
        finally:
            os.close(other)
    finally:
        os.close(one)
