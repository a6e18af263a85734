"""Making, entering and ending processes: clone3(2), setns(2), prctl(2), pidfd_open(2), waitid(2)."""

from __future__ import annotations

import ctypes
import os

from tare.linux import syscalls
from tare.linux.syscalls import TEXT, WORD, call, prototype, through

CLONE_PIDFD = 0x1000
CLONE_PARENT = 0x8000
CLONE_INTO_CGROUP = 0x2_0000_0000
CLONE_NEWNS = 0x20000
CLONE_NEWCGROUP = 0x0200_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000

WALL = 0x4000_0000
"""__WALL of wait(2): also children whose exit signal is not SIGCHLD, as every clone with CLONE_PARENT is."""

PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47

KEYCTL_JOIN_SESSION_KEYRING = 1

_ARGS = (ctypes.c_uint64 * 11)()
_ARGS_AT = ctypes.addressof(_ARGS)
_ARGS_SIZE = ctypes.sizeof(_ARGS)
_PIDFD = ctypes.c_int(-1)
_set_name = prototype(TEXT, WORD)
_keyctl = prototype(WORD, TEXT)


def clone3(flags: int, *, pidfd: bool = False, cgroup: int = -1, exit_signal: int = 0) -> tuple[int, int]:
    """Clone this process as fork(2) does, with ``flags`` (CLONE_NEW*, CLONE_PARENT …).

    Returns ``(pid, pidfd)``: ``(0, -1)`` in the child. ``pidfd`` asks for a descriptor (close-on-exec), else it is -1.
    ``cgroup`` is a descriptor of a cgroup v2 directory to be born in. Only for a process with one thread: the child has
    this thread alone, and must end in execve or ``os._exit``. Raises OSError.
    """
    _ARGS[0] = flags | (CLONE_PIDFD if pidfd else 0) | (CLONE_INTO_CGROUP if cgroup >= 0 else 0)
    _ARGS[1] = ctypes.addressof(_PIDFD) if pidfd else 0
    _ARGS[4] = exit_signal
    _ARGS[10] = max(cgroup, 0)
    pid = call(syscalls.CLONE3, _ARGS_AT, _ARGS_SIZE)
    return pid, _PIDFD.value if pid and pidfd else -1


def setns(fd: int, kinds: int = 0) -> None:
    """Enter the namespace behind ``fd``, or the ``kinds`` (CLONE_NEW* flags) of the process behind a pidfd."""
    call(syscalls.SETNS, fd, kinds)


def unshare(kinds: int) -> None:
    """Leave namespaces for new ones."""
    call(syscalls.UNSHARE, kinds)


def pidfd_open(pid: int) -> int:
    """A descriptor (close-on-exec) that means this process and no later one of the same number."""
    return call(syscalls.PIDFD_OPEN, pid)


def pidfd_send_signal(pidfd: int, signal: int) -> None:
    """kill(2) by descriptor. Raises ProcessLookupError when it has ended and was reaped."""
    call(syscalls.PIDFD_SEND_SIGNAL, pidfd, signal)


def wait(pidfd: int, *, block: bool = True, reap: bool = True) -> os.waitid_result | None:
    """waitid(2) of a child by pidfd, whatever its exit signal. None when not ``block`` and it still runs."""
    options = os.WEXITED | WALL | (0 if block else os.WNOHANG) | (0 if reap else os.WNOWAIT)
    return os.waitid(os.P_PIDFD, pidfd, options)


def prctl(option: int, a: int = 0, b: int = 0, c: int = 0, d: int = 0) -> int:
    """prctl(2)."""
    return call(syscalls.PRCTL, option, a, b, c, d)


def become_subreaper() -> None:
    """Orphans among the descendants become this process's children."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def forbid_new_privileges() -> None:
    """execve will never again give more than the process has (no_new_privs)."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def hide() -> None:
    """Only who has CAP_SYS_PTRACE may look into this process (/proc/PID/exe, mem, fd) until execve."""
    prctl(PR_SET_DUMPABLE, 0)


def restore_hidden_signals() -> None:
    """Give signals 32 and 33 their default action: posix_spawn(3) of glibc leaves them ignored, and neither glibc nor
    Python lets a program name them."""
    default = ctypes.create_string_buffer(32)
    for number in (32, 33):
        call(syscalls.RT_SIGACTION, number, ctypes.addressof(default), 0, 8)


def close_range(first: int, last: int = 0xFFFF_FFFF) -> None:
    """Close every descriptor from ``first`` to ``last``, both included."""
    if first <= last:
        call(syscalls.CLOSE_RANGE, first, last)


def set_hostname(name: str) -> None:
    """sethostname(2) of this UTS namespace."""
    raw = name.encode()
    through(_set_name, syscalls.SETHOSTNAME, raw, len(raw))


def set_domainname(name: str) -> None:
    """setdomainname(2) of this UTS namespace."""
    raw = name.encode()
    through(_set_name, syscalls.SETDOMAINNAME, raw, len(raw))


def join_session_keyring(name: str) -> None:
    """A session keyring of its own, so that the engine's keys are not possessed (keyctl(2))."""
    through(_keyctl, syscalls.KEYCTL, KEYCTL_JOIN_SESSION_KEYRING, name.encode())


def start_time(pid: int) -> int:
    """Field 22 of /proc/PID/stat: clock ticks since boot. Raises OSError when there is no such process."""
    # Not by open(): its machinery is 25 pages that a fresh clone would have to copy.
    fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return int(os.read(fd, 2048).rpartition(b")")[2].split()[19])
    finally:
        os.close(fd)
