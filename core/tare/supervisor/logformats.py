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

import os
import struct
import time

# The function that json.dumps uses; the module json would bring in re.
from _json import encode_basestring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HEAD = struct.Struct("<BBxxIQ")
TAIL = struct.Struct("<I")
PARTIAL = 1
LINE = 16 * 1024
STREAMS = {1: "stdout", 2: "stderr"}
MODE = 0o640


class LogFile:
    """A file that is appended to, and rotated. ``max_size`` 0 is without bound; ``max_file`` counts the newest too."""

    __slots__ = ("_fd", "_size", "dropped", "max_file", "max_size", "path")

    def __init__(self, path: str, max_size: int, max_file: int) -> None:
        self.path = path
        self.max_size = max_size
        self.max_file = max(max_file, 1)
        self.dropped = 0
        self._open()

    def write(self, stream: int, at: int, data: memoryview) -> None:
        """Log one chunk read at ``at``. Raises OSError, and then nothing of it is in the file."""
        raise NotImplementedError

    def close(self) -> None:
        """Write what was held back, and close."""
        os.close(self._fd)

    def _open(self) -> None:
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, MODE)
        self._size = os.fstat(self._fd).st_size

    def _append(self, parts: Iterable[bytes | memoryview]) -> None:
        if 0 < self.max_size <= self._size:
            self._rotate()
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
        if self.max_file == 1:
            os.ftruncate(self._fd, 0)
            self._size = 0
            return
        for number in range(self.max_file - 1, 0, -1):
            older, newer = f"{self.path}.{number}", f"{self.path}.{number - 1}" if number > 1 else self.path
            if os.path.exists(newer):
                os.rename(newer, older)
        os.close(self._fd)
        self._open()


class FramedLog(LogFile):
    """The driver ``local``."""

    __slots__ = ()

    def _open(self) -> None:
        super()._open()
        # What a crash left half written at the end would hide everything after it.
        whole = whole_length(self._fd)
        if whole != self._size:
            os.ftruncate(self._fd, whole)
            self._size = whole

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

    def _open(self) -> None:
        super()._open()
        # What a crash left half written must not spoil the line after it.
        if self._size and os.pread(self._fd, 1, self._size - 1) != b"\n":
            self._size += os.write(self._fd, b"\n")

    def write(self, stream: int, at: int, data: memoryview) -> None:
        self._at = at
        *lines, rest = (self._held.pop(stream, b"") + data).split(b"\n")
        texts = [text for line in lines for text in split_line(line + b"\n")]
        if len(rest) >= LINE:
            *full, rest = split_line(rest)
            texts += full
        if rest:
            self._held[stream] = rest
        self._append_lines(stream, texts)

    def close(self) -> None:
        try:
            for stream, rest in self._held.items():
                self._append_lines(stream, [rest])
        finally:
            super().close()

    def _append_lines(self, stream: int, texts: list[bytes]) -> None:
        if texts:
            tail = f',"stream":"{STREAMS[stream]}","time":"{timestamp(self._at)}"}}\n'
            for lines in self._portions([f'{{"log":{encode_basestring(text.decode(errors="replace"))}{tail}' for text in texts]):
                self._append([lines])

    def _portions(self, lines: list[str]) -> Iterator[bytes]:
        """As much at once as goes into one file: with a limit no file exceeds it by more than its last line."""
        if not self.max_size:
            yield "".join(lines).encode()
            return
        room = self.max_size - self._size if self._size < self.max_size else self.max_size
        portion = b""
        for line in lines:
            portion += line.encode()
            if len(portion) >= room:
                yield portion
                portion, room = b"", self.max_size
        if portion:
            yield portion


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
