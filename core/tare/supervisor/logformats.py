"""How a log lies on disk.

``local``, the default: records of ``HEAD`` (16 bytes: stream 1 or 2, flags, two zero bytes, length u32, nanoseconds since
the epoch u64; little-endian), ``length`` bytes as they were read, and ``TAIL`` (u32, the length again, so that the file can be
read from its end). A line costs nothing, because a record is a chunk and not a line. Flag PARTIAL: the chunk does not end with
a newline; the line goes on in the next record of the same stream.

``json-file``: Docker's lines ``{"log":"…\\n","stream":"stdout","time":"RFC 3339"}``, for log shippers; a line over 16 KiB is
split into several whose text ends without newline. Bytes that are no UTF-8 become U+FFFD.

Either is rotated before the write that would find it at ``max_size`` or above: PATH is the newest, PATH.1 the one before …
"""

from __future__ import annotations

import contextlib
import os
import struct
import time

# The function that json.dumps uses; the module json would bring in re.
from _json import encode_basestring

from tare.supervisor.notes import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

HEAD = struct.Struct("<BBxxIQ")
TAIL = struct.Struct("<I")
PARTIAL = 1
LINE = 16 * 1024
STREAMS = {1: "stdout", 2: "stderr"}
MODE = 0o640


class LogFile:
    """A file that is appended to, and rotated. ``max_size`` 0 is without bound; ``max_file`` counts the newest too. Where it
    cannot be rotated it grows on."""

    __slots__ = ("_fd", "_size", "_stuck", "dropped", "max_file", "max_size", "path")

    def __init__(self, path: str, max_size: int, max_file: int) -> None:
        self.path = path
        self.max_size = max_size
        self.max_file = max(max_file, 1)
        self.dropped = 0
        self._stuck = 0
        self._fd, self._size = self._open(path)

    def write(self, stream: int, at: int, data: memoryview) -> None:
        """Log one chunk read at ``at``. Raises OSError, and then nothing of it is in the file."""
        raise NotImplementedError

    def place(self) -> tuple[int, int]:
        """Where everything written so far ends, once what was held back is in the file: its inode and size. Raises OSError."""
        return os.fstat(self._fd).st_ino, self._size

    def close(self) -> None:
        """Write what was held back, and close."""
        os.close(self._fd)

    def _open(self, path: str) -> tuple[int, int]:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, MODE)
        try:
            return fd, self._mended(fd)
        except OSError:
            os.close(fd)
            raise

    def _mended(self, fd: int) -> int:
        """The size of a file that a crash may have left half written, once that does no more harm."""
        raise NotImplementedError

    def _append(self, parts: Iterable[bytes | memoryview]) -> None:
        if 0 < self.max_size <= self._size and self._size >= self._stuck:
            try:
                self._rotate()
            except OSError as error:
                note(f"logger: {self.path} cannot be rotated and grows on: {error.strerror}")
                self._stuck = self._size + self.max_size
        whole = list(parts)
        length = sum(map(len, whole))
        try:
            wrote = os.writev(self._fd, whole)
        except OSError:
            os.ftruncate(self._fd, self._size)
            raise
        if wrote < length:
            os.ftruncate(self._fd, self._size)
            raise OSError(28, os.strerror(28))  # ENOSPC, which a short write means.
        self._size += length

    def _rotate(self) -> None:
        """Raises OSError, and then the present file is still the one that is written to."""
        self._stuck = 0
        if self.max_file == 1:
            os.ftruncate(self._fd, 0)
            self._size = 0
            return
        # Made before anything is moved: where there is no room for it nothing is.
        draft = f"{self.path}.new"
        fd, size = self._open(draft)
        try:
            free = 1
            while free < self.max_file - 1 and os.path.exists(f"{self.path}.{free}"):
                free += 1
            for number in range(free, 1, -1):
                os.rename(f"{self.path}.{number - 1}", f"{self.path}.{number}")
            with contextlib.suppress(FileNotFoundError):
                os.rename(self.path, f"{self.path}.1")
            os.rename(draft, self.path)
        except OSError:
            os.close(fd)
            os.unlink(draft)
            raise
        os.close(self._fd)
        self._fd, self._size = fd, size


class FramedLog(LogFile):
    """The driver ``local``."""

    __slots__ = ()

    def _mended(self, fd: int) -> int:
        # What is torn at the end would hide everything after it.
        whole = whole_length(fd)
        if whole != os.fstat(fd).st_size:
            os.ftruncate(fd, whole)
        return whole

    def write(self, stream: int, at: int, data: memoryview) -> None:
        flags = 0 if data[-1] == 10 else PARTIAL
        self._append((HEAD.pack(stream, flags, len(data), at), data, TAIL.pack(len(data))))


