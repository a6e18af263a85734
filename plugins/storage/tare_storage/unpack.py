"""A layer's tar onto the disk. What the tar may do is decided here, what a whiteout becomes by the driver's Whiteouts.

Nothing outside the root can be reached: names are cleaned, each directory on the way is opened without following a link
and kept by its descriptor, and the last part is made with O_EXCL below that descriptor (ST-59).
"""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO, Protocol

from tare.drivers.storage import Applied
from tare.errors import Invalid
from tare.linux import tar
from tare_storage.attributes import DEFAULT_ACL
from tare_storage.destroy import destroy
from tare_storage.directories import Growing, clean

HIDE, HIDE_ALL, RESERVED = b".wh.", b".wh..wh..opq", b".wh..wh."
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
CHUNK = 1 << 20
GRAIN = 1 << 16
"""Runs of zeros are left out of files in units of this size."""

_ZEROS = bytes(GRAIN)
_DEVICES = {tar.CHARACTER: stat.S_IFCHR, tar.BLOCK: stat.S_IFBLK, tar.FIFO: stat.S_IFIFO}


class Whiteouts(Protocol):
    """What a driver does where a layer hides something of its parents. Paths are relative to the root, without slashes
    around them; ``directory`` is the open directory that holds ``name``."""

    def hide(self, tree: Growing, path: bytes) -> None:
        """``.wh.NAME``: what the parents have at ``path`` is gone; what this layer put there stays."""

    def hide_all(self, tree: Growing, path: bytes) -> None:
        """``.wh..wh..opq``: what the parents have in directory ``path`` is gone; what this layer put there stays."""

    def make_directory(self, directory: int, name: bytes, path: bytes, fresh: bool) -> None:
        """Make a directory that the tar does not name, as the parents have it unless it is ``fresh``: in the place of something
        else."""

    def renewed(self, directory: int, name: bytes, path: bytes) -> None:
        """A fresh directory has taken the place of something else at ``path``."""

    def placed(self, path: bytes) -> None:
        """This layer has put something at ``path``."""

    def linkable(self, tree: Growing, path: bytes) -> bool:
        """See to it that a hard link to ``path`` can be made, also when only the parents have it. False: nothing is there."""

    def may_make(self, entry: tar.Entry) -> bool:
        """Can this device be made without meaning something else?"""


def unpack(source: BinaryIO, root: str, whiteouts: Whiteouts) -> Applied:
    """Unpack a plain tar into directory ``root``. Raises Invalid for what is no tar, cut short or hostile (ST-60), OSError
    for what the disk refuses. The source is read to its very end, so that one that verifies itself has done so. The process's
    umask is 0 meanwhile: this runs in a process of its own."""
    mask = os.umask(0)
    try:
        with Growing(root) as tree:
            unpacking = _Unpacking(tree, whiteouts)
            try:
                applied = unpacking.run(source)
            except (OverflowError, ValueError) as error:
                raise Invalid(f"broken tar archive: {error} (at or after {tar.shown(unpacking.at)})") from None
            except OSError as error:
                error.filename = tar.shown(unpacking.at)
                raise
        while source.read(CHUNK):
            pass
        return applied
    finally:
        os.umask(mask)


