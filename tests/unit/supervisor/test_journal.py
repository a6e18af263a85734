"""What the supervisor keeps for a logger that is slow, hangs or dies."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tare.errors import TareError
from tare.supervisor import journal as journals
from tare.supervisor import messages
from tare.supervisor.channel import Channel
from tare.supervisor.journal import CHUNK, Journal
from tare.supervisor.loop import Loop

from .conftest import serve

WISH = {"driver": "local", "path": "/nowhere", "max_size": 0, "max_file": 1}


class FakeLogger:
    """The logger's end of the channel, read only when a test says so."""

    def __init__(self, loop: Loop, _role: str, _arguments: tuple[str], _hear: Any, *, lost: Any, started: Any) -> None:
        self.loop = loop
        self._lost, self._started = lost, started

    def start(self) -> None:
        ours, self.peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.peer.settimeout(0)
        self.channel = Channel(self.loop, ours, lambda *_: None, lambda _channel: None)
        self._started()

    def die(self) -> None:
        self.peer.close()
        self.channel.close()
        self._lost()

    def read(self, count: int = -1) -> list[tuple[str, int]]:
        """What it finds now (or so many): ``chunk`` or the kind of message, and the log's number."""
        found = []
        while count:
            try:
                packet = self.peer.recv(1 << 20)
            except BlockingIOError:
                break
            if packet[0]:
                kind, _serial, body = messages.decode(packet, [])
                found.append((kind, body["log"]))
            else:
                found.append(("chunk", CHUNK.unpack_from(packet)[2]))
            count -= 1
        return found


class Scene:
    def __init__(self) -> None:
        self.loop = Loop()
        self.journal = Journal(self.loop, "lock")
        self.logger: FakeLogger = self.journal._logger  # type: ignore[assignment]
        self.free: list[int] = []

    def fill(self, log: int) -> None:
        """Write until the writer is told to wait, and let it wait."""
        while self.journal.write(log, 1, b"x" * 65536):
            pass
        self.journal.when_free(log, lambda: self.free.append(log))

    def run(self, until: Callable[[], object]) -> None:
        serve(self.loop, until)


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(journals, "Companion", FakeLogger)
    one = Scene()
    yield one
    one.logger.channel.close()
    one.logger.peer.close()


def test_only_who_writes_much_is_held_back(scene: Scene) -> None:
    chatty, quiet = scene.journal.open(WISH), scene.journal.open(WISH)
    scene.fill(chatty)
    assert all(scene.journal.write(quiet, 1, b"a line\n") for _ in range(100))
    while scene.journal.write(quiet, 1, b"x" * 1000):
        pass
    assert scene.journal._logs[quiet].size < 2 * journals.SHARE, "and it is held back as well when it has had its share"


def test_logs_take_turns(scene: Scene) -> None:
    chatty, quiet = scene.journal.open(WISH), scene.journal.open(WISH)
    scene.fill(chatty)
    for _ in range(50):
        scene.journal.write(chatty, 1, b"y" * 65536)
    scene.journal.write(quiet, 1, b"a line\n")
    scene.journal.close(quiet)
    found: list[tuple[str, int]] = []

    def heard() -> bool:
        found.extend(scene.logger.read(1))
        return ("close", quiet) in found

    scene.run(heard)
    assert [packet for packet in found if packet[1] == quiet] == [("open", quiet), ("chunk", quiet), ("close", quiet)]
    assert scene.journal._logs[chatty].queue, "the other one has not had to finish first"
    scene.run(lambda: scene.logger.read() is not None and not scene.journal._turns)
    assert scene.free == [chatty]
    assert quiet not in scene.journal._logs


def test_a_logger_that_reads_slowly_does_not_hang(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes a packet now and then: too few for the socket to be writable again, and still it is at work."""
    monkeypatch.setattr(journals, "PATIENCE", 0.05)
    log = scene.journal.open(WISH)
    scene.fill(log)
    rounds = 0
    judged = scene.journal._judge

    def judge(progress: Any) -> None:
        nonlocal rounds
        rounds += 1
        if rounds < 4:
            scene.logger.read(1)
        judged(progress)

    monkeypatch.setattr(Journal, "_judge", lambda _self, progress: judge(progress))
    scene.run(lambda: rounds >= 3)
    assert not scene.journal._hung
    assert scene.free == []
    scene.run(lambda: scene.journal._hung)
    assert rounds >= 4, "and then it did"


def test_a_log_that_is_always_busy_is_watched_once(scene: Scene) -> None:
    log = scene.journal.open(WISH)
    for _ in range(20):
        scene.fill(log)
        scene.run(lambda: not scene.logger.read() and not scene.journal._turns)
    assert scene.free == [log] * 20
    assert sum(timer.action is not None and timer.due > 0 for timer in scene.loop._timers) <= 2


def test_a_logger_that_hangs_holds_nobody_up(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "PATIENCE", 0.05)
    log, other = scene.journal.open(WISH), scene.journal.open(WISH)
    scene.fill(log)
    told: list[TareError | None] = []
    scene.journal.flush(log, told.append)
    scene.run(lambda: scene.free)
    assert len(told) == 1 and told[0] is not None and "its disk hangs" in told[0].message
    assert scene.journal.write(log, 1, b"dropped"), "who writes now is not held back"
    assert scene.journal.write(other, 1, b"dropped")
    scene.run(lambda: scene.logger.read() and not scene.journal._hung)
    assert scene.journal.write(other, 1, b"heard")
    found = scene.logger.read()
    assert found[-2:] == [("open", other), ("chunk", other)] or found == [("chunk", other)]


def test_a_logger_that_recovers_only_in_part_is_watched_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "PATIENCE", 0.05)
    logs = [scene.journal.open({**WISH, "path": "/" + "x" * 4000}) for _ in range(500)]
    scene.fill(logs[0])
    for log in logs[1:]:
        scene.journal.write(log, 1, b"x")
    for _ in range(2):
        scene.run(lambda: scene.journal._hung)
        scene.run(lambda: scene.logger.read(1) and not scene.journal._hung)
        assert scene.journal._turns, "the openings of that many logs do not fit"


def test_a_log_that_was_closed_is_opened_by_the_next_logger_for_what_waits(scene: Scene) -> None:
    log = scene.journal.open(WISH)
    scene.fill(log)
    scene.journal.close(log)
    scene.logger.die()
    scene.logger.start()
    scene.run(lambda: not scene.journal._turns)
    assert scene.logger.read() == [("open", log), ("chunk", log), ("close", log)]
    assert log not in scene.journal._logs


def test_nothing_is_kept_of_logs_that_are_closed(scene: Scene) -> None:
    for spoken in (True, False):
        log = scene.journal.open(WISH)
        if spoken:
            scene.journal.write(log, 1, b"x")
        scene.journal.close(log)
    assert scene.journal._logs == {}
