"""``--init``: which program reaps and passes signals on as the container's first process.

tare brings none of its own: a clone of Python that stayed as process 1 would cost half a megabyte for each container and
hand the container a Python. Any small static init does: tini, catatonit, docker-init.
"""

from __future__ import annotations

import os
import shutil
import struct

from tare.errors import Invalid, Unsupported

NAMES = ("docker-init", "tini-static", "catatonit")
_DYNAMIC = 3
"""PT_INTERP of elf(5): the program needs a loader that the container may not have."""


def find(configured: str = "") -> str:
    """The host path for SpecRequest.init. Raises Unsupported when there is none, Invalid for a configured one that will
    not run in every container."""
    if configured:
        _examine(configured)
        return configured
    for name in NAMES:
        path = shutil.which(name)
        if path is not None and is_static(path):
            return os.path.realpath(path)
    raise Unsupported(
        "no init program for --init on this host",
        subject="init",
        hint="apt-get install tini, or set containers.init-path",
    )


def _examine(path: str) -> None:
    if not os.access(path, os.X_OK):
        raise Invalid(f"the init program {path} cannot be executed", subject=path, hint="see containers.init-path")
    if not is_static(path):
        raise Invalid(
            f"the init program {path} is not statically linked", subject=path, hint="images need not have its libraries"
        )


def is_static(path: str) -> bool:
    """Whether a program is an ELF file that needs no loader (elf(5)). Raises OSError."""
    with open(path, "rb") as file:
        head = file.read(64)
        if len(head) < 64 or head[:5] != b"\x7fELF\x02":
            return False
        offset = struct.unpack_from("<Q", head, 32)[0]
        size, count = struct.unpack_from("<HH", head, 54)
        file.seek(offset)
        table = file.read(size * count)
    return all(struct.unpack_from("<I", table, place)[0] != _DYNAMIC for place in range(0, len(table), size or 1))
