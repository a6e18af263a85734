"""One conversation over a SEQPACKET socket that never makes the supervisor wait."""

from __future__ import annotations

import os
from collections import deque

from tare.supervisor import messages
from tare.supervisor.loop import ENDED, IN, OUT
from tare.supervisor.messages import close_all, fields
from tare.supervisor.notes import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from tare.errors import TareError
    from tare.supervisor.loop import Loop
    from tare.supervisor.messages import Body

    Hear = Callable[["Channel", str, int, Body, list[int]], None]

TURN = 16
"""Messages read before other descriptors get their turn."""
QUEUE = 10_000
"""Messages waiting for a peer that does not read, before the peer is given up."""


class Channel:
    """Sends what it can at once and the rest when the peer reads again; hears by ``hear(channel, kind, serial, body, fds)``,
    which owns the descriptors; calls ``ended(channel)`` once when the peer is gone."""

    __slots__ = ("_ended", "_hear", "_queue", "_writable", "loop", "sock")

    def __init__(self, loop: Loop, sock: socket.socket, hear: Hear, ended: Callable[[Channel], None]) -> None:
        sock.setblocking(False)
        self.loop = loop
        self.sock = sock
        self._hear = hear
        self._ended = ended
        self._queue: deque[tuple[str, int, Body, list[int]]] = deque()
        self._writable: Callable[[], None] | None = None
        loop.watch(sock.fileno(), IN, self._ready)

    @property
    def open(self) -> bool:
        return self.sock.fileno() >= 0

    def send(self, kind: str, serial: int, body: Body, fds: Sequence[int] = ()) -> None:
        """Say it now or later. The descriptors stay the caller's. Silent when the peer is gone: ``ended`` tells. A peer to whom
        it cannot be said for another reason is given up, or it would wait for ever."""
        if not self.open:
            return
        if not self._queue:
            try:
                messages.send(self.sock, kind, serial, body, list(fds))
                return
            except BlockingIOError:
                pass
            except (BrokenPipeError, ConnectionResetError):
                return
            except OSError as error:
                note(f"a peer is given up: cannot send {kind}: {error}")
                self.close()
                return
        self._queue.append((kind, serial, body, [os.dup(fd) for fd in fds]))
        if len(self._queue) == 1:
            self._interest()
        if len(self._queue) > QUEUE:
            note("a peer does not read; it is given up")
            self.close()

    def answer(self, serial: int, body: Body, fds: Sequence[int] = ()) -> None:
        """The good answer to a request."""
        self.send("ok", serial, body, fds)

    def refuse(self, serial: int, error: TareError) -> None:
        """The bad answer to a request."""
        self.send("error", serial, fields(error))

    def send_raw(self, parts: list[bytes]) -> bool:
        """Send one packet that is no message; False when the peer cannot take it now. Raises OSError when it is gone."""
        if self._queue:
            return False
        try:
            self.sock.sendmsg(parts, (), 0x4000)  # MSG_NOSIGNAL
        except BlockingIOError:
            return False
        return True

    def when_writable(self, action: Callable[[], None]) -> None:
        """Call ``action`` once, when the peer reads again."""
        self._writable = action
        self._interest()

    def close(self) -> None:
        """End the conversation; ``ended`` is called."""
        if not self.open:
            return
        self.loop.forget(self.sock.fileno())
        self.sock.close()
        for _kind, _serial, _body, fds in self._queue:
            close_all(fds)
        self._queue.clear()
        self._ended(self)

    def _interest(self) -> None:
        waiting = self._queue or self._writable is not None
        self.loop.change(self.sock.fileno(), IN | OUT if waiting else IN)

    def _ready(self, events: int) -> None:
        if events & OUT:
            self._flush()
        if events & (IN | ENDED):
            for _ in range(TURN):
                if not self.open or not self._read():
                    return

    def _read(self) -> bool:
        try:
            message = messages.receive(self.sock, self.loop.room)
        except BlockingIOError:
            return False
        except (OSError, ValueError) as error:
            note(f"a peer is given up: {error}")
            message = None
        if message is None:
            self.close()
            return False
        self._hear(self, *message)
        return True

    def _flush(self) -> None:
        while self._queue:
            kind, serial, body, fds = self._queue[0]
            try:
                messages.send(self.sock, kind, serial, body, fds)
            except BlockingIOError:
                return
            except OSError as error:
                note(f"a peer is given up: cannot send {kind}: {error}")
                self.close()
                return
            self._queue.popleft()
            close_all(fds)
        action, self._writable = self._writable, None
        if action is not None:
            action()
        if self.open:
            self._interest()
