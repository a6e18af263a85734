"""An image archive as files by name: the tar that ``save`` wrote, here or elsewhere, compressed or not."""

from __future__ import annotations

import io
import os
import posixpath
import tarfile
from typing import BinaryIO

from tare.errors import Invalid
from tare.images.blobs import DOCUMENT_MAX
from tare.images.compression import CHUNK, LEAD, kind_of, plain

MEMBERS_MAX = 100_000
LINKS_MAX = 8


class Archive:
    """Members of a tar file that lies open as ``file``. Raises Invalid for what is no tar."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self._members: dict[str, tarfile.TarInfo] = {}
        try:
            with tarfile.open(fileobj=file, mode="r:") as archive:
                for member in archive:
                    self._members[posixpath.normpath(member.name)] = member
                    archive.members = []  # type: ignore[attr-defined]
                    if len(self._members) > MEMBERS_MAX:
                        raise Invalid(f"an image archive with more than {MEMBERS_MAX} files")
        except (tarfile.TarError, ValueError, OverflowError, EOFError) as error:
            raise Invalid(f"broken image archive: {error}", hint="expected a tar that 'save' wrote") from None

    def __contains__(self, name: str) -> bool:
        return posixpath.normpath(name) in self._members

    def open(self, name: str) -> Part:
        """A member's content. Raises Invalid when it is missing, no file, or cut short."""
        member = self._find(name)
        if member.offset_data + member.size > self._size:
            raise Invalid(f"the image archive ends in the middle of {name}")
        return Part(self._file.fileno(), member.offset_data, member.size)

    def read(self, name: str) -> bytes:
        """A small member whole."""
        part = self.open(name)
        if part.left > DOCUMENT_MAX:
            raise Invalid(f"{name} in the image archive is too long: {part.left} bytes")
        return part.read(part.left)

    def _find(self, name: str) -> tarfile.TarInfo:
        path = posixpath.normpath(name)
        for _ in range(LINKS_MAX):
            member = self._members.get(path)
            if member is None:
                break
            if member.isreg() and not member.issparse():
                return member
            if member.issym():
                path = posixpath.normpath(posixpath.join(posixpath.dirname(path), member.linkname))
            elif member.islnk():
                path = posixpath.normpath(member.linkname)
            else:
                raise Invalid(f"{name} in the image archive is no plain file")
        raise Invalid(f"the image archive has no {name}")


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
