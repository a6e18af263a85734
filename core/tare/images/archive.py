"""An image archive as files by name: the tar that ``save`` wrote, here or elsewhere, compressed or not."""

from __future__ import annotations

import io
import os
import posixpath
from dataclasses import dataclass
from typing import BinaryIO

from tare.errors import Invalid
from tare.images.blobs import DOCUMENT_MAX
from tare.images.compression import CHUNK, LEAD, kind_of, plain
from tare.linux import tar

MEMBERS_MAX = 100_000
LINKS_MAX = 8


@dataclass(frozen=True, slots=True)
class _Member:
    """Where a member's content lies in the archive. ``link`` is what a link of this ``kind`` leads to."""

    kind: bytes
    link: bytes
    offset: int
    size: int
    sparse: bool


class Archive:
    """Members of a tar file that lies open as ``file``; of two with one name the last. Raises Invalid for what is no tar.

    What is neither file nor link is passed over: no reader of images looks at it.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._members: dict[str, _Member] = {}
        reader = tar.Reader(_Whole(file.fileno()), lenient=True)
        try:
            for entry in reader:
                member = _Member(entry.kind, entry.link, reader.offset, entry.size, entry.sparse is not None)
                self._members[_path(entry.name)] = member
                if len(self._members) > MEMBERS_MAX:
                    raise Invalid(f"an image archive with more than {MEMBERS_MAX} files")
        except tar.Damaged as damage:
            raise Invalid(f"broken image archive: {damage}", hint="expected a tar that 'save' wrote") from None

    def __contains__(self, name: str) -> bool:
        return posixpath.normpath(name) in self._members

    def open(self, name: str) -> Part:
        """A member's content. Raises Invalid when it is missing or no file."""
        member = self._find(name)
        return Part(self._file.fileno(), member.offset, member.size)

    def read(self, name: str) -> bytes:
        """A small member whole."""
        part = self.open(name)
        if part.left > DOCUMENT_MAX:
            raise Invalid(f"{name[:300]} in the image archive is too long: {part.left} bytes")
        return part.read(part.left)

    def _find(self, name: str) -> _Member:
        path = posixpath.normpath(name)
        for _ in range(LINKS_MAX):
            member = self._members.get(path)
            if member is None:
                break
            if member.kind == tar.FILE and not member.sparse:
                return member
            if member.kind == tar.SYMLINK:
                path = posixpath.normpath(posixpath.join(posixpath.dirname(path), os.fsdecode(member.link)))
            elif member.kind == tar.HARD:
                path = _path(member.link)
            else:
                raise Invalid(f"{name[:300]} in the image archive is no plain file")
        raise Invalid(f"the image archive has no {name[:300]}")


def _path(name: bytes) -> str:
    return posixpath.normpath(os.fsdecode(name))


class _Whole:
    """A file from its start, wherever its own position is."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._at = 0
        self._size = os.fstat(descriptor).st_size

    def read(self, size: int, /) -> bytes:
        data = os.pread(self._descriptor, size, self._at)
        self._at += len(data)
        return data

    def skip(self, size: int) -> int:
        ahead = min(size, self._size - self._at)
        self._at += ahead
        return ahead


class Part:
    """A stretch of an open file, as a stream."""

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        self._descriptor = descriptor
        self._offset = offset
        self.left = size

    def read(self, size: int, /) -> bytes:
        data = os.pread(self._descriptor, min(size, self.left), self._offset)
        self._offset += len(data)
        self.left -= len(data)
        return data


def seekable(source: BinaryIO, temporary: str) -> BinaryIO:
    """``source`` without its compression, as a file that can be read anywhere; written to ``temporary`` where need be."""
    lead = source.read(LEAD)
    kind = kind_of(lead)
    if not kind and _is_file(source):
        source.seek(0)
        return source
    stream = plain(_Again(lead, source), kind)
    file = open(temporary, "x+b")  # noqa: SIM115 - the caller's
    while data := stream.read(CHUNK):
        file.write(data)
    file.flush()
    file.seek(0)
    return file


def _is_file(source: BinaryIO) -> bool:
    try:
        return source.seekable() and os.path.isfile(f"/proc/self/fd/{source.fileno()}")
    except (OSError, io.UnsupportedOperation):
        return False


class _Again:
    """A stream whose first bytes were read already."""

    def __init__(self, lead: bytes, source: BinaryIO) -> None:
        self._lead = lead
        self._source = source

    def read(self, size: int, /) -> bytes:
        if self._lead:
            lead, self._lead = self._lead, b""
            return lead
        return self._source.read(size)
