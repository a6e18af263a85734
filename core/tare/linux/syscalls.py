"""System calls that Python has no name for: one door to the kernel, through the C library, with the GIL held.

``PyDLL`` keeps the GIL because a clone that is made while another thread waits for it would wait forever. Every argument
of ``syscall`` is a ``long``: as a C vararg a Python int would travel in 32 bits.
"""

from __future__ import annotations

import ctypes
import errno
import os

LIBC = ctypes.PyDLL(None, use_errno=True)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

TEXT = ctypes.c_char_p
WORD = ctypes.c_long

ARM = os.uname().machine == "aarch64"

FSTATFS = 44 if ARM else 138
SETNS = 268 if ARM else 308
UNSHARE = 97 if ARM else 272
PIVOT_ROOT = 41 if ARM else 155
CAPSET = 91 if ARM else 126
CAPGET = 90 if ARM else 125
PRCTL = 167 if ARM else 157
SECCOMP = 277 if ARM else 317
BPF = 280 if ARM else 321
KEYCTL = 219 if ARM else 250
RT_SIGACTION = 134 if ARM else 13
SETHOSTNAME = 161 if ARM else 170
SETDOMAINNAME = 162 if ARM else 171
PIDFD_SEND_SIGNAL = 424
OPEN_TREE = 428
MOVE_MOUNT = 429
FSOPEN = 430
FSCONFIG = 431
FSMOUNT = 432
PIDFD_OPEN = 434
CLONE3 = 435
CLOSE_RANGE = 436
OPENAT2 = 437
MOUNT_SETATTR = 442


def prototype(*kinds: Any) -> Callable[..., int]:
    """``syscall`` for arguments of these kinds (WORD, TEXT for bytes) after the number.

    A path must travel as TEXT: a buffer made for it would be of a new ctypes class for each length, which a fresh clone
    pays with 30 µs every time.
    """
    function = LIBC["syscall"]
    function.argtypes = [WORD, *kinds]
    function.restype = WORD
    return function


raw = prototype(*[WORD] * 6)
"""system call and six words → what the kernel answers, -1 for an error: for loops in which nothing goes wrong."""


def call(number: int, a: int = 0, b: int = 0, c: int = 0, d: int = 0, e: int = 0, f: int = 0) -> int:
    """The result of system call ``number``. Pointers are passed as addresses. Raises OSError with the errno."""
    return through(raw, number, a, b, c, d, e, f)


def through(function: Callable[..., int], *arguments: int | bytes) -> int:
    """What ``function`` (of ``prototype``) answers, again after EINTR. Raises OSError with the errno."""
    while True:
        result = function(*arguments)
        if result >= 0:
            return result
        code = ctypes.get_errno()
        if code != errno.EINTR:
            raise OSError(code, os.strerror(code))


def encoded(path: str | bytes) -> bytes:
    """A path for TEXT. Raises OSError (EINVAL) for one with a NUL, which C would cut off."""
    raw = os.fsencode(path)
    if b"\0" in raw:
        raise OSError(errno.EINVAL, "the path contains a NUL", path)
    return raw


def failed(*names: str | bytes) -> OSError:
    """An OSError from the errno of the last call through LIBC, with up to two names in its text."""
    code = ctypes.get_errno()
    shown = [os.fsdecode(name) for name in names]
    if len(shown) == 2:
        return OSError(code, os.strerror(code), shown[0], None, shown[1])
    return OSError(code, os.strerror(code), *shown)
