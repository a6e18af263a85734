"""Reading logs back: by lines, across rotated files, from the end, and on and on (``logs -f``). Used by tared.

The formats are told in tare.supervisor.logformats. A line is ``(stream, nanoseconds since the epoch, bytes)``, its newline
included; its time is that of its first chunk. Lines over a mebibyte come in parts. As in Docker, ``tail`` counts the lines of
both streams, before they are chosen by stream and time.
"""

from __future__ import annotations

import calendar
import contextlib
import json
import os
from collections.abc import Iterator
from typing import Protocol

from tare.linux.inotify import Watch
from tare.supervisor.logformats import HEAD, PARTIAL, TAIL, whole_length

Line = tuple[int, int, bytes]

BLOCK = 256 * 1024
LONGEST = 1 << 20
_NUMBERS = {"stdout": 1, "stderr": 2}


class Decoder(Protocol):
    """Turns the bytes of a file into lines."""

    def feed(self, data: bytes) -> Iterator[Line]:
        """The lines that ``data`` completes; files follow one another without a seam."""

    def rest(self) -> Iterator[Line]:
        """What has no newline yet, at the end."""


class FramedDecoder:
    """Lines of the driver ``local``."""

    def __init__(self) -> None:
        self._bytes = b""
        self._held: dict[int, tuple[int, bytes]] = {}

    def feed(self, data: bytes) -> Iterator[Line]:
        data = self._bytes + data
        at, size = 0, len(data)
        while at + HEAD.size <= size:
            stream, _flags, length, time = HEAD.unpack_from(data, at)
            end = at + HEAD.size + length
            if end + TAIL.size > size:
                break
            yield from self._record(stream, time, data[at + HEAD.size : end])
            at = end + TAIL.size
        self._bytes = data[at:]

    def _record(self, stream: int, time: int, data: bytes) -> Iterator[Line]:
        first, before = self._held.pop(stream, (time, b""))
        *lines, rest = (before + data).split(b"\n")
        for line in lines:
            yield stream, first, line + b"\n"
            first = time
        if len(rest) > LONGEST:
            yield stream, first, rest
        elif rest:
            self._held[stream] = first, rest

    def rest(self) -> Iterator[Line]:
        held, self._held = self._held, {}
        for stream, (time, data) in sorted(held.items(), key=lambda item: item[1][0]):
            yield stream, time, data


class JsonDecoder:
    """Lines of the driver ``json-file``. What is no such line is passed over."""

    def __init__(self) -> None:
        self._bytes = b""
        self._second = ("", 0)

    def feed(self, data: bytes) -> Iterator[Line]:
        *lines, self._bytes = (self._bytes + data).split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                record = json.loads(line)
                yield _NUMBERS[record["stream"]], self._time(record["time"]), record["log"].encode()

    def rest(self) -> Iterator[Line]:
        return iter(())

    def _time(self, text: str) -> int:
        second, fraction = text[:19], text[19:].rstrip("Z").lstrip(".")
        if second != self._second[0]:
            year, month, day = int(second[:4]), int(second[5:7]), int(second[8:10])
            hour, minute, rest = int(second[11:13]), int(second[14:16]), int(second[17:19])
            self._second = second, calendar.timegm((year, month, day, hour, minute, rest))
        return self._second[1] * 1_000_000_000 + int(fraction[:9].ljust(9, "0") or 0)


DECODERS: dict[str, type[FramedDecoder] | type[JsonDecoder]] = {"local": FramedDecoder, "json-file": JsonDecoder}


def read(
    path: str,
    driver: str,
    *,
    stdout: bool = True,
    stderr: bool = True,
    since: int = 0,
    until: int = 0,
    tail: int = -1,
) -> Iterator[Line]:
    """Everything logged so far (``until`` and ``since`` in nanoseconds, 0 is open; ``tail`` -1 is everything).

    A log that does not exist yet is empty. Raises OSError, and KeyError for a driver that keeps no file.
    """
    log = _Log(path, driver, _chosen(stdout, stderr), since, until, tail)
    try:
        yield from log.read()
        yield from log.finish()
    finally:
        log.close()


