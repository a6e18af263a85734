"""The logger: the one process that writes log files, so that a disk that hangs holds up nobody but itself.

What it hears is told in tare.supervisor.journal. It blocks on its files on purpose: the socket's buffer fills, and the
supervisor sees that and holds back, or after a while drops, what containers write.
"""

from __future__ import annotations

import fcntl
import os
import socket

from tare.supervisor import messages
from tare.supervisor.journal import CHUNK
from tare.supervisor.logformats import FramedLog, JsonLog, LogFile
from tare.supervisor.notes import note, report
from tare.supervisor.streams import CHUNK as LARGEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.supervisor.messages import Body

FORMATS: dict[str, type[LogFile]] = {"local": FramedLog, "json-file": JsonLog}


class Logger:
    """Open logs by number."""

    def __init__(self) -> None:
        self.logs: dict[int, LogFile] = {}
        self._unopened: dict[int, Body] = {}
        self._troubled: set[int] = set()

    def write(self, number: int, stream: int, at: int, data: memoryview) -> None:
        """Log a chunk. A file that cannot be written (a full disk) loses it: the first loss and the recovery are noted."""
        if number in self._unopened:
            self.open(self._unopened.pop(number))
        log = self.logs.get(number)
        if log is None:
            return
        try:
            log.write(stream, at, data)
        except OSError as error:
            log.dropped += len(data)
            if number not in self._troubled:
                self._troubled.add(number)
                note(f"logger: {log.path}: {error.strerror}; output is dropped")
            return
        if number in self._troubled:
            self._troubled.discard(number)
            note(f"logger: {log.path}: it works again; {log.dropped} bytes were dropped")
            log.dropped = 0

    def open(self, body: Body) -> None:
        """``open``; told twice when a logger is started again. A file that cannot be opened is tried again with each chunk."""
        number = body["log"]
        if number in self.logs:
            return
        wanted = FORMATS[body["driver"]]
        try:
            self.logs[number] = wanted(body["path"], body["max_size"], body["max_file"])
        except OSError as error:
            self._unopened[number] = body
            if number not in self._troubled:
                self._troubled.add(number)
                note(f"logger: {body['path']}: {error.strerror}; nothing is logged")

    def place(self, number: int) -> Body:
        """The answer to ``flush``."""
        log = self.logs.get(number)
        if log is not None:
            try:
                inode, size = log.place()
            except OSError as error:
                note(f"logger: {log.path}: {error.strerror}")
            else:
                return {"inode": inode, "size": size}
        return {}

    def close(self, number: int) -> None:
        """``close``: write what was held back."""
        log = self.logs.pop(number, None)
        self._unopened.pop(number, None)
        self._troubled.discard(number)
        if log is not None:
            try:
                log.close()
            except OSError as error:
                note(f"logger: {log.path}: {error.strerror}")


def main(arguments: list[str]) -> None:
    """``logger LOCK``, its channel on descriptor 0. Ends when the supervisor has, everything written."""
    # The logger of a supervisor that was killed may still be writing to the same files what it was told last.
    lock = os.open(arguments[0], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    sock = socket.socket(fileno=0)
    packet = bytearray(CHUNK.size + max(LARGEST, messages.LIMIT))
    view = memoryview(packet)
    logger = Logger()
    while size := sock.recv_into(packet):
        try:
            if packet[0] == 0:
                _nul, stream, number, at = CHUNK.unpack_from(packet)
                logger.write(number, stream, at, view[CHUNK.size : size])
                continue
            kind, serial, body = messages.decode(bytes(view[:size]), [])
            if kind == "open":
                logger.open(body)
            elif kind == "close":
                logger.close(body["log"])
            if serial:
                messages.send(sock, "ok", serial, logger.place(body["log"]) if body["place"] else {})
        except Exception:
            report()
    for number in list(logger.logs):
        logger.close(number)