class JsonLog(LogFile):
    """The driver ``json-file``. The beginning of a line is held until its end comes, 16 KiB are there or the log closes."""

    __slots__ = ("_at", "_held")

    def __init__(self, path: str, max_size: int, max_file: int) -> None:
        super().__init__(path, max_size, max_file)
        self._held: dict[int, bytes] = {}
        self._at = 0

    def _mended(self, fd: int) -> int:
        # What is torn must not spoil the line after it.
        size = os.fstat(fd).st_size
        if size and os.pread(fd, 1, size - 1) != b"\n":
            size += os.write(fd, b"\n")
        return size

    def write(self, stream: int, at: int, data: memoryview) -> None:
        self._at = at
        text = self._held.pop(stream, b"") + data
        cut = text.rfind(b"\n") + 1
        lines, rest = text[:cut], text[cut:]
        if len(rest) >= LINE:
            *full, rest = split_line(rest)
        else:
            full = []
        if rest:
            self._held[stream] = rest
        tail = self._tail(stream)
        if has_long_line(lines):
            pieces = [piece for line in lines.split(b"\n")[:-1] for piece in split_line(line + b"\n")]
            self._append_lines(b"".join([encoded(piece, tail) for piece in pieces + full]))
        else:
            self._append_lines(b"".join([encoded(lines, tail), *(encoded(piece, tail) for piece in full)]))

    def place(self) -> tuple[int, int]:
        held, self._held = self._held, {}
        for stream, rest in held.items():
            self._append_lines(encoded(rest, self._tail(stream)))
        return super().place()

    def close(self) -> None:
        try:
            self.place()
        finally:
            super().close()

    def _tail(self, stream: int) -> str:
        return f'","stream":"{STREAMS[stream]}","time":"{timestamp(self._at)}"}}\n'

    def _append_lines(self, lines: bytes) -> None:
        """As much at once as goes into one file: with a limit no file exceeds it by more than its last line."""
        view, at, limit = memoryview(lines), 0, self.max_size
        while at < len(lines):
            room = limit - self._size if self._size < limit else limit
            cut = limit and lines.find(b"\n", at + room - 1) + 1
            self._append([view[at : cut or len(lines)]])
            at = cut or len(lines)


def encoded(text: bytes, tail: str) -> bytes:
    """Lines as JSON objects, all with the same ``tail``; the last one may lack its newline. One call for all of them: a call for
    each line would cost ten times as much."""
    if not text:
        return b""
    whole = text.decode(errors="replace")
    # Stands for a newline and passes the encoder untouched: DEL keeps the text narrow, half a surrogate is in no text.
    mark = "\x7f" if "\x7f" not in whole else "\ud800"
    lines = encode_basestring(whole.replace("\n", mark))[1:-1].replace(mark, f'\\n{tail}{{"log":"')
    return f'{{"log":"{lines[:-8]}'.encode() if whole[-1] == "\n" else f'{{"log":"{lines}{tail}'.encode()


def has_long_line(lines: bytes) -> bool:
    """Whether any of whole lines is over LINE."""
    at = 0
    while len(lines) - at > LINE:
        cut = lines.rfind(b"\n", at, at + LINE) + 1
        if not cut:
            return True
        at = cut
    return False


def split_line(line: bytes) -> list[bytes]:
    """Pieces of at most LINE bytes, cut between characters."""
    pieces = []
    while len(line) > LINE:
        cut = LINE
        while cut > LINE - 4 and line[cut] & 0xC0 == 0x80:
            cut -= 1
        pieces.append(line[:cut])
        line = line[cut:]
    pieces.append(line)
    return pieces


def timestamp(at: int) -> str:
    """RFC 3339 with nanoseconds in UTC, of nanoseconds since the epoch."""
    seconds, rest = divmod(at, 1_000_000_000)
    year, month, day, hour, minute, second = time.gmtime(seconds)[:6]
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{rest:09}Z"


def whole_length(fd: int) -> int:
    """How much of a framed file is whole records. Only a file whose last record does not fit is read from its start."""
    size = os.fstat(fd).st_size
    if size >= HEAD.size + TAIL.size:
        (length,) = TAIL.unpack(os.pread(fd, TAIL.size, size - TAIL.size))
        start = size - TAIL.size - length - HEAD.size
        if start >= 0 and HEAD.unpack(os.pread(fd, HEAD.size, start))[2] == length:
            return size
    at = 0
    while at + HEAD.size + TAIL.size <= size:
        end = at + HEAD.size + HEAD.unpack(os.pread(fd, HEAD.size, at))[2] + TAIL.size
        if end > size:
            break
        at = end
    return at
