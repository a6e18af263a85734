"""Deleting trees that strangers made: any depth, any names, never through a link."""

from __future__ import annotations

import os
import stat

DEPTH = 64


def destroy(directory: int, name: str | bytes) -> None:
    """Delete ``name`` in ``directory``, whatever it is; missing: nothing happens, also when another deletes it meanwhile.

    What lies deeper than a path or the stack would bear is moved up beside it and deleted from there. Raises OSError.
    """
    moved = [os.fsencode(name)]
    while moved:
        _delete(directory, moved.pop(), directory, moved, 0)


def _delete(parent: int, name: bytes, top: int, moved: list[bytes], depth: int) -> None:
    try:
        if not stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
            os.unlink(name, dir_fd=parent)
        elif depth == DEPTH:
            spare = b".deep-" + os.urandom(8).hex().encode()
            os.rename(name, spare, src_dir_fd=parent, dst_dir_fd=top)
            moved.append(spare)
        else:
            here = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
            try:
                for inside in os.listdir(here):
                    _delete(here, os.fsencode(inside), top, moved, depth + 1)
            finally:
                os.close(here)
            os.rmdir(name, dir_fd=parent)
    except FileNotFoundError:
        return
