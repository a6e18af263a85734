"""The supervisor's side of the logger: it passes chunks on and never waits for a disk.

A chunk is a packet of its own kind, which begins with a NUL byte (no message does): ``CHUNK`` then the bytes.
The other packets are messages: supervisor → logger ``open`` {"log": number, "driver", "path", "max_size", "max_file"},
``close`` {"log"} and ``flush`` {"log", "place": bool}, which alone is answered, with ``ok`` {}; or, when the ``place`` is asked
for, with that of the log's end, lines without newline included: {"inode", "size"}, {} when there is no file.
"""

from __future__ import annotations

import contextlib
import fcntl
import struct
import time
from collections import deque

from tare.errors import Unavailable
from tare.supervisor import messages
from tare.supervisor.companion import Companion
from tare.supervisor.notes import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from tare.errors import TareError
    from tare.supervisor.channel import Channel
    from tare.supervisor.loop import Loop
    from tare.supervisor.messages import Body

    Answer = Callable[[Body | TareError], None]

CHUNK = struct.Struct("<BBxxIQ")
"""NUL, stream, log number, nanoseconds since the epoch."""
SHARE = 32 * 1024
"""Bytes of one log that may wait for the logger before those who write to it are held back."""
PATIENCE = 5.0
"""Seconds without progress after which the logger counts as hung and output is dropped (and counted) instead of held back."""

_SIOCOUTQ = 0x5411


class Log:
    """One log and what waits to be told of it, in order."""

    __slots__ = ("closed", "number", "queue", "silent", "size", "waiting", "wish")

    def __init__(self, number: int, wish: Body) -> None:
        self.number = number
        self.wish = wish
        self.silent = True
        self.closed = False
        self.queue: list[list[bytes]] = []  # short, and there is one for each container: a deque takes ten times as much
        self.size = 0
        self.waiting: list[Callable[[], None]] = []

    def free(self) -> None:
        """Call those who wait."""
        waiting, self.waiting = self.waiting, []
        for resume in waiting:
            resume()


