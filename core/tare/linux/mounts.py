"""Mounting: mount(2), pivot_root(2), open_tree(2), move_mount(2), mount_setattr(2), and /proc/PID/mountinfo."""

from __future__ import annotations

import ctypes
import os

from tare.linux import syscalls
from tare.linux.syscalls import LIBC, TEXT, WORD, call, encoded, failed, prototype, through

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_SYNCHRONOUS = 16
MS_REMOUNT = 32
MS_NOATIME = 1024
MS_NODIRATIME = 2048
MS_BIND = 4096
MS_REC = 16384
MS_SILENT = 32768
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MS_RELATIME = 1 << 21
MS_STRICTATIME = 1 << 24
MS_LAZYTIME = 1 << 25

MNT_DETACH = 2

OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
MOVE_MOUNT_F_EMPTY_PATH = 0x04
MOVE_MOUNT_T_EMPTY_PATH = 0x40

MOUNT_ATTR_RDONLY = 0x01
MOUNT_ATTR_NOSUID = 0x02
MOUNT_ATTR_NODEV = 0x04
MOUNT_ATTR_NOEXEC = 0x08
MOUNT_ATTR_NOATIME = 0x10
MOUNT_ATTR_STRICTATIME = 0x20
MOUNT_ATTR_NODIRATIME = 0x80

PROC_SUPER_MAGIC = 0x9FA0
WITHIN_PROC = frozenset(
    f"/proc/{name}"
    for name in ("cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo", "sys/kernel/ns_last_pid")
)
"""What may be mounted over inside a container's /proc, as in runc: figures that lxcfs fakes. Anything else could undo a mask."""

WORDS: dict[str, int] = {
    "ro": MS_RDONLY,
    "nosuid": MS_NOSUID,
    "nodev": MS_NODEV,
    "noexec": MS_NOEXEC,
    "sync": MS_SYNCHRONOUS,
    "remount": MS_REMOUNT,
    "noatime": MS_NOATIME,
    "nodiratime": MS_NODIRATIME,
    "bind": MS_BIND,
    "rbind": MS_BIND | MS_REC,
    "relatime": MS_RELATIME,
    "strictatime": MS_STRICTATIME,
    "lazytime": MS_LAZYTIME,
    "silent": MS_SILENT,
}
"""fstab(5) words that set a flag of mount(2)."""

CLEAR: dict[str, int] = {
    "rw": MS_RDONLY,
    "suid": MS_NOSUID,
    "dev": MS_NODEV,
    "exec": MS_NOEXEC,
    "async": MS_SYNCHRONOUS,
    "atime": MS_NOATIME,
    "diratime": MS_NODIRATIME,
    "defaults": 0,
}
"""fstab(5) words that take a flag away."""

PROPAGATION: dict[str, int] = {
    "private": MS_PRIVATE,
    "slave": MS_SLAVE,
    "shared": MS_SHARED,
    "unbindable": MS_UNBINDABLE,
    "rprivate": MS_PRIVATE | MS_REC,
    "rslave": MS_SLAVE | MS_REC,
    "rshared": MS_SHARED | MS_REC,
    "runbindable": MS_UNBINDABLE | MS_REC,
}

_mount = LIBC.mount
_mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]
_umount2 = LIBC.umount2
_umount2.argtypes = [ctypes.c_char_p, ctypes.c_int]

_ATTR = (ctypes.c_uint64 * 4)()
_ATTR_AT = ctypes.addressof(_ATTR)
_ATTR_SIZE = ctypes.sizeof(_ATTR)
_STATFS = (ctypes.c_uint64 * 15)()
_STATFS_AT = ctypes.addressof(_STATFS)
_EMPTY = ctypes.create_string_buffer(b"")
_EMPTY_AT = ctypes.addressof(_EMPTY)
_open_tree = prototype(WORD, TEXT, WORD)
_mount_setattr = prototype(WORD, TEXT, WORD, WORD, WORD)
_DOT = ctypes.create_string_buffer(b".")
_DOT_AT = ctypes.addressof(_DOT)


