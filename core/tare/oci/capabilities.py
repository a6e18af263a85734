"""Linux capabilities as policy: Docker's default set, and what --cap-add, --cap-drop and --privileged make of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from tare.errors import Invalid
from tare.linux.capabilities import NUMBERS

__all__ = ["DEFAULT", "NUMBERS", "bounding", "normalize", "resolve"]

DEFAULT: tuple[str, ...] = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
)
"""What a container's root may do unless told otherwise, as Docker grants it."""

_ALL = "ALL"


def bounding() -> frozenset[str]:
    """The capabilities that this process could still hand on: CapBnd of /proc/self/status (proc(5))."""
    with open("/proc/self/status", encoding="ascii") as status:
        mask = next(int(line.split()[1], 16) for line in status if line.startswith("CapBnd:"))
    return frozenset(name for name, number in NUMBERS.items() if mask >> number & 1)


def normalize(names: Iterable[str], option: str, bounding: Collection[str]) -> list[str]:
    """Names as users type them (``net_admin``, ``CAP_NET_ADMIN``, ``all``) as ``CAP_…`` or ``ALL``; Invalid for others.

    ``option`` (CapAdd, CapDrop) stands in the error.
    """
    known = []
    for typed in names:
        name = typed.upper()
        if name != _ALL and not name.startswith("CAP_"):
            name = f"CAP_{name}"
        if name != _ALL and name not in NUMBERS:
            raise Invalid(
                f'invalid {option}: unknown capability: "{name}"', subject=typed, hint="see capabilities(7) for the names"
            )
        if name != _ALL and option == "CapAdd" and name not in bounding:
            raise Invalid(
                f"invalid {option}: capability not supported by your kernel or not available in the current environment: "
                f'"{name}"',
                subject=typed,
            )
        known.append(name)
    return known


def resolve(
    add: Iterable[str], drop: Iterable[str], privileged: bool, bounding: Collection[str]
) -> tuple[tuple[str, ...], list[str]]:
    """The capabilities of a container, in kernel order, and warnings about defaults that this host cannot grant.

    ``bounding`` holds the names that the engine itself could hand on (see ``bounding()``). With ``--cap-add ALL`` the
    drops are taken from everything, with ``--cap-drop ALL`` only the added remain, as Docker has it. Raises Invalid
    for a name that does not exist or, when added by name, is not within ``bounding``.
    """
    added = normalize(add, "CapAdd", bounding)
    dropped = normalize(drop, "CapDrop", bounding)
    if privileged:
        wanted = set(bounding)
    elif _ALL in added:
        wanted = set(bounding) - set(dropped)
    elif _ALL in dropped:
        wanted = set(added)
    else:
        wanted = set(DEFAULT) - set(dropped) | set(added)
    lacking = wanted - set(bounding)
    warnings = [f"capability {name} is not available to the engine and is left out" for name in sorted(lacking)]
    return tuple(name for name in NUMBERS if name in wanted and name not in lacking), warnings
