"""What a tree takes on the disk."""

from __future__ import annotations

import os
import stat

from tare.model.probe import Usage

BLOCK = 512


def usage(path: str) -> Usage:
    """Bytes in blocks and number of inodes of the tree at ``path``, itself included, as du(1) counts: hard links once."""
    seen: set[tuple[int, int]] = set()
    blocks = inodes = 0
    for _, names, files, here in os.fwalk(path, follow_symlinks=False):
        status = os.fstat(here)
        blocks += status.st_blocks
        inodes += 1
        for name in files + names:
            try:
                status = os.lstat(name, dir_fd=here)
            except FileNotFoundError:
                continue
            if stat.S_ISDIR(status.st_mode):
                continue
            if status.st_nlink > 1:
                key = (status.st_dev, status.st_ino)
                if key in seen:
                    continue
                seen.add(key)
            blocks += status.st_blocks
            inodes += 1
    return Usage(blocks * BLOCK, inodes)


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
