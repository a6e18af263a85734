"""Directories of a tree by their descriptors: whoever has one cannot be led elsewhere by a link put in the way."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from typing import Self

from tare.errors import Invalid
from tare.linux import tar
from tare_storage.attributes import DEFAULT_ACL, strip_attributes

OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
KEPT = 128
MAX_DEPTH = 256
"""Deepest nesting that a layer may have. Walks hold a descriptor and two frames of the stack for each level."""

Missing = Callable[[int, bytes, bytes], None]
"""Called with (descriptor of the directory, name, whole path) for a name that is missing or no directory; it makes the
directory, or raises."""


def clean(name: bytes) -> bytes:
    """An archive's name as a path without ``.``, doubled or trailing slashes; ``b""`` is the root (ST-59).

    Raises Invalid for an absolute name, one that climbs, and one that is deeper than MAX_DEPTH directories.
    """
    parts = [part for part in name.split(b"/") if part and part != b"."]
    if name[:1] == b"/" and parts:
        raise Invalid(f"an absolute name: {tar.shown(name)}")
    if b".." in parts:
        raise Invalid(f"a name that climbs out: {tar.shown(name)}")
    if len(parts) > MAX_DEPTH:
        raise Invalid(f"a name {len(parts)} directories deep: {tar.shown(name)}")
    if parts and max(map(len, parts)) > 255:
        raise Invalid(f"a name with a part longer than 255 bytes: {tar.shown(name)}")
    return b"/".join(parts)


class Directories:
    """Open directories below ``root``, the last used ones kept. No symbolic link is ever followed."""

    def __init__(self, root: str) -> None:
        self._root = os.open(root, OPEN)
        self._kept: dict[bytes, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.forget(b"")
        os.close(self._root)

    def open(self, path: bytes, missing: Missing | None = None) -> int:
        """The descriptor of directory ``path``; it is the caller's until the next call. Raises OSError when there is none
        and ``missing`` is not given."""
        if not path:
            return self._root
        known = self._kept.pop(path, None)
        if known is not None:
            self._kept[path] = known
            return known
        end = path.rfind(b"/")
        while end > 0 and path[:end] not in self._kept:
            end = path.rfind(b"/", 0, end)
        current = self._root if end < 0 else self._kept[path[:end]]
        while end != len(path):
            start = end + 1
            end = path.find(b"/", start)
            end = len(path) if end < 0 else end
            current = self._step(current, path[start:end], path[:end], missing)
        return current

    def _step(self, directory: int, name: bytes, path: bytes, missing: Missing | None) -> int:
        try:
            opened = os.open(name, OPEN, dir_fd=directory)
        except OSError:
            if missing is None:
                raise
            missing(directory, name, path)
            opened = os.open(name, OPEN, dir_fd=directory)
        if len(self._kept) >= KEPT:
            os.close(self._kept.pop(next(iter(self._kept))))
        self._kept[path] = opened
        return opened

    def forget(self, path: bytes) -> None:
        """Close what is kept of ``path`` and below, because it goes away."""
        below = path + b"/"
        for kept in [kept for kept in self._kept if not path or kept == path or kept.startswith(below)]:
            os.close(self._kept.pop(kept))


class Growing(Directories):
    """Directories into which something is put. What that would change (their time) and what it would inherit (their default
    ACL) is set when all is there: ``settle``. A directory that nobody dresses keeps those that it had."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self._times: dict[bytes, int] = {}
        self._acls: dict[bytes, bytes] = {}
        self._grows = True
        self._opened(self._root, b"")

    def _step(self, directory: int, name: bytes, path: bytes, missing: Missing | None) -> int:
        opened = super()._step(directory, name, path, missing)
        if self._grows:
            self._opened(opened, path)
        return opened

    def _opened(self, directory: int, path: bytes) -> None:
        if path not in self._times:
            self._times[path] = os.fstat(directory).st_mtime_ns
        try:
            self._acls[path] = os.getxattr(directory, DEFAULT_ACL)
        except OSError as error:
            if error.errno not in (errno.ENODATA, errno.EOPNOTSUPP):
                raise
        else:
            os.removexattr(directory, DEFAULT_ACL)

    def dress(self, path: bytes, mtime: int, acl: bytes | None) -> int:
        """Say what a directory is to have at last; its descriptor, with nothing left of what it had."""
        directory = self.open(path)
        strip_attributes(directory)
        self._times[path] = mtime
        self._acls.pop(path, None)
        if acl is not None:
            self._acls[path] = acl
        return directory

    def undress(self, directory: int, path: bytes) -> None:
        """Make an open directory look like one that nobody has dressed."""
        strip_attributes(directory)
        os.fchown(directory, 0, 0)
        os.fchmod(directory, 0o755)
        self._acls.pop(path, None)

    def gone(self, path: bytes) -> None:
        """``forget``, and what was said of the directory too."""
        self.forget(path)
        self._times.pop(path, None)
        self._acls.pop(path, None)

    def settle(self) -> None:
        self._grows = False
        for path, value in self._acls.items():
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                os.setxattr(self.open(path), DEFAULT_ACL, value)
        for path, mtime in self._times.items():
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                os.utime(self.open(path), ns=(mtime, mtime))
