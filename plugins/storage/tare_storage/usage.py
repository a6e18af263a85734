"""What a tree takes, and what has changed in it."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator

from tare.model.probe import Usage


def usage(statuses: Iterable[os.stat_result]) -> Usage:
    """What files and directories take as Docker counts it: the sizes of the files, holes included, hard links once, directories
    not at all; and the number of inodes."""
    seen: set[tuple[int, int]] = set()
    size = inodes = 0
    for status in statuses:
        if stat.S_ISDIR(status.st_mode):
            inodes += 1
            continue
        if status.st_nlink > 1:
            key = (status.st_dev, status.st_ino)
            if key in seen:
                continue
            seen.add(key)
        size += status.st_size
        inodes += 1
    return Usage(size, inodes)


def tree(path: str) -> Iterator[os.stat_result]:
    """The lstat of everything in the tree at ``path``, itself included. What vanishes meanwhile is left out."""
    for _, names, files, here in os.fwalk(path, follow_symlinks=False):
        yield os.fstat(here)
        for name in files + names:
            with contextlib.suppress(FileNotFoundError):
                status = os.lstat(name, dir_fd=here)
                if not stat.S_ISDIR(status.st_mode):
                    yield status


def changed_since(path: str, moment: int) -> str:
    """The first path below ``path`` whose inode changed after ``moment`` (ctime in ns), or ``""``. A deletion shows in the
    directory it was made in. Whiteouts do not count: overlayfs makes them as links of one inode, which others change."""
    for top, names, files, here in os.fwalk(path, follow_symlinks=False):
        names.sort()
        if os.fstat(here).st_ctime_ns > moment:
            return top
        for name in sorted(files):
            status = os.lstat(name, dir_fd=here)
            if status.st_ctime_ns > moment and not (stat.S_ISCHR(status.st_mode) and status.st_rdev == 0):
                return os.path.join(top, name)
    return ""
