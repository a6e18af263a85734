"""Loading a compiled system call filter (seccomp(2))."""

from __future__ import annotations

import ctypes

from tare.linux import syscalls
from tare.linux.syscalls import call

SECCOMP_SET_MODE_FILTER = 1
INSTRUCTION_SIZE = 8


class _Program(ctypes.Structure):
    """struct sock_fprog (linux/filter.h)."""

    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def load(program: bytes, flags: int = 0) -> None:
    """Put a classic BPF program (packed struct sock_filter) before every later system call of this process.

    Needs CAP_SYS_ADMIN or no_new_privs. Raises OSError (EINVAL for a program that the kernel refuses)."""
    frame = _Program(len(program) // INSTRUCTION_SIZE, program)
    call(syscalls.SECCOMP, SECCOMP_SET_MODE_FILTER, flags, ctypes.addressof(frame))
