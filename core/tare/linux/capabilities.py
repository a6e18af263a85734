"""Capabilities of this process (capabilities(7)): sets are bit masks, bit n for the capability with number n."""

from __future__ import annotations

import ctypes

from tare.linux import syscalls
from tare.linux.process import PR_CAP_AMBIENT, PR_CAPBSET_DROP, PR_SET_KEEPCAPS, prctl
from tare.linux.syscalls import call

NAMES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN "
    "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE "
    "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)
NUMBERS: dict[str, int] = {f"CAP_{name}": number for number, name in enumerate(NAMES.split())}

SYS_ADMIN = 1 << NUMBERS["CAP_SYS_ADMIN"]

PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4
_VERSION_3 = 0x2008_0522

_HEADER = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
_HEADER_AT = ctypes.addressof(_HEADER)
_DATA = (ctypes.c_uint32 * 6)()
_DATA_AT = ctypes.addressof(_DATA)


def mask(names: list[str] | tuple[str, ...]) -> int:
    """The bit mask of names as ``CAP_CHOWN``. Raises KeyError."""
    bits = 0
    for name in names:
        bits |= 1 << NUMBERS[name]
    return bits


def permitted() -> int:
    """The permitted set of this process."""
    call(syscalls.CAPGET, _HEADER_AT, _DATA_AT)
    return _DATA[1] | _DATA[4] << 32


def set_capabilities(effective: int, permitted: int, inheritable: int) -> None:
    """capset(2) for this thread."""
    for half in (0, 1):
        shift = 32 * half
        _DATA[3 * half] = effective >> shift & 0xFFFF_FFFF
        _DATA[3 * half + 1] = permitted >> shift & 0xFFFF_FFFF
        _DATA[3 * half + 2] = inheritable >> shift & 0xFFFF_FFFF
    call(syscalls.CAPSET, _HEADER_AT, _DATA_AT)


def limit_bounding(bits: int, last: int) -> None:
    """Drop every capability up to number ``last`` from the bounding set that is not in ``bits``."""
    drop = syscalls.raw
    for number in range(last + 1):
        if not bits >> number & 1 and drop(syscalls.PRCTL, PR_CAPBSET_DROP, number, 0, 0, 0, 0) < 0:
            prctl(PR_CAPBSET_DROP, number)  # once more, by who knows how to say what is wrong


def set_ambient(bits: int, last: int) -> None:
    """Make the ambient set exactly ``bits``, which must be permitted and inheritable."""
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    for number in range(last + 1):
        if bits >> number & 1:
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number)


def keep_over_setuid() -> None:
    """The permitted set survives a change of user; execve ends this."""
    prctl(PR_SET_KEEPCAPS, 1)


def last_capability() -> int:
    """The highest number that this kernel knows."""
    with open("/proc/sys/kernel/cap_last_cap", "rb", 0) as file:
        return int(file.read(16))