class _Unpacking:
    def __init__(self, tree: Growing, whiteouts: Whiteouts) -> None:
        self._tree = tree
        self._whiteouts = whiteouts
        self._links: set[bytes] = set()
        self.at = b""

    def run(self, source: BinaryIO) -> Applied:
        size = entries = 0
        reader = tar.Reader(source)
        for entry in reader:
            entries += 1
            self.at = entry.name
            path = clean(entry.name)
            parent, _, name = path.rpartition(b"/")
            if HIDE in path and self._hides(parent, name):
                continue
            if not path:
                self._root(entry)
            else:
                self._place(entry, reader, parent, name, path)
                self._whiteouts.placed(path)
                size += entry.size
        self._tree.settle()
        return Applied(size, entries)

    def _hides(self, parent: bytes, name: bytes) -> bool:
        """Whether an entry is a whiteout; if so, it is done."""
        for part in parent.split(b"/"):
            if part.startswith(RESERVED):
                return True
            if part.startswith(HIDE):
                raise Invalid(f"something inside a whiteout: {os.fsdecode(parent)}/{os.fsdecode(name)}")
        if not name.startswith(HIDE):
            return False
        if name == HIDE_ALL:
            self._whiteouts.hide_all(self._tree, parent)
        elif not name.startswith(RESERVED):
            hidden = name[len(HIDE) :]
            if hidden in (b"", b".", b".."):
                raise Invalid(f"a whiteout of nothing: {tar.shown(name)}")
            self._whiteouts.hide(self._tree, parent + b"/" + hidden if parent else hidden)
        return True

    def _root(self, entry: tar.Entry) -> None:
        if entry.kind != tar.DIRECTORY:
            raise Invalid("the root is no directory")
        self._dress_directory(b"", entry)

    def _missing(self, directory: int, name: bytes, path: bytes) -> None:
        mode = _mode(directory, name)
        if stat.S_ISLNK(mode) and path in self._links:
            raise Invalid(f"{tar.shown(self.at)} goes through the symbolic link {tar.shown(path)}")
        taken = bool(mode)
        if taken:
            self._clear(directory, name, path)
        self._whiteouts.make_directory(directory, name, path, taken)
        if taken:
            self._whiteouts.renewed(directory, name, path)

    def _place(self, entry: tar.Entry, reader: tar.Reader, parent: bytes, name: bytes, path: bytes) -> None:
        directory = self._tree.open(parent, self._missing)
        try:
            self._make(entry, reader, directory, name, path)
        except FileExistsError:
            if entry.kind == tar.DIRECTORY and stat.S_ISDIR(os.lstat(name, dir_fd=directory).st_mode):
                self._dress_directory(path, entry)
                return
            self._clear(directory, name, path)
            directory = self._tree.open(parent)
            self._make(entry, reader, directory, name, path)
            if entry.kind == tar.DIRECTORY:
                self._whiteouts.renewed(directory, name, path)

    def _clear(self, directory: int, name: bytes, path: bytes) -> None:
        self._tree.gone(path)
        self._links.discard(path)
        destroy(directory, name)

    def _make(self, entry: tar.Entry, reader: tar.Reader, directory: int, name: bytes, path: bytes) -> None:
        kind = entry.kind
        if kind == tar.FILE:
            file = os.open(name, CREATE, entry.mode & 0o1777, dir_fd=directory)
            try:
                if entry.size:
                    _write(file, entry, reader)
                if entry.uid or entry.gid:
                    os.fchown(file, entry.uid, entry.gid)
                if entry.mode & 0o6000:
                    os.fchmod(file, entry.mode)
                if entry.xattrs:
                    _set_attributes(file, entry)
                os.utime(file, ns=(entry.mtime, entry.mtime))
            finally:
                os.close(file)
        elif kind == tar.DIRECTORY:
            os.mkdir(name, 0o700, dir_fd=directory)
            self._dress_directory(path, entry)
        elif kind == tar.HARD:
            self._link(entry, directory, name, path)
        elif kind == tar.SYMLINK:
            os.symlink(entry.link, name, dir_fd=directory)
            self._links.add(path)
            _dress(entry, directory, name)
        else:
            if not self._whiteouts.may_make(entry):
                raise Invalid(f"a device 0:0, which would hide what is beneath it: {tar.shown(path)}")
            device = os.makedev(entry.major, entry.minor)
            os.mknod(name, _DEVICES[kind] | entry.mode & 0o777, device, dir_fd=directory)
            _dress(entry, directory, name)

    def _link(self, entry: tar.Entry, directory: int, name: bytes, path: bytes) -> None:
        target = clean(entry.link)
        parent, _, base = target.rpartition(b"/")
        here = os.dup(directory)
        try:
            if target == path or not self._whiteouts.linkable(self._tree, target):
                raise FileNotFoundError
            os.link(base, name, src_dir_fd=self._tree.open(parent), dst_dir_fd=here, follow_symlinks=False)
        except FileExistsError:
            raise
        except OSError as error:
            if error.errno in (None, errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EPERM):
                what = f"{tar.shown(entry.name)} is a hard link to {tar.shown(target)}, which is not there"
                raise Invalid(what) from None
            raise
        finally:
            os.close(here)

    def _dress_directory(self, path: bytes, entry: tar.Entry) -> None:
        directory = self._tree.dress(path, entry.mtime, entry.xattrs.pop(DEFAULT_ACL, None))
        os.fchown(directory, entry.uid, entry.gid)
        os.fchmod(directory, entry.mode)
        if entry.xattrs:
            _set_attributes(directory, entry)


def _mode(directory: int, name: bytes) -> int:
    """st_mode of what is there, 0 for nothing."""
    try:
        return os.lstat(name, dir_fd=directory).st_mode
    except FileNotFoundError:
        return 0


def _dress(entry: tar.Entry, directory: int, name: bytes) -> None:
    """Owner, mode, attributes and time of what cannot be opened."""
    if entry.uid or entry.gid:
        os.chown(name, entry.uid, entry.gid, dir_fd=directory, follow_symlinks=False)
    if entry.kind != tar.SYMLINK and entry.mode & 0o7000:
        os.chmod(name, entry.mode, dir_fd=directory)
    if entry.xattrs:
        _set_attributes(b"/proc/self/fd/%d/%s" % (directory, name), entry)
    os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=directory, follow_symlinks=False)


def _set_attributes(where: int | bytes, entry: tar.Entry) -> None:
    """Extended attributes, but overlayfs' own, which no image has a say in, and those that the disk cannot hold; user ones are
    for files and directories alone (xattr(7))."""
    for name, value in entry.xattrs.items():
        if name.startswith("trusted.overlay."):
            continue
        try:
            os.setxattr(where, name, value, follow_symlinks=isinstance(where, int))
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ERANGE, errno.E2BIG):
                raise Invalid(f"the extended attribute {name!r} of {os.fsdecode(entry.name)} is not one") from None
            if error.errno != errno.EOPNOTSUPP and not (error.errno == errno.EPERM and name.startswith("user.")):
                raise


def _write(file: int, entry: tar.Entry, reader: tar.Reader) -> None:
    written = 0
    if entry.size < GRAIN:
        for offset, piece in reader.extents():
            _write_at(file, piece, offset)
            written = offset + len(piece)
    else:
        for offset, piece in reader.extents():
            for start, run in _filled(piece):
                _write_at(file, run, offset + start)
                written = offset + start + len(run)
    if written < entry.size:
        os.ftruncate(file, entry.size)


def _write_at(file: int, piece: memoryview, offset: int) -> None:
    while piece:
        done = os.pwrite(file, piece, offset)
        piece = piece[done:]
        offset += done


def _filled(piece: memoryview) -> list[tuple[int, memoryview]]:
    """What remains of ``piece`` without its zeros: (start, run) ascending."""
    runs: list[tuple[int, memoryview]] = []
    begin = 0
    for start in range(0, len(piece), GRAIN):
        end = min(start + GRAIN, len(piece))
        if piece[start] or piece[end - 1] or piece[start:end].tobytes() != _ZEROS[: end - start]:
            continue
        if begin < start:
            runs.append((begin, piece[begin:start]))
        begin = end
    if begin < len(piece):
        runs.append((begin, piece[begin:]))
    return runs