class Follower:
    """A log read on and on: ``fileno`` is readable when ``read`` may have more; nothing else needs to be polled."""

    def __init__(
        self,
        path: str,
        driver: str,
        *,
        stdout: bool = True,
        stderr: bool = True,
        since: int = 0,
        until: int = 0,
        tail: int = -1,
    ) -> None:
        """As ``read``; the directory of ``path`` must exist. Raises OSError, KeyError."""
        self._watch = Watch(os.path.dirname(path))
        try:
            self._log = _Log(path, driver, _chosen(stdout, stderr), since, until, tail)
        except BaseException:
            self._watch.close()
            raise

    def fileno(self) -> int:
        """For asyncio's add_reader, poll, epoll."""
        return self._watch.fileno()

    @property
    def over(self) -> bool:
        """Whether ``until`` is reached, so that nothing more will come."""
        return self._log.over

    def read(self) -> Iterator[Line]:
        """The lines completed since the last time; at first those that are there. Exhaust it."""
        self._watch.clear()
        return self._log.read()

    def finish(self) -> Iterator[Line]:
        """The log has ended: what is still there, also without a newline."""
        yield from self.read()
        yield from self._log.finish()

    def close(self) -> None:
        """Safe twice."""
        self._watch.close()
        self._log.close()


class Replay:
    """A log read in two goes: what is there, and later the rest up to a place that the logger has named."""

    def __init__(self, path: str, driver: str, *, stdout: bool = True, stderr: bool = True) -> None:
        """Raises OSError, and KeyError for a driver that keeps no file."""
        self._log = _Log(path, driver, _chosen(stdout, stderr), 0, 0, -1)

    def read(self) -> Iterator[Line]:
        """The lines that are complete now."""
        return self._log.read()

    def rest(self, inode: int, size: int) -> Iterator[Line]:
        """What follows, until ``size`` bytes of the file ``inode`` are read, also a line that has no newline there. Without such
        a file (0) everything that is there."""
        self._log.end = inode, size
        yield from self._log.read()
        yield from self._log.finish()

    def close(self) -> None:
        """Safe twice."""
        self._log.close()


class _Log:
    """A position in a log that outlives rotations: the open files from the oldest of interest to the newest."""

    def __init__(self, path: str, driver: str, streams: set[int], since: int, until: int, tail: int) -> None:
        self._path = path
        self._streams = streams
        self._since = since
        self._until = until
        self._decoder: Decoder = DECODERS[driver]()
        self._files = open_files(path)
        self._at = 0
        self._skip = 0
        self.over = False
        self.end = 0, 0
        """The inode and size at which it ends, whatever is written after that."""
        if tail >= 0:
            scan = tail_of_framed if driver == "local" else tail_of_lines
            first, self._at, self._skip = scan(self._files, tail)
            for fd in self._files[:first]:
                os.close(fd)
            del self._files[:first]

    def read(self) -> Iterator[Line]:
        """Every line that is complete now."""
        while not self.over:
            if not self._files:
                self._files = open_files(self._path)
                if not self._files:
                    return
            here = self.end[0] and os.fstat(self._files[0]).st_ino == self.end[0]
            data = os.pread(self._files[0], min(BLOCK, max(0, self.end[1] - self._at)) if here else BLOCK, self._at)
            if data:
                self._at += len(data)
                yield from self._choose(self._decoder.feed(data))
            elif here or not self._next():
                return

    def finish(self) -> Iterator[Line]:
        """The last lines, which have no newline."""
        if not self.over:
            yield from self._choose(self._decoder.rest())

    def close(self) -> None:
        """Close what is open."""
        for fd in self._files:
            os.close(fd)
        self._files = []

    def _choose(self, lines: Iterator[Line]) -> Iterator[Line]:
        for line in lines:
            if self._skip:
                self._skip -= 1
                continue
            stream, time, _data = line
            if self._until and time > self._until:
                self.over = True
                return
            if time >= self._since and stream in self._streams:
                yield line

    def _next(self) -> bool:
        """The first file is read to its end: go to the one that followed it. False when it is still the newest."""
        current = os.fstat(self._files[0])
        if len(self._files) == 1:
            if current.st_size < self._at:
                self._at = 0  # A log of one file is rotated by cutting it.
                return True
            place = (current.st_dev, current.st_ino)
            with contextlib.suppress(OSError):
                newest = os.stat(self._path)
                if (newest.st_dev, newest.st_ino) == place:
                    return False
            newer = open_files(self._path)
            known = [(status.st_dev, status.st_ino) for status in map(os.fstat, newer)]
            # When it is rotated out of existence everything that is left came after it.
            behind = known.index(place) + 1 if place in known else 0
            for fd in newer[:behind]:
                os.close(fd)
            self._files += newer[behind:]
            if len(self._files) == 1:
                return False
            # Written between our last read and the rotation.
            if current.st_size > self._at or os.fstat(self._files[0]).st_size > self._at:
                return True
        os.close(self._files.pop(0))
        self._at = 0
        return True