def mount(source: str, target: str, type: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2). Raises OSError naming source and target."""
    raw = data.encode() if data else None
    if _mount(encoded(source), encoded(target), type.encode() or None, flags, raw):
        raise failed(source, target)


def unmount(target: str, flags: int = 0) -> None:
    """umount2(2)."""
    if _umount2(encoded(target), flags):
        raise failed(target)


def pivot_root_here() -> None:
    """Make the current directory (a mount point) the root and let go of the old root, which nothing can reach any more.

    The old root is stacked onto the new one and detached (pivot_root(2), "pivot_root(".", ".")"). The current directory
    is the new root afterwards.
    """
    call(syscalls.PIVOT_ROOT, _DOT_AT, _DOT_AT)
    unmount(".", MNT_DETACH)
    os.chdir("/")


def open_tree(path: str, *, recursive: bool = True, directory: int = AT_FDCWD) -> int:
    """A descriptor of a detached copy of the mount at ``path``, with the mounts below it when ``recursive``."""
    raw = encoded(path)
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    try:
        return through(_open_tree, syscalls.OPEN_TREE, directory, raw, flags)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None


def move_mount(tree: int, target: int) -> None:
    """Attach a detached mount at the place that an O_PATH descriptor names (directory on directory, file on file)."""
    call(syscalls.MOVE_MOUNT, tree, _EMPTY_AT, target, _EMPTY_AT, MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)


def set_attributes(fd: int, path: str = "", *, on: int = 0, off: int = 0, propagation: int = 0, recursive: bool = False) -> None:
    """mount_setattr(2) of the mount at ``path`` below ``fd`` (or of ``fd`` itself). ``on`` and ``off`` are MOUNT_ATTR_*,
    ``propagation`` one of MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE or 0 to leave it."""
    _ATTR[0], _ATTR[1], _ATTR[2], _ATTR[3] = on, off, propagation, 0
    raw = encoded(path)
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    try:
        through(_mount_setattr, syscalls.MOUNT_SETATTR, fd, raw, flags, _ATTR_AT, _ATTR_SIZE)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None


def on_procfs(fd: int) -> bool:
    """Whether a descriptor lies on a proc file system (statfs(2)). Raises OSError."""
    call(syscalls.FSTATFS, fd, _STATFS_AT)
    return _STATFS[0] == PROC_SUPER_MAGIC


def shield(path: str) -> None:
    """Lay a read-only bind of ``path`` over itself in this mount namespace: who runs the program there, and gives its
    /proc/PID/exe away, gives nothing that can be written."""
    real = os.path.realpath(path)
    tree = open_tree(real, recursive=False)
    target = os.open(real, os.O_PATH | os.O_CLOEXEC)
    try:
        set_attributes(tree, on=MOUNT_ATTR_RDONLY, propagation=MS_PRIVATE)
        move_mount(tree, target)
    finally:
        os.close(tree)
        os.close(target)


def attributes(flags: int) -> int:
    """MOUNT_ATTR_* that mean the same as these MS_* flags; those of the file system itself fall away."""
    pairs = (
        (MS_RDONLY, MOUNT_ATTR_RDONLY),
        (MS_NOSUID, MOUNT_ATTR_NOSUID),
        (MS_NODEV, MOUNT_ATTR_NODEV),
        (MS_NOEXEC, MOUNT_ATTR_NOEXEC),
        (MS_NODIRATIME, MOUNT_ATTR_NODIRATIME),
        (MS_NOATIME, MOUNT_ATTR_NOATIME),
        (MS_STRICTATIME, MOUNT_ATTR_STRICTATIME),
    )
    return sum(attribute for flag, attribute in pairs if flags & flag)


def split_options(options: tuple[str, ...] | list[str]) -> tuple[int, int, str]:
    """fstab(5) words as ``(flags, propagation, data)`` for mount(2)."""
    flags = propagation = 0
    data = []
    for word in options:
        if word in WORDS:
            flags |= WORDS[word]
        elif word in CLEAR:
            flags &= ~CLEAR[word]
        elif word in PROPAGATION:
            propagation = PROPAGATION[word]
        else:
            data.append(word)
    return flags, propagation, ",".join(data)


class MountInfo:
    """One line of mountinfo (proc_pid_mountinfo(5)). ``root`` is the directory of the file system that is mounted."""

    __slots__ = ("data", "device", "id", "optional", "options", "parent", "root", "source", "target", "type")

    def __init__(self, line: str) -> None:
        fields = line.rstrip("\n").split(" ")
        dash = fields.index("-", 6)
        self.id = int(fields[0])
        self.parent = int(fields[1])
        self.device = fields[2]
        self.root = _plain(fields[3])
        self.target = _plain(fields[4])
        self.options = fields[5].split(",")
        self.optional = fields[6:dash]
        self.type = fields[dash + 1]
        self.source = _plain(fields[dash + 2])
        self.data = fields[dash + 3].split(",") if len(fields) > dash + 3 else []


def mount_table(pid: int | str = "self") -> list[MountInfo]:
    """The mounts that a process sees."""
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return [MountInfo(line) for line in file]


def _plain(field: str) -> str:
    """Undo mountinfo's octal escapes for space, tab, newline and backslash."""
    if "\\" not in field:
        return field
    for escaped, plain in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(escaped, plain)
    return field
