"""A real server on a real socket, with routes of the tests' own in place of the engine's."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tare.api.answer import Answer, Hijacked, Stream, as_json
from tare.api.call import HIJACKED, Call
from tare.api.router import Route, Router
from tare.api.server import Listeners, Server
from tare.api.service import Service
from tare.errors import Conflict, NotModified


class Happenings:
    """What the routes report to the test, across the threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.seen: list[str] = []

    def note(self, what: str) -> None:
        with self._changed:
            self.seen.append(what)
            self._changed.notify_all()

    def wait(self, what: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: what in self.seen, 10), f"{what} never happened, only {self.seen}"


class Served:
    """The server in a thread with a loop of its own."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "api.sock"
        self.spool = directory
        self.happenings = Happenings()
        self.loop = asyncio.new_event_loop()
        self.go = asyncio.Event()
        self.slow = asyncio.Event()
        self._thread = threading.Thread(target=self._run, args=(threading.Event(),), daemon=True)

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/hello", self.hello),
            Route("GET", "/things/{name...}/json", self.named),
            Route("GET", "/things/{ref}/one", self.named),
            Route("POST", "/echo", self.echo),
            Route("POST", "/object", self.object),
            Route("POST", "/spooled", self.spooled),
            Route("GET", "/stream", self.stream, watched=True),
            Route("GET", "/flood", self.flood, watched=True),
            Route("POST", "/wait", self.waiting, watched=True),
            Route("POST", "/change", self.change),
            Route("POST", "/hijack", self.hijack),
            Route("GET", "/conflict", self.conflict),
            Route("GET", "/same", self.same),
            Route("GET", "/defect", self.defect),
        ]

    async def hello(self, call: Call) -> Answer:
        return as_json({"version": call.version, "query": call.query})

    async def named(self, call: Call) -> Answer:
        return as_json(call.parameters)

    async def echo(self, call: Call) -> Answer:
        return Answer(200, await call.connection.body(1 << 20), "application/octet-stream")

    async def object(self, call: Call) -> Answer:
        return as_json(await call.json())

    async def spooled(self, call: Call) -> Answer:
        file = await call.spool()
        with file:
            data = file.read()
        return as_json({"size": len(data), "sum": sum(data) % 65536})

    async def stream(self, call: Call) -> Stream:
        return Stream(self.pieces(), "text/plain")

    async def pieces(self) -> AsyncIterator[bytes]:
        try:
            self.happenings.note("streaming")
            await self.go.wait()
            yield b"one"
            yield b"two"
        finally:
            self.happenings.note("stream closed")

    async def flood(self, call: Call) -> Stream:
        return Stream(self.endless(), "text/plain")

    async def endless(self) -> AsyncIterator[bytes]:
        try:
            sent = 0
            while True:
                sent += 1
                self.happenings.seen = [f"{sent}"]
                yield b"x" * 8192
        finally:
            self.happenings.note("flood closed")

    async def waiting(self, call: Call) -> Answer:
        try:
            self.happenings.note("waiting")
            await self.go.wait()
        except asyncio.CancelledError:
            self.happenings.note("cancelled")
            raise
        return Answer(204)

    async def change(self, call: Call) -> Answer:
        self.happenings.note("changing")
        await self.slow.wait()
        self.happenings.note("changed")
        return Answer(204)

    async def hijack(self, call: Call) -> Hijacked:
        early = await call.hijack(multiplexed=True)
        self.happenings.note("hijacked")
        peer = call.connection.sock.dup()
        peer.setblocking(True)

        def talk() -> None:
            data = early
            with peer:
                while not data.endswith(b"\n"):
                    piece = peer.recv(100)
                    if not piece:
                        return
                    data += piece
                peer.sendall(b"you said " + data)

        threading.Thread(target=talk).start()
        return HIJACKED

    async def conflict(self, call: Call) -> Answer:
        raise Conflict("container web is running", subject="web", hint="stop it first")

    async def same(self, call: Call) -> Answer:
        raise NotModified("already so")

    async def defect(self, call: Call) -> Answer:
        raise ZeroDivisionError("secret")

    def start(self) -> None:
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(10)

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self.loop)
        self._stop = asyncio.Event()

        async def life() -> None:
            listeners = Listeners()
            listeners.open([f"unix://{self.path}", "tcp://127.0.0.1:0"], group="", allow_plain_tcp=True)
            self.port = listeners.sockets[1].getsockname()[1]
            self.server = Server(Service(None, Router(self.routes()), self.spool, "tare/test"), listeners)  # type: ignore[arg-type]
            self.server.start()
            ready.set()
            await self._stop.wait()
            await self.server.close(10)

        self.loop.run_until_complete(life())

    def call(self, function: Callable[[], object]) -> None:
        self.loop.call_soon_threadsafe(function)

    def begin_stop(self) -> None:
        self.call(self._stop.set)

    def stop(self) -> None:
        self.begin_stop()
        self._thread.join(20)
        assert not self._thread.is_alive()
        self.loop.close()

    def connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(10)
        sock.connect(str(self.path))
        return sock

    def connect_by_tcp(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 10)

    def ask(self, data: bytes) -> bytes:
        """Send raw bytes, close our side, read to the end."""
        with self.connect() as sock:
            try:
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
            except BrokenPipeError:
                pass
            return everything(sock)


def everything(sock: socket.socket) -> bytes:
    data = b""
    try:
        while piece := sock.recv(65536):
            data += piece
    except ConnectionResetError:
        pass
    return data


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    server = Served(tmp_path)
    server.start()
    yield server
    server.stop()
