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

from tare.api import failures
from tare.api.answer import Answer, Stream
from tare.api.failures import Refused
from tare.api.http import Head, Malformed, Parser
from tare.api.outbox import Outbox

if TYPE_CHECKING:
    from tare.api.service import Service

REASONS = {status.value: status.phrase for status in HTTPStatus}

HEAD_SECONDS = 300.0
"""A head that has begun must be complete after this; an idle connection may stay for ever (as dockerd has it)."""

CHUNK = 64 * 1024
SPOOL_CHUNK = 1 << 20
LEFTOVER_LIMIT = 256 * 1024
"""How much of a body that nobody wanted is read to keep a connection; beyond that it is cheaper to close it."""

LINGER_SECONDS = 5.0


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
        self._http = Parser()
        self._hijacked = False
        self._last = False
        self._answering = False
        self._head_only = False
        self._chunked = True

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
            self._head_only = request.method == "HEAD"
            self._chunked = request.minor > 0
            answer = await self._service.answer(self, request)
        except (Malformed, TimeoutError) as error:
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

    async def _head(self) -> Head | None:
        head = self._http.head()
        if head is None and not self._http.begun:
            await self._receive()
            head = self._http.head()
        if head is None and not self._http.ended:
            async with asyncio.timeout(HEAD_SECONDS):
                while head is None and not self._http.ended:
                    await self._receive()
                    head = self._http.head()
        return head

    async def _receive(self) -> None:
        self._http.feed(await self._loop.sock_recv(self.sock, CHUNK))

    async def _whole(self, answer: Answer) -> None:
        bare = answer.status in (204, 304)
        out = self._head_of(answer, "" if bare else f"Content-Length: {len(answer.body)}\r\n")
        self._answering = True
        await self._loop.sock_sendall(self.sock, out if bare or self._head_only else out + answer.body)

    async def _stream(self, stream: Stream) -> None:
        out = Outbox(self.sock, self._loop)
        try:
            with self.watching():
                if not self._chunked:
                    self._last = True  # HTTP/1.0 knows the end of a stream by the end of the connection
                head = self._head_of(stream, "Transfer-Encoding: chunked\r\n" if self._chunked else "")
                self._answering = True
                await self._loop.sock_sendall(self.sock, head)
                if self._head_only:
                    return
                async for piece in stream.pieces:
                    if piece:
                        await out.write(b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked else piece)
                if self._chunked:
                    await out.write(b"0\r\n\r\n")
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

    def _head_of(self, answer: Answer | Stream, framing: str) -> bytes:
        lines = f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, '')}\r\n{self._service.headers}Date: {_date()}\r\n"
        if answer.kind:
            lines += f"Content-Type: {answer.kind}\r\n"
        for name, value in answer.headers.items():
            if "\r" in value or "\n" in value:
                raise ValueError(f"the header {name} would end its line: {value!r}")
            lines += f"{name}: {value}\r\n"
        if self._last or not self._http.keep:
            framing += "Connection: close\r\n"
        return f"{lines}{framing}\r\n".encode("latin-1")

    async def _reject(self, error: Exception) -> None:
        """Malformed HTTP: say what is wrong, if that is still possible, and close."""
        if self._answering:
            return
        if isinstance(error, Malformed):
            refusal = Refused(error.status, f"malformed HTTP request: {error}")
        else:
            refusal = Refused(408, "the request's head took too long")
        self._last = True
        self._head_only = False
        await self._whole(failures.answer(refusal))
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    async def _next(self) -> bool:
        """Read what is left of the body and get ready for the next request; False when the connection should end."""
        left = 0
        while self._http.in_body:
            if self._http.expects:
                return False  # it will not send what nobody asked for
            data = self._http.body()
            if data is None:
                await self._receive()
                continue
            left += len(data)
            if left > LEFTOVER_LIMIT:
                await self._linger()
                return False
        if self._last or not self._http.keep:
            return False
        self._http.next()
        self._answering = False
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
        if self._http.expects:
            self._http.expects = False
            await self._loop.sock_sendall(self.sock, b"HTTP/1.1 100 Continue\r\n\r\n")
        while (data := self._http.body()) is None:
            await self._receive()
        return data

    async def body(self, limit: int) -> bytes:
        """The whole body. Refused with 413 when it is longer than ``limit`` bytes."""
        whole = await self._data()
        if not self._http.in_body:
            return whole
        pieces = [whole]
        size = len(whole)
        while True:
            piece = await self._data()
            if not piece and not self._http.in_body:
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
            while self._http.in_body:
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
        while self._http.in_body:
            await self._data()
        self._hijacked = True
        await self._loop.sock_sendall(self.sock, head)
        return self._http.rest()


_stamp = (0, "")


def _date() -> str:
    global _stamp
    now = int(time.time())
    if _stamp[0] != now:
        _stamp = (now, formatdate(now, usegmt=True))
    return _stamp[1]
