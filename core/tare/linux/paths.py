"""Paths that stay below a directory whatever symbolic links say: openat2(2)."""

from __future__ import annotations

import ctypes
import errno
import os

from tare.linux import syscalls
from tare.linux.syscalls import TEXT, WORD, encoded, prototype, through

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

MOST_LINKS = 40

_HOW = (ctypes.c_uint64 * 3)()
_HOW_AT = ctypes.addressof(_HOW)
_HOW_SIZE = ctypes.sizeof(_HOW)
_openat2 = prototype(WORD, TEXT, WORD, WORD)


def openat2(directory: int, path: str | bytes, flags: int, mode: int = 0, resolve: int = 0) -> int:
    """openat2(2); the descriptor is close-on-exec. Raises OSError naming the path."""
    raw = encoded(path)
    _HOW[0] = flags | os.O_CLOEXEC
    _HOW[1] = mode
    _HOW[2] = resolve
    try:
        return through(_openat2, syscalls.OPENAT2, directory, raw, _HOW_AT, _HOW_SIZE)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fsdecode(path)) from None


def open_in_root(root: int, path: str | bytes, flags: int = os.O_PATH, mode: int = 0) -> int:
    """Open ``path`` as if ``root`` (a directory's descriptor) were ``/``: absolute links and ``..`` stay inside it, and
    links of procfs that lead to open files are not followed. Raises OSError (ELOOP for such a link)."""
    return openat2(root, path, flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)


def open_beneath(directory: int, path: str | bytes, flags: int = os.O_PATH, mode: int = 0) -> int:
    """Open ``path`` below ``directory`` without following any link. Raises OSError (EXDEV when it climbs out)."""
    return openat2(directory, path, flags, mode, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)


def make_directory(root: int, path: str, mode: int = 0o755) -> int:
    """An O_PATH descriptor of directory ``path`` inside ``root``; what is missing of it is made. Raises OSError."""
    try:
        return open_in_root(root, path, os.O_PATH | os.O_DIRECTORY)
    except FileNotFoundError:
        made = _make_last(root, path, mode, file=False) or _make(root, path, mode, file=False)
        return open_in_root(root, made, os.O_PATH | os.O_DIRECTORY)


def make_file(root: int, path: str, mode: int = 0o755) -> int:
    """An O_PATH descriptor of ``path`` inside ``root``; a missing one becomes an empty file, its missing directories are
    made with ``mode``. Raises OSError."""
    try:
        return open_in_root(root, path)
    except FileNotFoundError:
        return open_in_root(root, _make_last(root, path, mode, file=True) or _make(root, path, mode, file=True))


def _make_last(root: int, path: str, mode: int, *, file: bool) -> str:
    """The common case: only the last part is missing and it is not a link. Returns ``path``, or ``""`` when it is not so."""
    above, _, name = path.rpartition("/")
    if name in ("", ".", ".."):
        return ""
    try:
        parent = open_in_root(root, above or "/")
    except OSError:
        return ""
    try:
        return path if _make_one(parent, name, mode, file=file) else ""
    finally:
        os.close(parent)


def _make(root: int, path: str, mode: int, *, file: bool) -> str:
    """Make what is missing of ``path`` inside ``root``, also at the far end of dangling links, and return where it is."""
    done, pending, links = "", path.split("/")[::-1], 0
    while pending:
        part = pending.pop()
        if part in ("", "."):
            continue
        if part == "..":
            done = done.rpartition("/")[0]
            continue
        parent = open_in_root(root, done or "/")
        try:
            target = _link(parent, part)
            if target is None:
                _make_one(parent, part, mode, file=file and not any(pending))
                done = f"{done}/{part}"
            else:
                links += 1
                if links > MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                if target.startswith("/"):
                    done = ""
                pending.extend(target.split("/")[::-1])
        finally:
            os.close(parent)
    return done or "/"


def _make_one(parent: int, name: str, mode: int, *, file: bool) -> bool:
    """Whether it was made; False when something of that name is there."""
    try:
        if file:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644, dir_fd=parent))
        else:
            os.mkdir(name, mode, dir_fd=parent)
    except FileExistsError:
        return False
    return True


def _link(directory: int, name: str) -> str | None:
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError:
        return None
