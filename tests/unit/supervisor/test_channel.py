"""Conversations with a peer that does not read for a while, at both ends."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tare.engine.supervision import Supervision
from tare.errors import Unavailable
from tare.supervisor import channel as channels
from tare.supervisor import messages, spawn
from tare.supervisor.channel import Channel
from tare.supervisor.loop import IN, Loop

from .conftest import DEADLINE, serve

SMALL = 4096
"""A send buffer that a few messages fill."""


class Ends:
    """A Channel on a loop of its own, and the peer's end of it."""

    def __init__(self) -> None:
        self.loop = Loop()
        ours, self.peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
        self.peer.settimeout(0)
        self.heard: list[int] = []
        self.ended = False
        self.channel = Channel(self.loop, ours, self._hear, self._end)

    def _hear(self, channel: Channel, _kind: str, serial: int, _body: dict[str, Any], _fds: list[int]) -> None:
        self.heard.append(serial)
        channel.answer(serial, {"text": "x" * 100})

    def _end(self, _channel: Channel) -> None:
        self.ended = True

    def run(self, until: Callable[[], object]) -> None:
        serve(self.loop, until)

    def read(self) -> list[tuple[str, int, dict[str, Any], list[int]]]:
        """What the peer finds now."""
        found = []
        while True:
            try:
                message = messages.receive(self.peer)
            except BlockingIOError:
                return found
            if message is None:
                return found
            found.append(message)


@pytest.fixture
def ends() -> Iterator[Ends]:
    one = Ends()
    yield one
    one.channel.close()
    one.peer.close()


def test_what_did_not_fit_comes_when_the_peer_reads(ends: Ends) -> None:
    """One message is kept back, and no later one comes to push it."""
    said = 0
    while True:
        said += 1
        ends.channel.send("event", said, {})
        if ends.channel._queue:
            break
    found: list[int] = []

    def all_read() -> bool:
        found.extend(serial for _kind, serial, _body, _fds in ends.read())
        return len(found) >= said

    ends.run(all_read)
    assert found == list(range(1, said + 1))


def test_requests_are_answered_in_order_by_one_who_is_not_read(ends: Ends) -> None:
    """Both directions are full at once; whoever asks reads only when it has asked everything."""
    for serial in range(1, 301):
        try:
            messages.send(ends.peer, "ask", serial, {})
        except BlockingIOError:
            ends.run(lambda serial=serial: len(ends.heard) == serial - 1)
            messages.send(ends.peer, "ask", serial, {})
    answers: list[int] = []

    def answered() -> bool:
        answers.extend(serial for _kind, serial, _body, _fds in ends.read())
        return len(answers) >= 300

    ends.run(answered)
    assert answers == list(range(1, 301))


def test_descriptors_that_wait_are_copies(ends: Ends) -> None:
    reading, writing = os.pipe()
    while not ends.channel._queue:
        ends.channel.send("event", 0, {}, [writing])
    os.close(writing)
    found: list[int] = []

    def all_read() -> bool:
        for _kind, _serial, _body, fds in ends.read():
            found.extend(fds)
        return not ends.channel._queue

    ends.run(all_read)
    all_read()
    for fd in found:
        os.close(fd)
    assert os.read(reading, 1) == b"", "every copy is closed"
    os.close(reading)


def test_a_peer_to_whom_nothing_can_be_said_is_given_up(ends: Ends) -> None:
    """Its answer is lost: it must not wait for that."""
    ends.channel.send("ok", 1, {}, [99_999])
    assert ends.ended and not ends.channel.open
    assert ends.peer.recv(1) == b""


def test_a_number_that_changes_hands_is_not_called_for_what_it_was() -> None:
    """Two descriptors are ready at once: the first handler closes the other, whose number is somebody else's then."""
    loop = Loop()
    ours, theirs = [], []
    for _ in range(2):
        one, other = socket.socketpair()
        other.send(b"x")
        ours.append(one)
        theirs.append(other)
    reading, writing = os.pipe()
    called: list[str] = []

    def first(at: int) -> None:
        other = ours[1 - at].fileno()
        for one in ours:
            loop.forget(one.fileno())
        os.dup2(reading, other)
        loop.watch(other, IN, lambda _events: called.append("stranger"))
        loop.after(0, loop.stop)

    for at in range(2):
        loop.watch(ours[at].fileno(), IN, lambda _events, at=at: first(at))
    loop.run()
    for sock in (*ours, *theirs):
        sock.close()
    os.close(reading)
    os.close(writing)
    assert called == []


def test_a_peer_that_never_reads_is_given_up(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "QUEUE", 50)
    for _ in range(200):
        ends.channel.send("event", 0, {})
    assert ends.ended


