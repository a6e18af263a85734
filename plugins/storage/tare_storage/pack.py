"""Differences as a layer's tar, byte for byte the same each time (ST-56)."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from typing import BinaryIO

from tare.errors import Invalid
from tare.linux import tar
from tare_storage.attributes import kept_attributes
from tare_storage.delta import Delta
from tare_storage.directories import Directories

CHUNK = 1 << 20
_KINDS = {
    stat.S_IFREG: tar.FILE,
    stat.S_IFDIR: tar.DIRECTORY,
    stat.S_IFLNK: tar.SYMLINK,
    stat.S_IFCHR: tar.CHARACTER,
    stat.S_IFBLK: tar.BLOCK,
    stat.S_IFIFO: tar.FIFO,
}


def pack(deltas: Sequence[Delta], root: str, out: BinaryIO) -> int:
    """Write ``deltas`` of the tree at ``root``, in order of their paths, parents first. Returns the sum of the sizes of the
    files written. Sockets are left out: a tar has no word for them. Raises Invalid for a file named as a whiteout (ST-44)."""
    size = 0
    first: dict[tuple[int, int], bytes] = {}
    with Directories(root) as tree:
        for delta in sorted(deltas, key=lambda delta: delta.path.split(b"/")):
            parent, _, name = delta.path.rpartition(b"/")
            if delta.status is None:
                out.write(_whiteout(parent, name))
                continue
            if name.startswith(b".wh."):
                raise Invalid(f"a layer cannot hold the file name {os.fsdecode(delta.path)}", subject=os.fsdecode(delta.path))
            size += _write(delta, delta.status, tree.open(parent), name, first, out)
    out.write(tar.END)
    return size


def _whiteout(parent: bytes, name: bytes) -> bytes:
    entry = tar.Entry(parent + b"/.wh." + name if parent else b".wh." + name, tar.FILE)
    return tar.header(entry)


def _write(
    delta: Delta, status: os.stat_result, directory: int, name: bytes, first: dict[tuple[int, int], bytes], out: BinaryIO
) -> int:
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        return 0
    entry = tar.Entry(delta.path, kind)
    entry.mode = stat.S_IMODE(status.st_mode)
    entry.uid, entry.gid, entry.mtime = status.st_uid, status.st_gid, status.st_mtime_ns
    if kind == tar.DIRECTORY:
        entry.name += b"/"
    elif status.st_nlink > 1:
        original = first.setdefault((status.st_dev, status.st_ino), delta.path)
        if original != delta.path:
            entry.kind, entry.link = tar.HARD, original
            out.write(tar.header(entry))
            return 0
    entry.xattrs = kept_attributes(b"/proc/self/fd/%d/%s" % (directory, name))
    if kind == tar.SYMLINK:
        entry.link = os.fsencode(os.readlink(name, dir_fd=directory))
    elif kind in (tar.CHARACTER, tar.BLOCK):
        entry.major, entry.minor = os.major(status.st_rdev), os.minor(status.st_rdev)
    if kind != tar.FILE:
        out.write(tar.header(entry))
        return 0
    file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOATIME, dir_fd=directory)
    try:
        entry.size = os.fstat(file).st_size
        out.write(tar.header(entry))
        _copy(file, entry.size, out)
    finally:
        os.close(file)
    return entry.size


def _copy(file: int, size: int, out: BinaryIO) -> None:
    """Exactly ``size`` bytes and the padding, also of a file that is being written to."""
    left = size
    while left:
        piece = os.read(file, min(CHUNK, left))
        if not piece:
            piece = bytes(min(CHUNK, left))
        out.write(piece)
        left -= len(piece)
    out.write(bytes(-size % tar.RECORD))