def open_files(path: str) -> list[int]:
    """Descriptors of the files of a log, the oldest first. One that a rotation moves meanwhile is not opened twice."""
    found: list[int] = []
    seen = set()
    number = 0
    while True:
        try:
            fd = os.open(f"{path}.{number}" if number else path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            # Between the two steps of a rotation the newest is missing while older ones are there.
            if number:
                break
        else:
            status = os.fstat(fd)
            if (status.st_dev, status.st_ino) in seen:
                os.close(fd)
            else:
                seen.add((status.st_dev, status.st_ino))
                found.append(fd)
        number += 1
    return found[::-1]


def tail_of_lines(files: list[int], tail: int) -> tuple[int, int, int]:
    """Where the last ``tail`` newline-terminated lines begin: (index of file, offset, lines to skip there)."""
    wanted = tail + 1
    for index in range(len(files) - 1, -1, -1):
        at = os.fstat(files[index]).st_size
        while at:
            start = max(0, at - BLOCK)
            block = os.pread(files[index], at - start, start)
            count = block.count(b"\n")
            if count >= wanted:
                cut = len(block)
                for _ in range(wanted):
                    cut = block.rfind(b"\n", 0, cut)
                return index, start + cut + 1, 0
            wanted -= count
            at = start
    return 0, 0, 0


def tail_of_framed(files: list[int], tail: int) -> tuple[int, int, int]:
    """As ``tail_of_lines`` for records: the place is one before which no line that is shown has begun."""
    total = lines = 0
    place = len(files) - 1, whole_length(files[-1]) if files else 0
    newest: set[int] = set()
    torn: set[int] = set()  # streams whose first line from the place on may have begun before it
    for index in range(len(files) - 1, -1, -1):
        fd = files[index]
        end = whole_length(fd)
        while end:
            if lines >= tail and not torn:
                return *place, lines - tail
            start = end - TAIL.size - TAIL.unpack(os.pread(fd, TAIL.size, end - TAIL.size))[0] - HEAD.size
            record = os.pread(fd, end - start, start)
            stream, flags, length, _time = HEAD.unpack_from(record)
            partial = bool(flags & PARTIAL)
            total += record.count(b"\n", HEAD.size, HEAD.size + length) + (partial and stream not in newest)
            newest.add(stream)
            if lines >= tail and not (stream in torn and partial):
                torn.discard(stream)
            else:
                place, lines, torn = (index, start), total, set(newest)
            end = start
    return (*place, lines - tail) if lines >= tail and not torn else (0, 0, max(0, total - tail))


def _chosen(stdout: bool, stderr: bool) -> set[int]:
    return {number for number, wanted in ((1, stdout), (2, stderr)) if wanted}
