"""One pass over a layer that tells everything about it: digests, compression, size, and whether it is a tar at all."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

from tare.errors import Invalid
from tare.images.compression import CHUNK, LEAD, Source, kind_of, plain
from tare.linux import tar

PLAIN = "application/vnd.oci.image.layer.v1.tar"
MEDIA_TYPES = {"": PLAIN, "gzip": PLAIN + "+gzip", "zstd": PLAIN + "+zstd"}
"""Compressions that a layer may have in an OCI layout. Others are unpacked when they come in."""


@dataclass(frozen=True, slots=True)
class Measured:
    """``blob`` and ``size`` are of the bytes that were written to ``target``, ``diff_id`` of the plain tar; ``files`` is the
    sum of the sizes of the files in it."""

    blob: str
    size: int
    diff_id: str
    media_type: str
    files: int


class _Tap:
    """Reads through: everything that comes by is hashed, counted, and written down where a file is given."""

    def __init__(self, source: Source, lead: bytes = b"", target: int = -1) -> None:
        self._source = source
        self._lead = lead
        self._target = target
        self._hash = hashlib.sha256()
        self.size = 0

    def read(self, size: int, /) -> bytes:
        data = self._lead or self._source.read(size)
        self._lead = b""
        self._hash.update(data)
        self.size += len(data)
        if self._target >= 0:
            view = memoryview(data)
            while view:
                view = view[os.write(self._target, view) :]
        return data

    @property
    def digest(self) -> str:
        return "sha256:" + self._hash.hexdigest()

    def drain(self) -> None:
        while self.read(CHUNK):
            pass


def measure(source: Source, target: int = -1) -> Measured:
    """Read a layer to its end and write it to the open file ``target`` (-1: nowhere). Raises Invalid for what is broken or
    would climb out of a root."""
    lead = b""
    while len(lead) < LEAD and (more := source.read(CHUNK)):
        lead += more
    kind = kind_of(lead)
    kept = kind in MEDIA_TYPES
    raw = _Tap(source, lead, target if kept else -1)
    inner = _Tap(plain(raw, kind), target=-1 if kept else target) if kind else raw
    files = _files(inner)
    inner.drain()
    raw.drain()
    written = raw if kept else inner
    return Measured(written.digest, written.size, inner.digest, MEDIA_TYPES.get(kind, PLAIN), files)


def _files(source: Source) -> int:
    total = 0
    name = b""
    try:
        for entry in tar.Reader(source):
            name = entry.name
            total += entry.size
            if name[:1] == b"/" and name.strip(b"/."):
                raise Invalid(f"an absolute name: {tar.shown(name)}", hint="make the archive without tar's -P")
            if b".." in name and b".." in name.split(b"/"):
                raise Invalid(f"a name that climbs out: {tar.shown(name)}")
            if entry.kind == tar.HARD and b".." in entry.link and b".." in entry.link.split(b"/"):
                raise Invalid(f"{tar.shown(name)} is a hard link that climbs out: {tar.shown(entry.link)}")
    except tar.Damaged as damage:
        where = f" (at or after {tar.shown(name)})" if name else ""
        raise Invalid(f"broken tar archive: {damage}{where}") from None
    return total
