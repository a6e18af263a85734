"""The two directions of a process's stdio: what it writes (Output) and what it reads (Input)."""

from __future__ import annotations

import os

from tare.supervisor.loop import ENDED, IN, OUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from tare.supervisor.loop import Loop

CHUNK = 64 * 1024
"""Bytes taken in one read; larger pieces fall out of the processor's second-level cache."""
ROUNDS = 64
"""Reads of one ``drain``: a pipe's whole capacity many times over, but no endless writer."""
PENDING = 64 * 1024
"""Bytes that wait for a process to read its stdin before those who send are held back."""

STDOUT = 1
STDERR = 2


class Output:
    """A pipe or pty master that the process writes to. ``heard(number, data)`` gets every chunk; ``closed(output)`` comes once,
    at its end. A paused output is not read, so the process is held back by the pipe."""

    __slots__ = ("_closed", "_heard", "_watched", "fd", "loop", "number")

    def __init__(
        self, loop: Loop, fd: int, number: int, heard: Callable[[int, bytes], None], closed: Callable[[Output], None]
    ) -> None:
        os.set_blocking(fd, False)
        self.loop = loop
        self.fd = fd
        self.number = number
        self._heard = heard
        self._closed = closed
        self._watched = False
        self.resume()

    def resume(self) -> None:
        """Read again."""
        if not self._watched and self.fd >= 0:
            self._watched = True
            self.loop.watch(self.fd, IN, self._ready)

    def pause(self) -> None:
        """Leave what the process writes in the pipe."""
        # Unregistered, not merely deaf: epoll would report the end of a paused pipe for ever.
        if self._watched:
            self._watched = False
            self.loop.forget(self.fd)

    def drain(self) -> None:
        """Take everything that is there now, paused or not."""
        for _ in range(ROUNDS):
            if self.fd < 0 or not self._read():
                return

    def abandon(self) -> None:
        """From now on read and throw away until the last writer is gone: a process left behind must not die of SIGPIPE."""
        self._heard = _ignore
        self.resume()

    def close(self) -> None:
        """Close it; ``closed`` is called."""
        if self.fd < 0:
            return
        self.pause()
        os.close(self.fd)
        self.fd = -1
        self._closed(self)

    def _ready(self, _events: int) -> None:
        self._read()

    def _read(self) -> bool:
        try:
            data = os.read(self.fd, CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""  # EIO: the last slave of the pty is closed.
        if data:
            self._heard(self.number, data)
        else:
            self.close()
        return bool(data)


class Input:
    """The stdin of a process: a pipe, or a pty's master, which may come later (``connect``) and is ``endless``: a terminal
    has no end of file that closing could send."""

    __slots__ = ("_endless", "_last", "_pending", "_waiting", "_watched", "fd", "loop")

    def __init__(self, loop: Loop, fd: int = -1, *, endless: bool = False) -> None:
        self.loop = loop
        self.fd = -1
        self._endless = endless
        self._pending = bytearray()
        self._waiting: list[Callable[[], None]] = []
        self._last = False
        self._watched = False
        if fd >= 0:
            self.connect(fd)

    def connect(self, fd: int) -> None:
        """Begin to write, to ``fd``, which becomes the Input's own."""
        os.set_blocking(fd, False)
        self.fd = fd
        self._write()

    def write(self, data: bytes) -> None:
        """Give data to the process, now or when it reads. What comes after the end is thrown away."""
        if self._last:
            return
        self._pending += data
        self._write()

    def hold(self, resume: Callable[[], None]) -> bool:
        """Whether the sender must wait; if so ``resume`` is called once when it may go on."""
        if len(self._pending) < PENDING:
            return False
        self._waiting.append(resume)
        return True

    def end(self) -> None:
        """End of file after everything written so far."""
        if self._endless:
            return
        self._last = True
        self._write()

    def close(self) -> None:
        """Close at once; what is pending is lost."""
        self._last = True
        self._pending.clear()
        if self._watched:
            self.loop.forget(self.fd)
            self._watched = False
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        self._release()

    def _write(self, events: int = 0) -> None:
        if self.fd < 0:
            return
        try:
            while self._pending:
                del self._pending[: os.write(self.fd, self._pending)]
        except BlockingIOError:
            pass
        except OSError:  # EPIPE, EIO: nobody reads any more.
            self.close()
            return
        if events & ENDED or (self._last and not self._pending):
            self.close()
            return
        if bool(self._pending) != self._watched:
            self._watched = not self._watched
            if self._watched:
                self.loop.watch(self.fd, OUT, self._write)
            else:
                self.loop.forget(self.fd)
        if len(self._pending) < PENDING:
            self._release()

    def _release(self) -> None:
        waiting, self._waiting = self._waiting, []
        for resume in waiting:
            resume()


def _ignore(_number: int, _data: bytes) -> None:
    """Where abandoned output goes."""
