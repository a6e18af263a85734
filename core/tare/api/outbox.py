"""The way out of a stream: small pieces leave together as soon as the producer pauses, and a slow reader is waited for."""

from __future__ import annotations

import asyncio
import socket

LIMIT = 64 * 1024


class Outbox:
    """Bytes on their way to a non-blocking socket.

    A producer that has much to say without waiting (a long log) is written in pieces of LIMIT; one that waits has its
    last words on the wire at once, since the flush is scheduled with the event loop when the first piece arrives.
    """

    def __init__(self, sock: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        self._sock = sock
        self._loop = loop
        self._pieces: list[bytes] = []
        self._size = 0
        self._scheduled = False
        self._sending: asyncio.Task[None] | None = None

    async def write(self, piece: bytes) -> None:
        """Take a piece; waits only when more than LIMIT is pending. Raises OSError once the client is gone."""
        if self._sending and self._sending.done():
            self._sending.result()
        self._pieces.append(piece)
        self._size += len(piece)
        if not self._scheduled and self._sending is None:
            self._scheduled = True
            self._loop.call_soon(self._start)
        if self._size >= LIMIT:
            await self.drain()

    async def drain(self) -> None:
        """Wait until everything taken so far is with the kernel."""
        while self._pieces or self._sending:
            self._start()
            if self._sending:
                await asyncio.shield(self._sending)

    async def close(self) -> None:
        """Stop sending; what is pending is lost."""
        self._pieces.clear()
        if self._sending:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)

    def _start(self) -> None:
        self._scheduled = False
        if self._pieces and self._sending is None:
            data = self._gathered()
            try:
                sent = self._sock.send(data)
            except OSError:
                sent = 0  # no room, or nobody there: the task finds out which
            if sent < len(data):
                self._sending = self._loop.create_task(self._send(data[sent:]))
                self._sending.add_done_callback(_looked_at)

    def _gathered(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        return data

    async def _send(self, data: bytes) -> None:
        while data:
            await self._loop.sock_sendall(self._sock, data)
            data = self._gathered()
        # Here and not in a callback: between a task's end and its callbacks, waiting for it would not yield to the loop.
        self._sending = None


def _looked_at(task: asyncio.Task[None]) -> None:
    """A failure is told to the producer at its next word, if there is one."""
    if not task.cancelled():
        task.exception()
