"""The supervisor's side of the logger: it passes chunks on and never waits for a disk.

A chunk is a packet of its own kind, which begins with a NUL byte (no message does): ``CHUNK`` then the bytes.
The other packets are messages: supervisor → logger ``open`` {"log": number, "driver", "path", "max_size", "max_file"},
``close`` {"log"} and ``flush`` {"log"}, which alone is answered, with ``ok``.
"""

from __future__ import annotations

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

    Answer = Callable[[TareError | None], None]

CHUNK = struct.Struct("<BBxxIQ")
"""NUL, stream, log number, nanoseconds since the epoch."""
PATIENCE = 5.0
"""Seconds without progress after which the logger counts as hung and output is dropped (and counted) instead of held back."""


class Journal:
    """Holds back those who write faster than the disk, one chunk each; ``write`` says so, and ``resume`` callbacks follow."""

    __slots__ = (
        "_asked", "_dropped", "_hung", "_logger", "_logs", "_loop", "_number", "_queue", "_seen", "_serial", "_silent",
        "_waiting",
    )  # fmt: skip

    def __init__(self, loop: Loop, lock: str) -> None:
        self._loop = loop
        self._logs: dict[int, Body] = {}
        self._silent: set[int] = set()
        self._queue: deque[list[bytes]] = deque()
        self._waiting: list[Callable[[], None]] = []
        self._asked: dict[int, Answer] = {}
        self._serial = 0
        self._number = 0
        self._hung = False
        self._seen = 0
        self._dropped = 0
        self._logger = Companion(loop, "logger", (lock,), self._hear, lost=self._lost, started=self._started)
        self._logger.start()

    def open(self, wish: Body) -> int:
        """A number for the log described by ``wish`` (``log`` of messages.start). The logger hears of it with the first chunk:
        many a process says nothing."""
        self._number += 1
        self._logs[self._number] = {"log": self._number, **wish}
        self._silent.add(self._number)
        return self._number

    def wish(self, log: int) -> Body | None:
        """What ``open`` was told about this log."""
        known = self._logs.get(log)
        return {name: value for name, value in known.items() if name != "log"} if known else None

    def write(self, log: int, stream: int, data: bytes) -> bool:
        """Log a chunk with the present time. False: taken, but wait for ``when_free`` before the next."""
        if log in self._silent:
            self._silent.discard(log)
            self._tell("open", self._logs[log])
        head = CHUNK.pack(0, stream, log, time.time_ns())
        if self._queue and self._hung:
            self._dropped += len(data)
            return True
        return self._send([head, data])

    def when_free(self, resume: Callable[[], None]) -> None:
        """Call ``resume`` once, when the logger has caught up."""
        self._waiting.append(resume)

    def close(self, log: int) -> None:
        """No more will be written to this log."""
        if self._logs.pop(log, None) is not None:
            if log in self._silent:
                self._silent.discard(log)
            else:
                self._tell("close", {"log": log})

    def flush(self, log: int, answer: Answer) -> None:
        """``answer(None)`` when everything written so far is in the file, or ``answer(error)``."""
        if self._hung:
            answer(Unavailable("the log does not keep up: its disk hangs"))
            return
        self._serial += 1
        self._asked[self._serial] = answer
        self._tell("flush", {"log": log}, self._serial)

    def stop(self) -> None:
        """Let the logger write what it has and go."""
        self._logger.stop()

    def _tell(self, kind: str, body: Body, serial: int = 0) -> None:
        self._send([messages.encode(kind, serial, body)[0]])

    def _send(self, parts: list[bytes]) -> bool:
        if not self._queue:
            if self._try(parts):
                return True
            if self._logger.channel.open:
                self._logger.channel.when_writable(self._writable)
            self._watch()
        self._queue.append(parts)
        return False

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
        while self._queue:
            if not self._try(self._queue[0]):
                if self._logger.channel.open:
                    self._logger.channel.when_writable(self._writable)
                return
            self._queue.popleft()
        self._free()

    def _watch(self) -> None:
        seen = self._seen
        self._loop.after(PATIENCE, lambda: self._judge(seen))

    def _judge(self, seen: int) -> None:
        if not self._queue:
            return
        if seen != self._seen:
            self._watch()
            return
        self._hung = True
        note("logger: it hangs; output is dropped until it writes again")
        # Openings and closings are kept, or the logger would not know its files when it comes back.
        chunks = [parts for parts in self._queue if len(parts) > 1]
        self._dropped += sum(len(parts[1]) for parts in chunks)
        self._queue = deque(parts for parts in self._queue if len(parts) == 1)
        if not self._queue:
            self._queue.append([messages.encode("flush", 0, {"log": 0})[0]])
        self._refuse("the log does not keep up: its disk hangs")
        self._free()

    def _free(self) -> None:
        waiting, self._waiting = self._waiting, []
        for resume in waiting:
            resume()

    def _hear(self, _channel: Channel, _kind: str, serial: int, _body: Body, _fds: list[int]) -> None:
        answer = self._asked.pop(serial, None)
        if answer is not None:
            answer(None)

    def _lost(self) -> None:
        self._refuse("the logger has died and is started again")

    def _refuse(self, why: str) -> None:
        asked, self._asked = self._asked, {}
        for answer in asked.values():
            answer(Unavailable(why))

    def _started(self) -> None:
        # Before everything that waits for a logger which knows its files.
        known = [wish for number, wish in self._logs.items() if number not in self._silent]
        self._queue.extendleft([messages.encode("open", 0, wish)[0]] for wish in known)
        self._logger.channel.when_writable(self._writable)
