"""Compressed streams by their first bytes, whatever their name says: gzip, zstd, xz, bzip2."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Protocol

from tare.errors import Invalid

CHUNK = 1 << 20
LEAD = 6
"""How many bytes ``kind_of`` wants to see."""

_MAGIC = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\xfd7zXZ\0", "xz"), (b"BZh", "bzip2"))
_SKIPPABLE = tuple(bytes([0x50 + low]) + b"\x2a\x4d\x18" for low in range(16))


class Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Machine(Protocol):
    """What bz2 and lzma have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def kind_of(lead: bytes) -> str:
    """``gzip``, ``zstd``, ``xz``, ``bzip2``, or ``""`` for anything else."""
    if lead[:4] in _SKIPPABLE:
        return "zstd"
    return next((kind for magic, kind in _MAGIC if lead.startswith(magic)), "")


def plain(source: Source, kind: str) -> Source:
    """``source`` without its compression. ``read`` raises Invalid for damaged or cut data; it never makes more than CHUNK
    bytes at once, however much a few bytes would become."""
    if not kind:
        return source
    return _Zstd(source) if kind == "zstd" else _Members(source, kind, _MACHINES[kind])


class _Members:
    """A stream of one or several compressed members, one after the other, with zeros as padding between them."""

    def __init__(self, source: Source, kind: str, make: Callable[[], _Machine]) -> None:
        self._source = source
        self._kind = kind
        self._make = make
        self._machine = make()
        self._ready = b""
        self._at = 0

    def read(self, size: int, /) -> bytes:
        while self._at == len(self._ready):
            if not self._step():
                return b""
        piece = self._ready[self._at : self._at + size]
        self._at += len(piece)
        return piece

    def _step(self) -> bool:
        """Make more ``ready``, perhaps nothing. False at the end."""
        data = b""
        if self._machine.eof:
            data = self._machine.unused_data
            while not (data := data.lstrip(b"\0")):
                data = self._source.read(CHUNK)
                if not data:
                    return False
            self._machine = self._make()
        elif self._machine.needs_input:
            data = self._source.read(CHUNK)
        try:
            self._ready, self._at = self._machine.decompress(data, CHUNK), 0
        except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
            raise Invalid(f"broken {self._kind} data: {error}") from None
        if not data and not self._ready and not self._machine.eof:
            raise Invalid(f"the {self._kind} data ends in the middle")
        return True


class _Gzip:
    """zlib with the face of bz2 and lzma."""

    def __init__(self) -> None:
        self._machine = zlib.decompressobj(zlib.MAX_WBITS | 16)

    @property
    def eof(self) -> bool:
        return self._machine.eof

    @property
    def unused_data(self) -> bytes:
        return self._machine.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._machine.unconsumed_tail

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        return self._machine.decompress(self._machine.unconsumed_tail + data, max_length)


class _Zstd:
    def __init__(self, source: Source) -> None:
        import zstandard

        self._error = zstandard.ZstdError
        machine = zstandard.ZstdDecompressor(max_window_size=1 << 27)
        self._stream = machine.stream_reader(source, read_size=CHUNK, read_across_frames=True)  # type: ignore[arg-type]

    def read(self, size: int, /) -> bytes:
        try:
            return self._stream.read(min(size, CHUNK))
        except self._error as error:
            raise Invalid(f"broken zstd data: {error}") from None


_MACHINES: dict[str, Callable[[], _Machine]] = {
    "gzip": _Gzip,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=1 << 30),
    "bzip2": bz2.BZ2Decompressor,
}
