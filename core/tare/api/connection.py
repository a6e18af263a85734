"""One client: requests one after the other, each answered before the next is read."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
import time
from collections.abc import Iterator
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import h11

from tare.api import failures
from tare.api.answer import Answer, Stream
from tare.api.failures import Refused
from tare.api.outbox import Outbox

if TYPE_CHECKING:
    from tare.api.service import Service

REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}

HEAD_LIMIT = 128 * 1024
"""Bytes of request line and headers."""

HEAD_SECONDS = 300.0
"""A head that has begun must be complete after this; an idle connection may stay for ever (as dockerd has it)."""

CHUNK = 64 * 1024
SPOOL_CHUNK = 1 << 20
LEFTOVER_LIMIT = 256 * 1024
"""How much of a body that nobody wanted is read to keep a connection; beyond that it is cheaper to close it."""

LINGER_SECONDS = 5.0

Event = h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]


class Gone(Exception):
    """The client has closed its side in the middle of something."""


class Connection:
    """A client's socket, non-blocking. ``busy``: a request is being answered; ``watched``: and it may be cancelled."""

    def __init__(self, sock: socket.socket, service: Service) -> None:
        self.sock = sock
        self.busy = False
        self.watched = False
        self._service = service
        self._loop = asyncio.get_running_loop()
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT)
        self._hijacked = False
        self._last = False
        self._head_only = False

    async def serve(self) -> None:
        """Answer until the client goes, an error makes the connection useless, or ``finish`` was called."""
        try:
            while await self._exchange():
                pass
        except (OSError, Gone):
            pass
        finally:
            self.sock.close()

    def finish(self) -> None:
        """Answer the request at hand, if any, and then close."""
        self._last = True

    # One request and its answer ---------------------------------------------------------------------------------------

    async def _exchange(self) -> bool:
        try:
            request = await self._head()
            if request is None:
                return False
            self.busy = True
            self._head_only = request.method == b"HEAD"
            answer = await self._service.answer(self, request)
        except (h11.RemoteProtocolError, TimeoutError) as error:
            await self._reject(error)
            return False
        if self._hijacked:
            return False
        if isinstance(answer, Stream):
            await self._stream(answer)
        elif isinstance(answer, Answer):
            await self._whole(answer)
        self.busy = False
        return await self._next()

    async def _head(self) -> h11.Request | None:
        event: Event = self._http.next_event()
        if event is h11.NEED_DATA and not self._http.trailing_data[0]:
            event = await self._receive()
        if event is h11.NEED_DATA:
            async with asyncio.timeout(HEAD_SECONDS):
                while event is h11.NEED_DATA:
                    event = await self._receive()
        return event if isinstance(event, h11.Request) else None

    async def _receive(self) -> Event:
        self._http.receive_data(await self._loop.sock_recv(self.sock, CHUNK))
        return self._http.next_event()

    async def _whole(self, answer: Answer) -> None:
        headers = self._headers(answer)
        if answer.status not in (204, 304):
            headers.append(("Content-Length", str(len(answer.body))))
        head = h11.Response(status_code=answer.status, headers=headers, reason=REASONS.get(answer.status, b""))
        out = self._http.send(head) or b""
        if answer.body and answer.status not in (204, 304) and not self._head_only:
            out += self._http.send(h11.Data(data=answer.body)) or b""
        out += self._http.send(h11.EndOfMessage()) or b""
        await self._loop.sock_sendall(self.sock, out)

    async def _stream(self, stream: Stream) -> None:
        out = Outbox(self.sock, self._loop)
        try:
            with self.watching():
                head = h11.Response(status_code=stream.status, headers=self._headers(stream), reason=b"OK")
                await self._loop.sock_sendall(self.sock, self._http.send(head) or b"")
                if self._head_only:
                    await self._loop.sock_sendall(self.sock, self._http.send(h11.EndOfMessage()) or b"")
                    return
                async for piece in stream.pieces:
                    if piece:
                        await out.write(self._http.send(h11.Data(data=piece)) or b"")
                await out.write(self._http.send(h11.EndOfMessage()) or b"")
                await out.drain()
        except Exception as error:
            # The head is out: breaking off without the last chunk is the only honest sign that is left.
            if not isinstance(error, OSError):
                failures.translate(error, "a stream")
            raise Gone from error
        finally:
            await out.close()
            close = getattr(stream.pieces, "aclose", None)
            if close:
                await close()

    def _headers(self, answer: Answer | Stream) -> list[tuple[str, str]]:
        headers = [*self._service.headers, ("Date", _date())]
        if answer.kind:
            headers.append(("Content-Type", answer.kind))
        headers.extend(answer.headers.items())
        if self._last:
            headers.append(("Connection", "close"))
        return headers

    async def _reject(self, error: Exception) -> None:
        """Malformed HTTP: say what is wrong, if that is still possible, and close."""
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        if isinstance(error, h11.RemoteProtocolError):
            refusal = Refused(error.error_status_hint, f"malformed HTTP request: {str(error).lower()}")
        else:
            refusal = Refused(408, "the request's head took too long")
        self._last = True
        await self._whole(failures.answer(refusal))
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    async def _next(self) -> bool:
        """Read what is left of the body and get ready for the next request; False when the connection should end."""
        left = 0
        while self._http.their_state is h11.SEND_BODY:
            if self._http.they_are_waiting_for_100_continue:
                return False  # it will not send what nobody asked for
            event: Event = self._http.next_event()
            if event is h11.NEED_DATA:
                event = await self._receive()
            if isinstance(event, h11.Data):
                left += len(event.data)
            if left > LEFTOVER_LIMIT:
                await self._linger()
                return False
        if self._last or self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def _linger(self) -> None:
        """Let a client that is still sending read its answer: over TCP, closing with data unread would take it away."""
        self.sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while await self._loop.sock_recv(self.sock, CHUNK):
                    pass

    # What a route may ask for -------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """While this lasts the connection's task is cancelled as soon as the client closes its side."""
        task = asyncio.current_task()
        assert task is not None

        descriptor = self.sock.fileno()

        def look() -> None:
            try:
                if self.sock.recv(1, socket.MSG_PEEK):
                    self._loop.remove_reader(descriptor)  # a pipelined request: it will be read in its turn
                    return
            except BlockingIOError:
                return
            except OSError:
                pass
            self._loop.remove_reader(descriptor)
            task.cancel()

        if self.watched:
            yield
            return
        self.watched = True
        self._loop.add_reader(descriptor, look)
        try:
            yield
        finally:
            self.watched = False
            self._loop.remove_reader(descriptor)

    async def _data(self) -> bytes:
        """The next piece of the body, or nothing at its end."""
        if self._http.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[])
            await self._loop.sock_sendall(self.sock, self._http.send(go_on) or b"")
        event: Event = self._http.next_event() if self._http.their_state is h11.SEND_BODY else h11.PAUSED
        while event is h11.NEED_DATA:
            event = await self._receive()
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    async def body(self, limit: int) -> bytes:
        """The whole body. Refused with 413 when it is longer than ``limit`` bytes."""
        whole = await self._data()
        if self._http.their_state is not h11.SEND_BODY:
            return whole
        pieces = [whole]
        size = len(whole)
        while True:
            piece = await self._data()
            if not piece and self._http.their_state is not h11.SEND_BODY:
                return b"".join(pieces)
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise Refused(413, f"the request's body is larger than {limit >> 20} MiB")

    async def spool(self) -> BinaryIO:
        """The whole body in a nameless file of the spool directory, written by a thread since a disk may stall."""
        file = cast(BinaryIO, tempfile.TemporaryFile(dir=self.spool_directory))  # noqa: SIM115
        try:
            pieces: list[bytes] = []
            size = 0
            while self._http.their_state is h11.SEND_BODY:
                piece = await self._data()
                pieces.append(piece)
                size += len(piece)
                if size >= SPOOL_CHUNK:
                    await asyncio.to_thread(file.write, b"".join(pieces))
                    pieces.clear()
                    size = 0
            await asyncio.to_thread(file.write, b"".join(pieces))
            file.seek(0)
        except BaseException as error:
            with contextlib.suppress(OSError):  # what is buffered yet may not find room either
                file.close()
            if isinstance(error, OSError) and error.errno in failures.FULL:
                error.filename = self.spool_directory
            raise
        return file

    @property
    def spool_directory(self) -> Path:
        return self._service.spool_directory

    async def write(self, data: bytes) -> None:
        """Send bytes as they are, on a hijacked connection."""
        await self._loop.sock_sendall(self.sock, data)

    async def hijack(self, head: bytes) -> bytes:
        """Send ``head``, let go of HTTP and return the bytes that were read beyond the request."""
        while self._http.their_state is h11.SEND_BODY:
            await self._data()
        self._http.next_event()
        early = self._http.trailing_data[0]
        self._hijacked = True
        await self._loop.sock_sendall(self.sock, head)
        return bytes(early)


_stamp = (0, "")


def _date() -> str:
    global _stamp
    now = int(time.time())
    if _stamp[0] != now:
        _stamp = (now, formatdate(now, usegmt=True))
    return _stamp[1]
