"""tared's end of the conversation with the supervisor (tare.supervisor.messages)."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tare.errors import TareError, Unavailable, from_fields
from tare.supervisor import messages, spawn

log = logging.getLogger(__name__)

Body = dict[str, Any]

STOP_DEADLINE = 10.0


FIRST = ("hello", "resume", "template")
"""What a new supervisor hears before anything else: who wants to attach or resize needs the streams to be there, and a template
takes its time to load."""
AGAIN = ("clean", "forget")
"""What is told once more to a supervisor whose predecessor may have died with it in hand. Twice does no harm."""
RECENT = 1.0
"""Seconds in which it may have been in hand."""


class Supervision:
    """Asks the supervisor and hears from it. What is asked while there is none waits for the next; what had been sent when it
    went away fails, because nobody knows whether it was done, unless who asked says that it may be done ``again``."""

    def __init__(self, exec_root: Path, on_event: Callable[[str, Body], None], on_lost: Callable[[], None]) -> None:
        self._exec_root = exec_root
        self._on_event = on_event
        self._on_lost = on_lost
        self._sock: socket.socket | None = None
        self._room = messages.buffer()
        self._serial = 0
        self._asked: dict[int, asyncio.Future[Body]] = {}
        self._received: dict[int, list[int]] = {}
        self._again: dict[int, tuple[str, Body]] = {}
        self._queue: deque[tuple[str, int, Body, list[int]]] = deque()
        self._told: deque[tuple[float, str, Body]] = deque()
        self._closed = False
        self._ready = False
        self._gone = asyncio.Event()
        self.pid = 0

    async def connect(self) -> Body:
        """Connect (starting a supervisor if none runs) and say hello. Returns its answer; everything but ``resume`` waits until
        ``go_on``. Raises TareError, OSError."""
        sock = await asyncio.to_thread(spawn.connect_or_spawn, str(self._exec_root))
        sock.setblocking(False)
        self._sock = sock
        self._ready = False
        self._gone.clear()
        asyncio.get_running_loop().add_reader(sock, self._readable)
        try:
            hello = await self.ask("hello", {"versions": [messages.OLDEST, messages.VERSION], "pid": os.getpid()})
        except TareError:
            self._drop()
            raise
        if self._sock is not sock:
            # Its end was read together with its answer, and of one that was not known yet nobody was told.
            raise Unavailable("the supervisor has gone away", hint="it is being restarted; try again")
        self.pid = int(hello["pid"])
        return hello

    def go_on(self) -> None:
        """The supervisor has everything that it must have first."""
        self._ready = True
        if self._sock is not None and self._queue:
            asyncio.get_running_loop().add_writer(self._sock, self._writable)

    def ask(
        self, kind: str, body: Body, fds: Sequence[int] = (), received: list[int] | None = None, *, again: bool = False
    ) -> asyncio.Future[Body]:
        """Send a request; the future gives the answer or raises the supervisor's TareError. Descriptors that come with the
        answer are put into ``received`` and are then the caller's. What may be done twice without harm, and brings no
        descriptors, is asked ``again`` of the next supervisor when this one dies with it in hand."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Body] = loop.create_future()
        if self._sock is None and self._closed:
            future.set_exception(Unavailable("the daemon is going down"))
            return future
        self._serial += 1
        self._asked[self._serial] = future
        if received is not None:
            self._received[self._serial] = received
        if again:
            self._again[self._serial] = kind, body
        try:
            self._send(kind, self._serial, body, fds)
        except OSError as error:
            self._fail(self._serial, Unavailable(f"the supervisor cannot be reached: {error.strerror}"))
        return future

    def tell(self, kind: str, body: Body, fds: Sequence[int] = ()) -> None:
        """Ask for something that needs no answer; of a failure the supervisor takes note. What is asked after it is done
        after it."""
        if self._sock is None and self._closed:
            return
        if kind in AGAIN:
            self._recent().append((asyncio.get_running_loop().time(), kind, body))
        try:
            self._send(kind, 0, body, fds)
        except OSError as error:
            log.warning("supervisor: %s: %s", kind, error)

    def _recent(self) -> deque[tuple[float, str, Body]]:
        limit = asyncio.get_running_loop().time() - RECENT
        while self._told and self._told[0][0] < limit:
            self._told.popleft()
        return self._told

    def _send(self, kind: str, serial: int, body: Body, fds: Sequence[int] = ()) -> None:
        """Now, or when the supervisor reads again, or to the next one."""
        if self._sock is None and kind == "resume":
            raise BrokenPipeError(32, os.strerror(32))  # the next one is told by whoever adopts it
        if self._sock is not None and (not self._queue if self._ready else kind in FIRST):
            try:
                messages.send(self._sock, kind, serial, body, list(fds))
                return
            except (BlockingIOError, BrokenPipeError, ConnectionResetError):
                if not self._ready:
                    raise
                # Without a peer the writer soon finds out, and then it waits for the next.
                asyncio.get_running_loop().add_writer(self._sock, self._writable)
        self._queue.append((kind, serial, body, [os.dup(fd) for fd in fds]))

    def refuse(self, why: str) -> None:
        """There is no supervisor for the time being: whoever waits for one is told so. What nobody waits for stays."""
        queue = self._queue
        self._queue = deque(waiting for waiting in queue if not (waiting[1] or waiting[3]))
        for _kind, serial, _body, fds in queue:
            self._fail(serial, Unavailable(f"there is no supervisor: {why}", hint="it is being started; try again"))
            for fd in fds:
                os.close(fd)

    def _writable(self) -> None:
        assert self._sock is not None
        while self._queue:
            kind, serial, body, fds = self._queue[0]
            try:
                messages.send(self._sock, kind, serial, body, fds)
            except BlockingIOError:
                return
            except OSError:
                self._lost()
                return
            self._queue.popleft()
            for fd in fds:
                os.close(fd)
        asyncio.get_running_loop().remove_writer(self._sock)

    def catch_up(self) -> None:
        """Hear what has been said already: somebody saw a stream end, and asks how before the loop came to tell."""
        self._readable()

    def _readable(self) -> None:
        while self._sock is not None:
            try:
                message = messages.receive(self._sock, self._room)
            except BlockingIOError:
                return
            except (OSError, ValueError) as error:
                log.error("supervisor: %s", error)
                message = None
            if message is None:
                self._lost()
                return
            kind, serial, body, fds = message
            future = self._asked.pop(serial, None)
            received = self._received.pop(serial, None)
            self._again.pop(serial, None)
            if received is not None and future is not None and not future.done():
                received += fds
            else:
                for fd in fds:
                    os.close(fd)
            if serial == 0:
                self._on_event(kind, body)
                continue
            if future is None or future.done():
                continue
            if kind == "ok":
                future.set_result(body)
            else:
                future.set_exception(from_fields(**body))

    def _lost(self) -> None:
        known, self.pid = self.pid, 0
        self._drop()
        if self._closed:
            self.refuse("the daemon is going down")
        elif known:
            self._queue.extendleft((kind, 0, body, []) for _at, kind, body in reversed(self._recent()))
            self._told.clear()
            self._on_lost()

    def _drop(self) -> None:
        if self._sock is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._sock)
        loop.remove_writer(self._sock)
        self._sock.close()
        self._sock = None
        self._gone.set()
        queued = {waiting[1] for waiting in self._queue}
        self._queue.extendleft(
            (kind, serial, body, []) for serial, (kind, body) in reversed(self._again.items()) if serial not in queued
        )
        for serial in self._asked.keys() - queued - self._again.keys():
            self._fail(serial, Unavailable("the supervisor has gone away", hint="it is being restarted; try again"))

    def _fail(self, serial: int, error: TareError) -> None:
        self._received.pop(serial, None)
        self._again.pop(serial, None)
        future = self._asked.pop(serial, None)
        if future is not None and not future.done():
            future.set_exception(error)

    async def leave(self) -> None:
        """Leave; the supervisor and every container go on. With no container to look after it ends as well."""
        self._closed = True
        self.go_on()
        try:
            async with asyncio.timeout(STOP_DEADLINE):
                await self.ask("stop", {})
                await self._gone.wait()
        except (TareError, TimeoutError):
            self._drop()
        self.refuse("the daemon is going down")