class Journal:
    """Holds back those who write faster than the disk, each by its own log: ``write`` says so, and ``resume`` callbacks follow.
    ``_turns`` are the logs for which something waits: a packet each, so that one that never ends does not keep the others
    waiting."""

    __slots__ = (
        "_asked", "_dropped", "_hung", "_logger", "_logs", "_loop", "_none", "_number", "_seen", "_serial", "_turns", "_watched",
    )  # fmt: skip

    def __init__(self, loop: Loop, lock: str) -> None:
        self._loop = loop
        self._logs: dict[int, Log] = {}
        self._none = Log(0, {})
        self._turns: deque[Log] = deque()
        self._asked: dict[int, Answer] = {}
        self._serial = 0
        self._number = 0
        self._hung = False
        self._watched = False
        self._seen = 0
        self._dropped = 0
        self._logger = Companion(loop, "logger", (lock,), self._hear, lost=self._lost, started=self._started)
        self._logger.start()

    def open(self, wish: Body) -> int:
        """A number for the log described by ``wish`` (``log`` of messages.start). The logger hears of it with the first chunk:
        many a process says nothing."""
        self._number += 1
        self._logs[self._number] = Log(self._number, wish)
        return self._number

    def wish(self, log: int) -> Body | None:
        """What ``open`` was told about this log."""
        known = self._logs.get(log)
        return known.wish if known is not None and not known.closed else None

    def write(self, log: int, stream: int, data: bytes) -> bool:
        """Log a chunk with the present time. False: taken, but wait for ``when_free`` before the next."""
        one = self._logs[log]
        self._break_silence(one)
        if self._turns and self._hung:
            self._dropped += len(data)
            return True
        self._put(one, [CHUNK.pack(0, stream, log, time.time_ns()), data])
        return one.size < SHARE

    def when_free(self, log: int, resume: Callable[[], None]) -> None:
        """Call ``resume`` once, when the logger has caught up with this log."""
        self._logs[log].waiting.append(resume)

    def close(self, log: int) -> None:
        """No more will be written to this log."""
        one = self._logs[log]
        if not one.silent:
            self._put(one, [messages.encode("close", 0, {"log": log})[0]])
        one.closed = True
        if not one.queue:
            del self._logs[log]

    def flush(self, log: int, answer: Answer, *, place: bool = False) -> None:
        """``answer({})``, or with the ``place`` where it ends, when everything written so far is in the file; or
        ``answer(error)``."""
        if self._hung:
            answer(Unavailable("the log does not keep up: its disk hangs"))
            return
        one = self._logs.get(log, self._none)
        if place and one is not self._none:
            self._break_silence(one)
        self._serial += 1
        self._asked[self._serial] = answer
        self._put(one, [messages.encode("flush", self._serial, {"log": log, "place": place})[0]])

    def stop(self) -> None:
        """Let the logger write what it has and go."""
        self._logger.stop()

    def _break_silence(self, one: Log) -> None:
        if one.silent:
            one.silent = False
            self._put(one, _opening(one))

    def _put(self, one: Log, parts: list[bytes]) -> None:
        if not self._turns:
            if self._try(parts):
                return
            if self._logger.channel.open:
                self._logger.channel.when_writable(self._writable)
            self._watch()
        if not one.queue:
            self._turns.append(one)
        one.queue.append(parts)
        one.size += _size(parts)

    def _try(self, parts: list[bytes]) -> bool:
        try:
            return self._logger.channel.open and self._logger.channel.send_raw(parts)
        except OSError:
            return False  # It has just died; the next one gets it.

    def _writable(self) -> None:
        self._seen += 1
        if self._hung:
            self._hung = False
            note(f"logger: it has recovered; {self._dropped} bytes of output were dropped")
            self._dropped = 0
        while self._turns:
            one = self._turns[0]
            if not self._try(one.queue[0]):
                if self._logger.channel.open:
                    self._logger.channel.when_writable(self._writable)
                self._watch()
                return
            self._turns.popleft()
            one.size -= _size(one.queue.pop(0))
            if one.queue:
                self._turns.append(one)
            elif one.closed:
                del self._logs[one.number]
            if one.size < SHARE:
                one.free()

    def _watch(self) -> None:
        """See to it that somebody looks; once is enough."""
        if self._watched:
            return
        self._watched = True
        progress = self._progress()
        self._loop.after(PATIENCE, lambda: self._judge(progress))

    def _progress(self) -> tuple[int, bytes]:
        """Something that changes with every packet that the logger takes. A slow disk makes room for the next one only after many
        (unix(7): three quarters of the buffer)."""
        unread = bytearray(4)
        if self._logger.channel.open:
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._logger.channel.sock, _SIOCOUTQ, unread)
        return self._seen, bytes(unread)

    def _judge(self, progress: tuple[int, bytes]) -> None:
        self._watched = False
        if not self._turns:
            return
        if progress != self._progress():
            self._watch()
            return
        self._hung = True
        note("logger: it hangs; output is dropped until it writes again")
        turns, self._turns = self._turns, deque()
        for one in turns:
            # Openings and closings are kept, or the logger would not know its files when it comes back.
            kept = [parts for parts in one.queue if len(parts) == 1]
            self._dropped += one.size
            one.queue, one.size = kept, 0
            if kept:
                self._turns.append(one)
        if not self._turns:
            # Something to be tried, by which its recovery is seen.
            self._none.queue.append([messages.encode("flush", 0, {"log": 0, "place": False})[0]])
            self._turns.append(self._none)
        self._refuse("the log does not keep up: its disk hangs")
        for one in turns:
            one.free()

    def _hear(self, _channel: Channel, _kind: str, serial: int, body: Body, _fds: list[int]) -> None:
        answer = self._asked.pop(serial, None)
        if answer is not None:
            answer(body)

    def _lost(self) -> None:
        self._refuse("the logger has died and is started again")

    def _refuse(self, why: str) -> None:
        asked, self._asked = self._asked, {}
        for answer in asked.values():
            answer(Unavailable(why))

    def _started(self) -> None:
        # Each log is opened before anything that waits for it, also what has been closed meanwhile.
        for one in self._logs.values():
            if not one.silent:
                if not one.queue:
                    self._turns.append(one)
                one.queue.insert(0, _opening(one))
        self._logger.channel.when_writable(self._writable)


def _opening(one: Log) -> list[bytes]:
    return [messages.encode("open", 0, {"log": one.number, **one.wish})[0]]


def _size(parts: list[bytes]) -> int:
    """Of the output alone: messages are no burden."""
    return len(parts[1]) if len(parts) > 1 else 0