class Late:
    """A supervisor that says hello and then reads only when it is let."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listening.bind(str(root / spawn.SOCKET))
        self.listening.listen()

    def greet(self) -> None:
        self.hear()
        self.answer()

    def hear(self) -> None:
        self.peer, _ = self.listening.accept()
        self.peer.settimeout(DEADLINE)
        message = messages.receive(self.peer)
        assert message is not None and message[0] == "hello"
        self.hello = message[1]

    def answer(self) -> None:
        messages.send(self.peer, "ok", self.hello, {"pid": os.getpid(), "processes": []})

    def serve(self, count: int) -> list[int]:
        """Read and answer so many requests."""
        serials = []
        for _ in range(count):
            message = messages.receive(self.peer)
            assert message is not None
            serials.append(message[1])
            for fd in message[3]:
                os.close(fd)
            messages.send(self.peer, "ok", message[1], {})
        return serials

    def close(self) -> None:
        self.peer.close()
        self.listening.close()


@pytest.fixture
def late(tmp_path: Path) -> Iterator[Late]:
    one = Late(tmp_path / "run")
    yield one
    one.close()


async def connected(late: Late, root: Path, *, ready: bool = True) -> Supervision:
    one = Supervision(root, lambda _kind, _body: None, lambda: None)
    _, _ = await asyncio.gather(one.connect(), asyncio.to_thread(late.greet))
    if ready:
        one.go_on()
    assert one._sock is not None
    one._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
    return one


def test_a_supervisor_that_reads_late_answers_everybody(late: Late, tmp_path: Path) -> None:
    async def scene() -> list[int]:
        one = await connected(late, tmp_path / "run")
        asked = [one.ask("ask", {"text": "x" * 500}, [0]) for _ in range(300)]
        assert one._queue, "the socket did not fill"
        serials = await asyncio.to_thread(late.serve, 300)
        async with asyncio.timeout(DEADLINE):
            assert await asyncio.gather(*asked) == [{}] * 300
            again = one.ask("ask", {})
            await asyncio.to_thread(late.serve, 1)
            await again
        one._closed = True
        one._drop()
        return serials

    serials = asyncio.run(scene())
    assert serials == sorted(serials)


def test_what_had_not_been_sent_waits_for_the_next_supervisor(late: Late, tmp_path: Path) -> None:
    async def scene() -> None:
        one = await connected(late, tmp_path / "run")
        asked = [one.ask("ask", {"text": "x" * 500}) for _ in range(100)]
        waiting = len(one._queue)
        assert 0 < waiting < 100
        late.peer.close()
        async with asyncio.timeout(DEADLINE):
            with pytest.raises(Unavailable):
                await asked[0]
            _, _ = await asyncio.gather(one.connect(), asyncio.to_thread(late.greet))
            one.go_on()
            await asyncio.to_thread(late.serve, waiting)
            done = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(answer == {} for answer in done) == waiting
        one._closed = True
        one._drop()

    asyncio.run(scene())


def test_a_supervisor_that_dies_with_its_hello_is_not_taken_for_one_that_lives(late: Late, tmp_path: Path) -> None:
    async def scene() -> None:
        one = Supervision(tmp_path / "run", lambda _kind, _body: None, lambda: None)
        connecting = asyncio.ensure_future(one.connect())
        await asyncio.to_thread(late.hear)
        late.answer()  # without a turn of the loop in between
        late.peer.close()
        async with asyncio.timeout(DEADLINE):
            with pytest.raises(Unavailable, match="has gone away"):
                await connecting
        assert one.pid == 0

    asyncio.run(scene())


def test_what_may_be_done_twice_is_asked_of_the_next_supervisor(late: Late, tmp_path: Path) -> None:
    async def scene() -> None:
        one = await connected(late, tmp_path / "run")
        once, first, second = one.ask("once", {}), one.ask("kill", {}, again=True), one.ask("release", {}, again=True)
        answered = one.ask("kill", {}, again=True)
        assert not one._queue, "all four are in its hands"
        for _ in range(4):
            message = await asyncio.to_thread(messages.receive, late.peer)
            assert message is not None
        messages.send(late.peer, "ok", message[1], {})
        late.peer.close()
        async with asyncio.timeout(DEADLINE):
            await answered
            with pytest.raises(Unavailable, match="has gone away"):
                await once
            _, _ = await asyncio.gather(one.connect(), asyncio.to_thread(late.greet))
            assert not first.done()
            one.go_on()
            serials = await asyncio.to_thread(late.serve, 2)
            assert await asyncio.gather(first, second) == [{}, {}]
        assert serials == sorted(serials)
        late.peer.close()
        _, _ = await asyncio.gather(one.connect(), asyncio.to_thread(late.greet))
        one.go_on()
        assert not one._queue, "and then never again"
        one._closed = True
        one._drop()

    asyncio.run(scene())


def test_what_would_be_asked_again_is_refused_where_there_is_no_next(late: Late, tmp_path: Path) -> None:
    async def scene() -> None:
        one = await connected(late, tmp_path / "run")
        asked = one.ask("kill", {}, again=True)
        late.peer.close()
        async with asyncio.timeout(DEADLINE):
            await one._gone.wait()
            one.refuse("it cannot be started")
            with pytest.raises(Unavailable, match="it cannot be started"):
                await asked

    asyncio.run(scene())


def test_a_template_loads_before_the_supervisor_has_its_streams_back(late: Late, tmp_path: Path) -> None:
    async def scene() -> None:
        one = await connected(late, tmp_path / "run", ready=False)
        attach = one.ask("attach", {})
        template = one.ask("template", {})
        async with asyncio.timeout(DEADLINE):
            await asyncio.to_thread(late.serve, 1)
            await template
            assert not attach.done()
            one.go_on()
            await asyncio.to_thread(late.serve, 1)
            await attach
        one._closed = True
        one._drop()

    asyncio.run(scene())
