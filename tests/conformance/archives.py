"""Layers as tars, made by Python's tarfile, which is not ours."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable

Item = tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]


def layer(*items: Item) -> io.BytesIO:
    """A plain tar of (TarInfo, content) or TarInfo."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for item in items:
            info, content = item if isinstance(item, tuple) else (item, b"")
            info.size = len(content) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(content))
    out.seek(0)
    return out


def _maker(kind: bytes) -> Callable[..., tarfile.TarInfo]:
    def make(name: str, **members: object) -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.type = kind
        info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
        info.mtime = 1_000_000_000
        for key, value in members.items():
            setattr(info, key, value)
        return info

    return make


_regular = _maker(tarfile.REGTYPE)
directory = _maker(tarfile.DIRTYPE)
device = _maker(tarfile.CHRTYPE)
fifo = _maker(tarfile.FIFOTYPE)


def file(name: str, content: bytes = b"", **members: object) -> Item:
    return _regular(name, **members), content


def symlink(name: str, target: str, **members: object) -> tarfile.TarInfo:
    return _maker(tarfile.SYMTYPE)(name, linkname=target, **members)


def hard(name: str, target: str, **members: object) -> tarfile.TarInfo:
    return _maker(tarfile.LNKTYPE)(name, linkname=target, **members)
