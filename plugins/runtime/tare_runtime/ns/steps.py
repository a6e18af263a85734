"""The steps that furnish a container's root, in the order of the plan: each is a tuple that names its function first.

All of them run after pivot_root: nothing of the host can be reached by a path. Places that the image decides about are
opened with RESOLVE_IN_ROOT, so that not even a link of procfs leads out through a descriptor of the engine.
"""

from __future__ import annotations

import errno
import os
import stat

from tare.linux import mounts
from tare.linux.cgroups import write
from tare.linux.paths import make_directory, make_file, open_beneath, open_in_root
from tare.linux.process import CLONE_NEWNS, setns
from tare_runtime.ns.failure import Failure, failed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_LINKS = (
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("/proc/kcore", "core"),
    ("pts/ptmx", "ptmx"),
)
_NODES = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0))


class Furnishing:
    """What the steps share: the new root and the detached trees that were opened before it became the root."""

    __slots__ = ("root", "trees")

    def __init__(self, root: int, trees: list[int]) -> None:
        self.root = root
        self.trees = trees

    def perform(self, steps: list[tuple[Any, ...]]) -> None:
        """Do them. Raises Failure with the place in its text."""
        for name, *arguments in steps:
            try:
                PERFORM[name](self, *arguments)
            except OSError as error:
                failure = failed(name, f'{_DOES[name]} "{_shown(name, arguments)}" in the container', error)
                if name == "bind" and error.errno in (errno.ENOTDIR, errno.EINVAL):
                    failure.text += ": are you trying to mount a directory onto a file (or vice-versa)?"
                raise failure from None

    def mount(self, target: str, type: str, source: str, flags: int, propagation: int, data: str) -> None:
        """A file system on a directory of the container, which is made when it is missing."""
        if type == "tmpfs":
            place, data = self._for_tmpfs(target, data)
        else:
            place = _ordinary(self.root, target) if type in ("proc", "sysfs") else make_directory(self.root, target)
        os.fchdir(place)
        mounts.mount(source, ".", type, flags, data)
        if propagation:
            mounts.mount("", target, flags=propagation)

    def bind(self, target: str, tree: int) -> None:
        """A tree of the host onto a directory or file of the container, made when it is missing."""
        fd = self.trees[tree]
        make = make_directory if stat.S_ISDIR(os.fstat(fd).st_mode) else make_file
        place = make(self.root, target)
        self._spare_proc(place, target, fd)
        mounts.move_mount(fd, place)
        os.close(place)

    def _for_tmpfs(self, target: str, data: str) -> tuple[int, str]:
        """The directory to cover, and the options: unless they name a mode it is that of the directory, where there is one."""
        try:
            place = open_in_root(self.root, target, os.O_PATH | os.O_DIRECTORY)
        except FileNotFoundError:
            return make_directory(self.root, target), data
        self._spare_proc(place, target)
        if "mode=" in data:
            return place, data
        mode = f"mode={stat.S_IMODE(os.fstat(place).st_mode):o}"
        return place, f"{mode},{data}" if data else mode

    def _spare_proc(self, place: int, target: str, tree: int = -1) -> None:
        """Refuse to hide a part of /proc: a link of the image may lead there. Raises Failure."""
        if not mounts.on_procfs(place):
            return
        here, proc = os.fstat(place), os.stat("/proc")
        if here.st_dev != proc.st_dev:
            return  # another one, which the user has mounted elsewhere
        if here.st_ino == proc.st_ino:
            if tree >= 0 and mounts.on_procfs(tree):
                return
            raise Failure("bind", 0, f'cannot mount at "{target}": it is /proc, and what is to be mounted is not of type proc')
        if target not in mounts.WITHIN_PROC:
            raise Failure("bind", 0, f'cannot mount at "{target}": it is inside /proc')

    def touch(self, path: str) -> None:
        """An empty file, unless something is there or the root has no room for it: it is a mark, which nobody must have."""
        try:
            os.close(make_file(self.root, path))
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                raise

    def devices(self, directory: str) -> None:
        """The default devices and links, on a fresh /dev (OCI runtime spec, config-linux.md)."""
        dev = open_in_root(self.root, directory, os.O_PATH | os.O_DIRECTORY)
        mask = os.umask(0)
        for name, major, minor in _NODES:
            os.mknod(name, stat.S_IFCHR | 0o666, os.makedev(major, minor), dir_fd=dev)
        os.umask(mask)
        for text, name in _LINKS:
            os.symlink(text, name, dir_fd=dev)
        os.close(dev)

    def node(self, path: str, mode: int, device: int, uid: int, gid: int) -> None:
        """One more device node, in the place of another that the defaults or an earlier start have made there. Raises
        FileExistsError for what is no device."""
        parent, _, name = path.rpartition("/")
        place = make_directory(self.root, parent or "/")
        mask = os.umask(0)
        try:
            try:
                os.mknod(name, mode, device, dir_fd=place)
            except FileExistsError:
                there = os.stat(name, dir_fd=place, follow_symlinks=False)
                if not stat.S_ISCHR(there.st_mode) and not stat.S_ISBLK(there.st_mode):
                    raise
                if (there.st_mode, there.st_rdev) == (mode, device):
                    return
                os.unlink(name, dir_fd=place)
                os.mknod(name, mode, device, dir_fd=place)
            if uid or gid:
                os.chown(name, uid, gid, dir_fd=place, follow_symlinks=False)
        finally:
            os.umask(mask)
            os.close(place)

    def link(self, path: str, text: str) -> None:
        """A symbolic link in a file system that was just mounted."""
        os.symlink(text, path)

    def sysctl(self, path: str, value: str) -> None:
        """A value below /proc/sys; ``path`` has slashes."""
        write(path, value)

    def mask(self, path: str) -> None:
        """Show nothing there: /dev/null over a file, an empty read-only tmpfs over a directory. Missing: nothing to do."""
        try:
            mounts.mount("/dev/null", path, flags=mounts.MS_BIND)
        except FileNotFoundError:
            if os.path.lexists(path):
                raise  # it is /dev/null that is missing
        except NotADirectoryError:
            mounts.mount("tmpfs", path, "tmpfs", mounts.MS_RDONLY)

    def read_only(self, path: str) -> None:
        """Let nobody write below it. Missing: nothing to do."""
        try:
            mounts.mount(path, path, flags=mounts.MS_BIND | mounts.MS_REC)
        except FileNotFoundError:
            return
        mounts.set_attributes(mounts.AT_FDCWD, path, on=mounts.MOUNT_ATTR_RDONLY, recursive=True)

    def close_off(self, path: str) -> None:
        """Make one mount read-only that had to be written to until now."""
        mounts.set_attributes(mounts.AT_FDCWD, path, on=mounts.MOUNT_ATTR_RDONLY)


