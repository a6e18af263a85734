"""A client attached to a process: Docker's stream on a socket that tared has handed over."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
import sys
from collections import deque

from tare.supervisor.loop import ENDED, IN, OUT
from tare.supervisor.streams import CHUNK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from tare.supervisor.loop import Loop, Timer
    from tare.supervisor.streams import Input

LIMIT = 1 << 20
"""Bytes kept for a client that reads slowly; beyond, the process's output is left in its pipe."""
LINGER = 5.0
"""Seconds that the socket stays open after the last byte for the client to close it first, again and again while it still reads:
closing a socket that holds unread input would reset the connection and cost the client the end of the output."""

HEAD_PAUSE = 0.001
"""Seconds until it is looked again whether the client has read the head of its answer; doubled each time."""
HEAD_PATIENCE = 1.0

_FRAME = struct.Struct(">BxxxI")
_SIOCOUTQ = 0x5411


class Client:
    """One attachment. ``streams`` is a set of stream numbers. Owns ``fd``; ``gone(client)`` comes once when it has left.

    ``once`` says that the end of the client's input is the end of the process's; without it the client's end of input
    ends the attachment alone, as in Docker, so that the next client still finds an open stdin. While it is ``corked``
    somebody else writes to the socket, and what is to be delivered waits.
    """

    __slots__ = (
        "_corked",
        "_early",
        "_events",
        "_finishing",
        "_head",
        "_head_pause",
        "_hearing",
        "_input",
        "_keys",
        "_linger",
        "_matched",
        "_out",
        "_size",
        "_waiting",
        "detached",
        "drained",
        "fd",
        "framed",
        "gone",
        "id",
        "loop",
        "once",
        "streams",
        "wants_input",
    )

    def __init__(
        self,
        loop: Loop,
        fd: int,
        id: str,
        *,
        wants_input: bool,
        streams: frozenset[int],
        framed: bool,
        keys: bytes,
        initial: bytes,
        corked: bool = False,
    ) -> None:
        os.set_blocking(fd, False)
        self.loop = loop
        self.fd = fd
        self.id = id
        self.wants_input = wants_input
        self.streams = streams
        self.framed = framed
        self.once = False
        self._keys = keys
        self._matched = 0
        self._input: Input | None = None
        self._early = initial
        self._out: deque[bytes | memoryview] = deque()
        self._size = 0
        self._hearing = True
        self._waiting = False
        self._events = -1
        self._linger: Timer | None = None
        self._head: Timer | None = None
        self._head_pause = HEAD_PAUSE
        self._finishing = False
        self._corked = corked
        self.gone: Callable[[Client], None] = _nothing
        self.drained: Callable[[Client], None] = _nothing
        self.detached: Callable[[Client], None] = _nothing

    def connect(self, stdin: Input | None, once: bool) -> None:
        """The process is there: pass on what the client sends. Until then nothing is read from it."""
        self._input = stdin if self.wants_input else None
        self.once = once
        early, self._early = self._early, b""
        if early:
            self._feed(early)
        self._interest()

    @property
    def full(self) -> bool:
        """Whether the client is behind by more than it may."""
        return self._size >= LIMIT

    def take(self, number: int, data: bytes) -> None:
        """Deliver a chunk of output, now or when the client reads."""
        if self.fd < 0 or self._finishing or number not in self.streams:
            return
        if self.framed:
            self._push(_FRAME.pack(number, len(data)))
        self._push(data)
        if self._events < 0 or not self._events & OUT:
            self._send()

    def finish(self) -> None:
        """No more output will come: leave when all of it is delivered."""
        self._finishing = True
        self._input = None
        self._send()

    def uncork(self) -> None:
        """Deliver what has waited, and what comes."""
        self._corked = False
        self._send()

    @property
    def _waits(self) -> bool:
        return self._corked or self._head is not None

    def close(self) -> None:
        """Leave at once."""
        if self.fd < 0:
            return
        self.loop.forget(self.fd)
        os.close(self.fd)
        self.fd = -1
        self._out.clear()
        self._size = 0
        for timer in (self._linger, self._head):
            if timer is not None:
                timer.cancel()
        self.gone(self)

    def _push(self, data: bytes) -> None:
        self._out.append(data)
        self._size += len(data)

    def _send(self) -> None:
        if self._waits or self.fd < 0:
            return
        out = self._out
        if out and self._head_pause and self._head_unread():
            return
        was_full = self.full
        try:
            while out:
                sent = os.writev(self.fd, [out[index] for index in range(min(len(out), 64))])
                self._size -= sent
                while out and sent >= len(out[0]):
                    sent -= len(out.popleft())
                if sent:
                    out[0] = memoryview(out[0])[sent:]
        except BlockingIOError:
            pass
        except OSError:
            self._mute()
        if was_full and not self.full:
            self.drained(self)
        if not out and self._finishing:
            self._say_goodbye()
        self._interest()

    def _head_unread(self) -> bool:
        """docker-py reads the head of its answer through a buffer that it then leaves: what came together with it would be
        lost. So the first output waits, for a while, until the head has been read (unix(7), SIOCOUTQ)."""
        if self._head_pause > HEAD_PATIENCE or not self._unread():
            self._head_pause = 0.0
            return False
        self._head = self.loop.after(self._head_pause, self._look_again)
        self._head_pause *= 2
        return True

    def _unread(self) -> int:
        """What was sent and the client has not read (unix(7)) or not acknowledged (tcp(7)), as the kernel measures it."""
        waiting = bytearray(4)
        with contextlib.suppress(OSError):
            fcntl.ioctl(self.fd, _SIOCOUTQ, waiting)
        return int.from_bytes(waiting, sys.byteorder)

    def _look_again(self) -> None:
        self._head = None
        self._send()

    def _say_goodbye(self) -> None:
        if self._linger is None and self.fd >= 0:
            sock = socket.socket(fileno=self.fd)
            try:
                sock.shutdown(socket.SHUT_WR)
            except OSError:
                self._linger = self.loop.after(0, self.close)
            else:
                self._stay(self._unread())
            finally:
                sock.detach()

    def _stay(self, unread: int) -> None:
        self._linger = self.loop.after(LINGER if self._hearing else 0, lambda: self._leave(unread))

    def _leave(self, before: int) -> None:
        unread = self._unread()
        if self._hearing and unread < before:
            self._stay(unread)
        else:
            self.close()

    def _interest(self) -> None:
        if self.fd < 0:
            return
        events = (IN if self._hearing and not self._waiting else 0) | (OUT if self._out and not self._waits else 0)
        if not events and self._waiting:
            # Not watched at all while stdin is slow, or a client that hangs up would be reported for ever.
            events = -1
        if events == self._events:
            return
        if events < 0:
            self.loop.forget(self.fd)
        elif self._events < 0:
            self.loop.watch(self.fd, events, self._ready)
        else:
            self.loop.change(self.fd, events)
        self._events = events

    def _resume(self) -> None:
        self._waiting = False
        self._interest()

    def _mute(self) -> None:
        """The client takes no more output; what it has sent is still worth reading."""
        self.streams = frozenset()
        self._out.clear()
        self._size = 0
        if not self._hearing:
            self.close()

    def _ready(self, events: int) -> None:
        if events & OUT:
            self._send()
        if self.fd >= 0 and events & (IN | ENDED):
            self._hear(events)

    def _hear(self, events: int) -> None:
        try:
            data = os.read(self.fd, CHUNK) if self._hearing else b""
        except BlockingIOError:
            return
        except OSError:
            data, events = b"", events | ENDED
        if data:
            self._feed(data)
            return
        if self._hearing:
            self._hearing = False
            stdin = self._input
            if stdin is not None and self.once:
                stdin.end()
            elif stdin is not None:
                self.close()
                return
        if events & ENDED or self._linger is not None:
            self.close()
            return
        self._interest()

    def _feed(self, data: bytes) -> None:
        stdin = self._input
        if self._keys and self.wants_input and not self._finishing:
            data, leave = self._escape(data)
            if leave:
                if stdin is not None:
                    stdin.write(data)
                self.detached(self)
                self.close()
                return
        if stdin is not None:
            stdin.write(data)
            if stdin.hold(self._resume):
                self._waiting = True
                self._interest()

    def _escape(self, data: bytes) -> tuple[bytes, bool]:
        """What remains of ``data`` when the detach keys are taken out, and whether they are complete."""
        keys, matched = self._keys, self._matched
        if not matched and keys[0] not in data:
            return data, False
        out = bytearray()
        for byte in data:
            if byte == keys[matched]:
                matched += 1
                if matched == len(keys):
                    return bytes(out), True
                continue
            out += keys[:matched]
            matched = int(byte == keys[0])
            if not matched:
                out.append(byte)
        self._matched = matched
        return bytes(out), False


def _nothing(_client: Client) -> None:
    """Before somebody listens."""
