"""A container's standard streams on ours: Docker's framed or raw stream, our input, our terminal."""

from __future__ import annotations

import posix

from tare.cli import render

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from tare.cli.terminal import KeySequence
    from tare.client.connection import Connection

PIECE = 65536


class Output:
    """Writes a stream's bytes to descriptors 1 and 2. Framed streams carry eight-byte headers: the stream's number,
    three zeros, the size as big-endian 32 bits (Docker's "Stream format"). ``wanted`` limits what is shown."""

    def __init__(self, framed: bool, wanted: tuple[int, ...] = (1, 2)) -> None:
        self.framed = framed
        self.wanted = wanted
        self.head = b""
        self.left = 0
        self.fd = 1

    def feed(self, data: bytes) -> None:
        if not self.framed:
            render.raw(1, data)
            return
        view = memoryview(data)
        while view:
            if not self.left:
                missing = 8 - len(self.head)
                self.head += view[:missing].tobytes()
                view = view[missing:]
                if len(self.head) == 8:
                    # Stream 0 is stdin's echo, which Docker shows as output.
                    self.fd = 2 if self.head[0] == 2 else 1
                    self.left = int.from_bytes(self.head[4:], "big")
                    self.head = b""
                continue
            if self.fd in self.wanted:
                render.raw(self.fd, view[: self.left])
            taken = min(self.left, len(view))
            self.left -= taken
            view = view[taken:]


def show(chunks: Iterable[bytes], output: Output) -> None:
    for chunk in chunks:
        output.feed(chunk)


def attend(connection: Connection, output: Output, *, stdin: bool = False, keys: bytes = b"") -> bool:
    """Carry everything both ways until the container's side ends. True when the user left by ``keys``."""
    _drain(connection, output)
    if stdin:
        return _both_ways(connection, output, _sequence(keys) if keys else None)
    while connection.more():
        _drain(connection, output)
    return False


def _sequence(keys: bytes) -> KeySequence:
    from tare.cli.terminal import KeySequence

    return KeySequence(keys)


def _drain(connection: Connection, output: Output) -> None:
    data, connection.buffer = connection.buffer, b""
    if data:
        output.feed(data)


def _both_ways(connection: Connection, output: Output, keys: KeySequence | None) -> bool:
    """Reads input only while the daemon takes it, so that a container that does not read stalls neither side."""
    import select

    sock = connection.sock
    sock.setblocking(False)
    remote = sock.fileno()
    poll = select.poll()
    poll.register(remote, select.POLLIN)
    poll.register(0, select.POLLIN)
    pending = b""
    leaving = False
    while True:
        for fd, event in poll.poll():
            if fd == 0:
                pending = posix.read(0, PIECE)
                poll.unregister(0)
                poll.register(remote, select.POLLIN | select.POLLOUT)
                if keys and (end := keys.ends_in(pending)):
                    # The daemon gets the keys too: an end without them would be the end of the container's input.
                    pending, leaving = pending[:end], True
                if not pending and not _finish(connection):
                    return False
                if not pending:
                    poll.register(remote, select.POLLIN)
                continue
            if event & select.POLLOUT and pending:
                pending = _send(connection, pending)
                if not pending:
                    if leaving:
                        return True
                    poll.register(remote, select.POLLIN)
                    poll.register(0, select.POLLIN)
            if event & ~select.POLLOUT:
                try:
                    if not connection.more():
                        return False
                except BlockingIOError:
                    continue
                _drain(connection, output)


def _send(connection: Connection, data: bytes) -> bytes:
    """What is left of ``data``; nothing when nobody wants it any more."""
    import _socket

    try:
        return data[connection.sock.send(data, _socket.MSG_NOSIGNAL) :]
    except BlockingIOError:
        return data
    except OSError:
        return b""


def _finish(connection: Connection) -> bool:
    """Say that there is no more input; the output goes on. False when the stream is gone altogether."""
    import _socket

    try:
        connection.sock.shutdown(_socket.SHUT_WR)
    except OSError:
        return False
    return True