def _ordinary(root: int, path: str) -> int:
    """The directory that the kernel's own figures are mounted on, made when it is missing: as in runc no link of the image may
    take them to where somebody else can change what is seen. Raises Failure, OSError."""
    try:
        return open_beneath(root, path.lstrip("/"), os.O_PATH | os.O_DIRECTORY)
    except FileNotFoundError:
        return make_directory(root, path)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
        raise Failure("mount", 0, f'"{path}" of the image must be an ordinary directory') from None


PERFORM: dict[str, Callable[..., None]] = {
    "mount": Furnishing.mount,
    "bind": Furnishing.bind,
    "touch": Furnishing.touch,
    "devices": Furnishing.devices,
    "node": Furnishing.node,
    "link": Furnishing.link,
    "sysctl": Furnishing.sysctl,
    "mask": Furnishing.mask,
    "read_only": Furnishing.read_only,
    "close_off": Furnishing.close_off,
}
_DOES = {
    "mount": "mounting",
    "bind": "mounting",
    "touch": "making",
    "devices": "making devices in",
    "node": "making device",
    "link": "linking",
    "sysctl": "setting",
    "mask": "masking",
    "read_only": "protecting",
    "close_off": "protecting",
}


def _shown(name: str, arguments: list[Any]) -> str:
    if name == "sysctl":
        return str(arguments[0]).removeprefix("/proc/sys/").replace("/", ".")
    return str(arguments[0])


def open_trees(wanted: list[tuple[str, bool, int, int, bool, str, str]]) -> list[int]:
    """Detached copies of mounts, before the host goes out of sight. Each is wanted as ``(source, recursive, MOUNT_ATTR_*
    to set, propagation or 0, whether the attributes go for every mount below, target for the error's text, path of the
    mount namespace that holds the source or "")``. Raises Failure."""
    trees = []
    for source, recursive, attributes, propagation, deep, target, namespace in wanted:
        try:
            tree = _tree_of(namespace, source, recursive) if namespace else mounts.open_tree(source, recursive=recursive)
            kind, whole = propagation & ~mounts.MS_REC, bool(propagation & mounts.MS_REC)
            if kind and (not attributes or whole != deep):
                mounts.set_attributes(tree, propagation=kind, recursive=whole)
                kind = 0
            if attributes:
                mounts.set_attributes(tree, on=attributes, propagation=kind, recursive=deep)
        except OSError as error:
            what = f'error mounting "{source}" to rootfs at "{target}"'
            if error.errno == errno.EINVAL:
                what += " (a mount that is unbindable or of another namespace)"
            raise failed("bind", what, error) from None
        trees.append(tree)
    return trees


def _tree_of(namespace: str, source: str, recursive: bool) -> int:
    """A tree out of another mount namespace. Both are entered by name; the way back is the way this process came."""
    own = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    other = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(other, CLONE_NEWNS)
        try:
            return mounts.open_tree(source, recursive=recursive)
        finally:
            setns(own, CLONE_NEWNS)
    finally:
        os.close(own)
        os.close(other)
