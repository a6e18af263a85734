"""The tar format, read and written without a seek: ustar, pax, GNU long names and sparse files, extended attributes.

Sources: POSIX.1-2017 pax, "ustar Interchange Format" and "pax Header Block"; GNU tar manual, "Tar Internals". Names and
link targets are bytes and are given as they stand in the archive: what they mean, and whether they are to be trusted, is
the caller's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

FILE, HARD, SYMLINK, CHARACTER, BLOCK, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"

END = bytes(1024)
RECORD = 512
CHUNK = 1 << 20
NAME_MAX = 1 << 16
"""Longest name or link target that is read, in bytes."""
PAX_MAX = 1 << 22
"""Longest pax header that is read, in bytes: every extended attribute of a file fits into it many times."""
EXTENTS_MAX = 1 << 16
"""Most pieces that a sparse file may have."""

_ZERO = bytes(RECORD)
_XATTR = b"SCHILY.xattr."
_DATALESS = frozenset((HARD, SYMLINK, CHARACTER, BLOCK, DIRECTORY, FIFO))
_KINDS = _DATALESS | {FILE}


class Damaged(ValueError):
    """This is no tar, or it ends too early, or it contradicts itself. The text says which."""


class Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Entry:
    """One member. ``size`` is the length of the file (a sparse file's with its holes); ``mtime`` is in nanoseconds;
    ``xattrs`` maps names such as ``user.mime`` to values; ``sparse`` lists (offset, length) of what is not a hole."""

    __slots__ = ("gid", "kind", "link", "major", "minor", "mode", "mtime", "name", "size", "sparse", "uid", "xattrs")

    def __init__(self, name: bytes, kind: bytes) -> None:
        self.name = name
        self.kind = kind
        self.mode = self.uid = self.gid = self.size = self.mtime = self.major = self.minor = 0
        self.link = b""
        self.xattrs: dict[str, bytes] = {}
        self.sparse: list[tuple[int, int]] | None = None


class Reader:
    """Iterate to get each Entry; between two of them, ``extents`` gives the content of the one before. Raises Damaged.

    The end is two empty records, or the end of the source after an entry: there are tools that leave out the records, and the
    padding of the last file too. ``lenient`` gives entries of unknown types too, by what their header says. ``offset`` is where
    in the source the content of the current entry begins. A source that has ``skip(size)``, which returns how many bytes it
    went ahead, is not read where nobody looks.
    """

    def __init__(self, source: Source, *, lenient: bool = False) -> None:
        self._source = source
        self._skip_ahead: Callable[[int], int] | None = getattr(source, "skip", None)
        self._lenient = lenient
        self._end = 0
        self._chunk = b""
        self._at = 0
        self._data = 0
        self._pad = 0
        self._seen = False
        self._ended = False
        self._global: dict[bytes, bytes] = {}
        self._entry: Entry | None = None

    def __iter__(self) -> Iterator[Entry]:
        return self

    @property
    def offset(self) -> int:
        return self._end - len(self._chunk) + self._at

    def __next__(self) -> Entry:
        if self._ended:
            raise StopIteration
        self._skip(self._data)
        self._skip(self._pad, at_end=True)
        self._data = self._pad = 0
        pax: dict[bytes, bytes] = {}
        pieces: list[tuple[int, int]] = []
        long_name = long_link = b""
        while True:
            header = self._take(RECORD, at_end=True)
            if not header or header == _ZERO:
                if pax or long_name or long_link:
                    raise Damaged("it ends after an extended header")
                if not self._seen and not header:
                    raise Damaged("it is empty")
                self._ended = True
                raise StopIteration
            size = _verified_size(header)
            kind = header[156:157]
            if kind == b"x":
                pieces = _pax(self._body(size, PAX_MAX), pax)
            elif kind == b"g":
                _pax(self._body(size, PAX_MAX), self._global)
            elif kind == b"L":
                long_name = self._body(size, NAME_MAX).rstrip(b"\0")
            elif kind == b"K":
                long_link = self._body(size, NAME_MAX).rstrip(b"\0")
            elif kind == b"V":
                self._body(size, PAX_MAX)
            else:
                break
            self._seen = True
        self._seen = True
        if pax or self._global:  # an empty value undoes what another header said (POSIX pax, "pax Extended Header")
            pax = {key: value for key, value in (self._global | pax).items() if value or key.startswith(_XATTR)}
        entry = self._entry = _entry(header, kind, size, pax, long_name, long_link, self._lenient)
        if kind in _DATALESS:
            entry.size = 0
            return entry
        self._data = entry.size
        self._pad = -entry.size % RECORD
        if kind == b"S":
            entry.sparse, entry.size = self._old_sparse(header)
        elif pieces or b"GNU.sparse.map" in pax or b"GNU.sparse.major" in pax:
            self._pax_sparse(entry, pax, pieces)
        if entry.sparse is not None:
            _check_sparse(entry.sparse, entry.size, self._data)
        return entry

    def extents(self) -> Iterator[tuple[int, memoryview]]:
        """(offset, bytes) of the current entry's content, ascending; what is left out of a sparse file is zeros."""
        assert self._entry is not None
        if self._entry.sparse is None:
            offset = 0
            while self._data:
                piece = self._piece(self._data)
                yield offset, piece
                offset += len(piece)
            return
        for offset, length in self._entry.sparse:
            while length:
                piece = self._piece(length)
                yield offset, piece
                offset += len(piece)
                length -= len(piece)

    def _piece(self, most: int) -> memoryview:
        if self._at == len(self._chunk):
            self._fill()
        piece = memoryview(self._chunk)[self._at : self._at + most]
        self._at += len(piece)
        self._data -= len(piece)
        return piece

    def _fill(self, at_end: bool = False) -> bool:
        self._chunk, self._at = self._source.read(CHUNK), 0
        self._end += len(self._chunk)
        if not self._chunk and not at_end:
            raise Damaged("it ends in the middle")
        return bool(self._chunk)

    def _take(self, size: int, at_end: bool = False) -> bytes:
        """Exactly ``size`` bytes; nothing at all when the source ends here and ``at_end`` allows it."""
        end = self._at + size
        if end <= len(self._chunk):
            piece = self._chunk[self._at : end]
            self._at = end
            return piece
        parts = [self._chunk[self._at :]]
        missing = size - len(parts[0])
        while missing:
            if not self._fill(at_end and missing == size):
                return b""
            self._at = min(missing, len(self._chunk))
            parts.append(self._chunk[: self._at])
            missing -= self._at
        return b"".join(parts)

    def _skip(self, size: int, at_end: bool = False) -> None:
        while size:
            if self._at == len(self._chunk):
                if self._skip_ahead is not None:
                    ahead = self._skip_ahead(size)
                    self._end += ahead
                    size -= ahead
                    if not size:
                        return
                if not self._fill(at_end):
                    return
            step = min(size, len(self._chunk) - self._at)
            self._at += step
            size -= step

    def _body(self, size: int, limit: int) -> bytes:
        if size > limit:
            raise Damaged(f"an extended header of {size} bytes is too long")
        body = self._take(size)
        self._skip(-size % RECORD)
        return body

    def _old_sparse(self, header: bytes) -> tuple[list[tuple[int, int]], int]:
        extents: list[tuple[int, int]] = []
        _old_extents(header, 386, 4, extents)
        more = header[482]
        while more:
            block = self._take(RECORD)
            _old_extents(block, 0, 21, extents)
            more = block[504]
        return extents, _number(header[483:495])

    def _pax_sparse(self, entry: Entry, pax: dict[bytes, bytes], pieces: list[tuple[int, int]]) -> None:
        entry.name = pax.get(b"GNU.sparse.name", entry.name)
        entry.size = _decimal(pax.get(b"GNU.sparse.realsize", pax.get(b"GNU.sparse.size", b"")))
        if b"GNU.sparse.major" in pax:
            if (pax[b"GNU.sparse.major"], pax.get(b"GNU.sparse.minor")) != (b"1", b"0"):
                raise Damaged("a sparse file in an unknown version of the format")
            entry.sparse = self._sparse_map()
        elif b"GNU.sparse.map" in pax:
            numbers = [_decimal(text) for text in pax[b"GNU.sparse.map"].split(b",")]
            entry.sparse = list(zip(numbers[::2], numbers[1::2], strict=False))
        else:
            entry.sparse = pieces

    def _sparse_map(self) -> list[tuple[int, int]]:
        numbers: list[int] = []
        rest = b""
        wanted = 1
        while len(numbers) < wanted:
            if self._data < RECORD:
                raise Damaged("a sparse file's map is cut short")
            self._data -= RECORD
            *lines, rest = (rest + self._take(RECORD)).split(b"\n")
            numbers += [_decimal(line) for line in lines[: wanted - len(numbers) if numbers else None]]
            if numbers:
                wanted = 1 + 2 * numbers[0]
                if wanted > 2 * EXTENTS_MAX:
                    raise Damaged("a sparse file with too many pieces")
        return list(zip(numbers[1:wanted:2], numbers[2:wanted:2], strict=True))


def shown(name: bytes) -> str:
    """A name as messages have it: readable, and not too long."""
    return name[:200].decode("utf-8", "backslashreplace") + ("…" if len(name) > 200 else "")


def _verified_size(header: bytes) -> int:
    try:
        stated = int(header[148:156].strip(b" \0"), 8)
    except ValueError:
        raise Damaged("it is no tar archive") from None
    if stated != sum(header) - sum(header[148:156]) + 256:
        raise Damaged("a header's checksum is wrong")
    return _number(header[124:136])


def _number(field: bytes) -> int:
    """An octal field, or GNU's big-endian form for what does not fit into one."""
    first = field[0]
    if first & 0x80:
        if first == 0xFF:
            raise Damaged("a negative number where none can be")
        return int.from_bytes(bytes([first & 0x7F]) + field[1:], "big")
    text = field.strip(b" \0")
    if not text:
        return 0
    if not text.isdigit():
        raise Damaged("a number that is none")
    try:
        return int(text, 8)
    except ValueError:
        raise Damaged("a number that is none") from None


def _time(field: bytes) -> int:
    if field[0] == 0xFF:
        return int.from_bytes(field, "big", signed=True)
    return _number(field)


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 20:
        raise Damaged("a number that is none")
    return int(text)


def _pax(body: bytes, into: dict[bytes, bytes]) -> list[tuple[int, int]]:
    """Parse ``LENGTH KEY=VALUE\\n`` records; returns the pieces of a sparse file of format 0.0, whose keys repeat."""
    pieces: list[tuple[int, int]] = []
    offset = 0
    at = 0
    while at < len(body):
        space = body.find(b" ", at, at + 12)
        if space < 0:
            raise Damaged("a broken pax header")
        length = _decimal(body[at:space])
        record = body[space + 1 : at + length]
        key, equals, value = record[:-1].partition(b"=")
        if length <= space - at + 1 or at + length > len(body) or record[-1:] != b"\n" or not equals:
            raise Damaged("a broken pax header")
        if key == b"GNU.sparse.offset":
            offset = _decimal(value)
        elif key == b"GNU.sparse.numbytes":
            pieces.append((offset, _decimal(value)))
        else:
            into[key] = value
        at += length
    return pieces


def _entry(
    header: bytes, kind: bytes, size: int, pax: dict[bytes, bytes], long_name: bytes, long_link: bytes, lenient: bool
) -> Entry:
    name = long_name
    if not name:
        name = header[:100].partition(b"\0")[0]
        if header[345] and header[257:263] == b"ustar\0":
            name = header[345:500].partition(b"\0")[0] + b"/" + name
    entry = Entry(name, kind)
    entry.mode = _number(header[100:108]) & 0o7777
    entry.uid = _number(header[108:116])
    entry.gid = _number(header[116:124])
    entry.size = size
    entry.mtime = _time(header[136:148]) * 1_000_000_000
    if kind in (HARD, SYMLINK):
        entry.link = long_link or header[157:257].partition(b"\0")[0]
    elif kind in (CHARACTER, BLOCK):
        entry.major = _number(header[329:337])
        entry.minor = _number(header[337:345])
    if pax:
        _apply_pax(entry, pax)
    if kind in (b"\0", b"7"):
        entry.kind = DIRECTORY if entry.name.endswith(b"/") else FILE
    elif kind == b"S":
        entry.kind = FILE
    elif kind not in _KINDS and not lenient:
        raise Damaged(f"{shown(entry.name)} is of the unknown type {kind.decode('latin-1')!r}")
    if not entry.name or b"\0" in entry.name or b"\0" in entry.link:
        raise Damaged("a name that cannot be one")
    return entry


def _apply_pax(entry: Entry, pax: dict[bytes, bytes]) -> None:
    for key, value in pax.items():
        if key == b"path":
            entry.name = value
        elif key == b"linkpath":
            entry.link = value
        elif key == b"size":
            entry.size = _decimal(value)
        elif key == b"uid":
            entry.uid = _decimal(value)
        elif key == b"gid":
            entry.gid = _decimal(value)
        elif key == b"mtime":
            entry.mtime = _pax_time(value)
        elif key.startswith(_XATTR):
            entry.xattrs[key[len(_XATTR) :].decode("utf-8", "surrogateescape")] = value
    if len(entry.name) > NAME_MAX or len(entry.link) > NAME_MAX:
        raise Damaged("a name that is too long")


def _pax_time(text: bytes) -> int:
    seconds, _, fraction = text.lstrip(b"-").partition(b".")
    nanoseconds = _decimal(seconds) * 1_000_000_000 + _decimal((fraction[:9] or b"0").ljust(9, b"0"))
    return -nanoseconds if text.startswith(b"-") else nanoseconds


def _old_extents(block: bytes, at: int, count: int, into: list[tuple[int, int]]) -> None:
    for start in range(at, at + 24 * count, 24):
        length = _number(block[start + 12 : start + 24])
        if length:
            into.append((_number(block[start : start + 12]), length))
    if len(into) > EXTENTS_MAX:
        raise Damaged("a sparse file with too many pieces")


def _check_sparse(extents: list[tuple[int, int]], size: int, stored: int) -> None:
    end = total = 0
    for offset, length in extents:
        if offset < end:
            raise Damaged("a sparse file whose pieces overlap")
        end = offset + length
        total += length
    if end > size or total != stored:
        raise Damaged("a sparse file whose map does not match its content")


def header(entry: Entry) -> bytes:
    """The header of ``entry``, byte-stable: ustar, preceded by a pax header only for what ustar cannot say.

    ``mtime`` is written in whole seconds. ``entry.size`` bytes of content and padding to 512 must follow a FILE.
    """
    pax: dict[bytes, bytes] = {}
    prefix, name = _split(entry.name)
    if not name:
        pax[b"path"] = entry.name
        name = entry.name[:100]
    if len(entry.link) > 100:
        pax[b"linkpath"] = entry.link
    size = entry.size if entry.kind == FILE else 0
    seconds = entry.mtime // 1_000_000_000
    for key, value, digits in ((b"uid", entry.uid, 7), (b"gid", entry.gid, 7), (b"size", size, 11), (b"mtime", seconds, 11)):
        if not 0 <= value < 8**digits:
            pax[key] = b"%d" % value
    for attribute, content in sorted(entry.xattrs.items()):
        pax[_XATTR + attribute.encode("utf-8", "surrogateescape")] = content
    plain = _ustar(entry, prefix, name, entry.link[:100], size, seconds)
    if not pax:
        return plain
    body = b"".join(_record(key, value) for key, value in sorted(pax.items()))
    extended = Entry(entry.name, b"x")
    extended.mode = 0o644
    title = b"PaxHeaders.0/" + entry.name.rstrip(b"/").rpartition(b"/")[2][:80]
    return _ustar(extended, b"", title, b"", len(body), 0) + body + bytes(-len(body) % RECORD) + plain


def _ustar(entry: Entry, prefix: bytes, name: bytes, link: bytes, size: int, seconds: int) -> bytes:
    def octal(value: int, digits: int) -> bytes:
        return b"%0*o\0" % (digits, value if 0 <= value < 8**digits else 0)

    front = b"".join(
        (
            name.ljust(100, b"\0"),
            octal(entry.mode & 0o7777, 7),
            octal(entry.uid, 7),
            octal(entry.gid, 7),
            octal(size, 11),
            octal(seconds, 11),
        )
    )
    device = octal(entry.major, 7) + octal(entry.minor, 7)
    back = b"".join((entry.kind, link.ljust(100, b"\0"), b"ustar\x0000", bytes(64), device, prefix.ljust(155, b"\0"), bytes(12)))
    return front + b"%06o\0 " % (sum(front) + sum(back) + 256) + back


def _split(name: bytes) -> tuple[bytes, bytes]:
    """(prefix, name) as ustar splits a long name at a slash; an empty name when it cannot."""
    if len(name) <= 100:
        return b"", name
    cut = name.find(b"/", max(len(name) - 101, 1), 156)
    return (name[:cut], name[cut + 1 :]) if cut > 0 and name[cut + 1 :] else (b"", b"")


def _record(key: bytes, value: bytes) -> bytes:
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)
