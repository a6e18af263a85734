"""What an overlay's upper directory says about the layers beneath it."""

from __future__ import annotations

import os
import stat

from tare.errors import Invalid
from tare_storage.attributes import kept_attributes
from tare_storage.delta import ADDED, DELETED, MODIFIED, Delta, same_directory
from tare_storage.directories import MAX_DEPTH, OPEN
from tare_storage.overlay2.lowers import Lowers, is_opaque, is_whiteout


def deltas(upper: str, lowers: Lowers) -> list[Delta]:
    """All differences. A directory in which nothing differs and which itself is as before is none: overlayfs makes such
    directories on the way to a file that it copies up."""
    root = os.open(upper, OPEN)
    try:
        return _Walk(lowers).directory(root, b"", False, 0)
    finally:
        os.close(root)


class _Walk:
    def __init__(self, lowers: Lowers) -> None:
        self._lowers = lowers

    def directory(self, here: int, path: bytes, hidden: bool, depth: int) -> list[Delta]:
        """``hidden``: what the parents have here does not shine through."""
        if depth > MAX_DEPTH:
            raise Invalid(f"a directory more than {MAX_DEPTH} levels deep: {os.fsdecode(path)[:200]}…")
        found: list[Delta] = []
        names = [os.fsencode(name) for name in os.listdir(here)]
        for name in sorted(names):
            below = path + b"/" + name if path else name
            try:
                status = os.lstat(name, dir_fd=here)
            except FileNotFoundError:
                continue
            found += self._entry(here, name, below, status, hidden, depth)
        if hidden:
            gone = self._lowers.names(path).difference(names)
            found += [Delta(path + b"/" + name if path else name, DELETED, None) for name in sorted(gone)]
        return found

    def _entry(self, here: int, name: bytes, path: bytes, status: os.stat_result, hidden: bool, depth: int) -> list[Delta]:
        beneath = self._lowers.find(path)
        if is_whiteout(status):
            return [Delta(path, DELETED, None)] if beneath is not None else []
        kind = ADDED if beneath is None else MODIFIED
        if not stat.S_ISDIR(status.st_mode):
            return [Delta(path, kind, status)]
        merged = beneath is not None and stat.S_ISDIR(beneath[1].st_mode)
        opened = os.open(name, OPEN, dir_fd=here)
        try:
            inside = self.directory(opened, path, merged and (hidden or is_opaque(opened)), depth + 1)
            same = beneath is not None and merged and _same(opened, status, *beneath)
        finally:
            os.close(opened)
        if same and not inside:
            return []
        return [Delta(path, kind, status), *inside]


def _same(directory: int, status: os.stat_result, where: bytes, before: os.stat_result) -> bool:
    return same_directory(status, before) and kept_attributes(directory) == kept_attributes(where)
