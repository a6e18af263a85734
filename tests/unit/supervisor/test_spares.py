"""The supervisor is killed; who kept copies of the streams gives them to the next one, and nothing is missed."""

from __future__ import annotations

import asyncio
import os
import select
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tare.engine.spares import Spares
from tare.errors import Conflict, Invalid, NotFound, Unavailable
from tare.linux.process import start_time
from tare.supervisor import logfiles

from .conftest import DEADLINE, Peer, eventually, gone, until

Spare = tuple[dict[str, Any], list[int]]

ECHO = "while read word; do echo $word; done <{fifo}"


def spare(peer: Peer, container: str, exec: str = "") -> Spare:
    return peer.ask("spares", container=container, exec=exec), peer.received


def said(kept: Spare) -> dict[str, Any]:
    """The answer without the process that it is about, which is looked at."""
    answer = dict(kept[0])
    assert start_time(answer.pop("pid")) == answer.pop("start_time")
    return answer


def successor(peer: Peer, root: Path) -> Peer:
    """Kill the supervisor; the next one."""
    os.kill(peer.hello["pid"], signal.SIGKILL)
    gone(peer.hello["pid"])
    peer.close()
    next = Peer(root)
    assert next.hello["pid"] != peer.hello["pid"]
    return next


def resume(peer: Peer, container: str, kept: Spare, exec: str = "") -> None:
    body, fds = kept
    peer.ask("resume", tuple(fds), container=container, exec=exec, **body)
    for fd in fds:
        os.close(fd)


def listening(peer: Peer, fifo: Path, container: str = "c", **more: Any) -> int:
    """A process that repeats what comes in by ``fifo``; our end of it."""
    os.mkfifo(fifo)
    peer.start(container, "sh", "-c", ECHO.format(fifo=fifo), **more)
    return os.open(fifo, os.O_WRONLY)


@pytest.mark.parametrize("driver", ["local", "json-file"])
def test_output_goes_on_to_log_and_clients(peer: Peer, root: Path, tmp_path: Path, driver: str) -> None:
    path = str(tmp_path / "log")
    log = {"driver": driver, "path": path, "max_size": 0, "max_file": 1}
    say = listening(peer, tmp_path / "fifo", log=log)
    client = peer.attach("c", framed=False)
    os.write(say, b"one\n")
    until(client, b"one\n")
    kept = spare(peer, "c")
    assert said(kept) == {"streams": ["stdout", "stderr"], "stdin": False, "log": log}
    second = successor(peer, root)
    assert [one["adopted"] for one in second.hello["processes"]] == [True]
    os.write(say, b"said to nobody\n")
    with pytest.raises(Conflict):
        second.attach("c")
    resume(second, "c", kept)
    late = second.attach("c")
    os.write(say, b"two\n")
    assert until(late, b"two\n").endswith(b"two\n")
    second.ask("flush", container="c")
    assert [line for _stream, _at, line in logfiles.read(path, driver)] == [b"one\n", b"said to nobody\n", b"two\n"]
    os.close(say)
    assert second.exit("c")["code"] in (0, 255)
    second.ask("flush", container="c")
    assert Peer(root).hello["processes"] == []


def test_a_terminal_goes_on_in_both_directions(peer: Peer, root: Path) -> None:
    first = peer.attach("c", framed=False)
    peer.start("c", "sh", "-c", "stty -echo; echo ready; while read word; do echo $word; stty size; done", tty=True, stdin=True)
    until(first, b"ready")
    kept = spare(peer, "c")
    assert said(kept) == {"streams": ["terminal"], "stdin": True, "log": None}
    second = successor(peer, root)
    resume(second, "c", kept)
    client = second.attach("c", framed=False)
    second.ask("resize", container="c", exec="", rows=33, columns=77)
    client.sendall(b"typed\n")
    assert until(client, b"77\r\n") == b"typed\r\n33 77\r\n"


def test_what_is_spared_again_survives_again(peer: Peer, root: Path, tmp_path: Path) -> None:
    say = listening(peer, tmp_path / "fifo", exec="e")
    last = peer
    for number in range(3):
        kept = spare(last, "c", "e")
        last = successor(last, root)
        resume(last, "c", kept, "e")
        client = last.attach("c", "e", framed=False)
        os.write(say, b"%d\n" % number)
        assert until(client, b"\n") == b"%d\n" % number
    os.close(say)
    last.exit("c", "e")


def test_a_copy_keeps_the_process_from_a_broken_pipe(peer: Peer, root: Path, tmp_path: Path) -> None:
    with_copy = listening(peer, tmp_path / "with", "with")
    without = listening(peer, tmp_path / "without", "without")
    _body, fds = spare(peer, "with")
    second = successor(peer, root)
    os.write(without, b"x\n")
    assert second.exit("without")["code"] in (128 + signal.SIGPIPE, 255)
    os.write(with_copy, b"x\n")
    assert select.select([fds[0]], [], [], DEADLINE)[0]
    assert os.read(fds[0], 100) == b"x\n"
    for fd in fds:
        os.close(fd)
    os.close(with_copy)
    second.exit("with")


def logger(peer: Peer) -> int:
    """The pid of its logger."""
    pid = peer.hello["pid"]
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    (found,) = [child for child in children if b"\0logger\0" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return int(found)


def test_two_loggers_never_write_at_once(peer: Peer, root: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    log = {"driver": "json-file", "path": path, "max_size": 0, "max_file": 1}
    say = listening(peer, tmp_path / "fifo", log=log)
    client = peer.attach("c", framed=False)
    old = logger(peer)
    os.kill(old, signal.SIGSTOP)
    try:
        os.write(say, b"one\ntwo\n")
        until(client, b"two\n")
        kept = spare(peer, "c")
        second = successor(peer, root)
        resume(second, "c", kept)
        client = second.attach("c", framed=False)
        os.write(say, b"three\n")
        until(client, b"three\n")
        asked = second.send("flush", container="c")
        assert not os.path.exists(path) or os.path.getsize(path) == 0
    finally:
        os.kill(old, signal.SIGCONT)
    second.answer(asked)
    assert [line for _stream, _at, line in logfiles.read(path, "json-file")] == [b"one\n", b"two\n", b"three\n"]
    os.close(say)
    second.exit("c")


def test_a_line_is_logged_though_its_end_comes_after_the_supervisors(peer: Peer, root: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    log = {"driver": "json-file", "path": path, "max_size": 0, "max_file": 1}
    os.mkfifo(tmp_path / "fifo")
    peer.start("c", "cat", str(tmp_path / "fifo"), log=log)
    say = os.open(tmp_path / "fifo", os.O_WRONLY)
    client = peer.attach("c", framed=False)
    os.write(say, b"half")
    until(client, b"half")
    kept = spare(peer, "c")
    second = successor(peer, root)
    resume(second, "c", kept)
    os.write(say, b" whole\n")
    os.close(say)
    second.exit("c")
    second.ask("flush", container="c")
    assert b"".join(line for _stream, _at, line in logfiles.read(path, "json-file")) == b"half whole\n"


@pytest.mark.parametrize("when", ["before", "after"])
def test_last_words_that_nobody_heard_are_logged(peer: Peer, root: Path, tmp_path: Path, when: str) -> None:
    """It ends before it is resumed, ``before`` or ``after`` the next supervisor has come."""
    path = str(tmp_path / "log")
    log = {"driver": "json-file", "path": path, "max_size": 0, "max_file": 1}
    say = listening(peer, tmp_path / "fifo", log=log)
    kept = spare(peer, "c")
    last = peer
    if when == "after":
        last = successor(peer, root)
    else:
        os.kill(peer.hello["pid"], signal.SIGKILL)
        gone(peer.hello["pid"])
    os.write(say, b"last words\n")
    os.close(say)
    gone(kept[0]["pid"])
    if when == "before":
        last = Peer(root)
    last.event("exit", "c")
    resume(last, "c", kept)
    last.ask("flush", container="c")
    assert [line for _stream, _at, line in logfiles.read(path, "json-file")] == [b"last words\n"]
    last.ask("acknowledge", container="c", exec="")


def test_what_cannot_be_resumed(peer: Peer, root: Path, tmp_path: Path) -> None:
    say = listening(peer, tmp_path / "fifo")
    body, fds = spare(peer, "c")
    with pytest.raises(Conflict):
        peer.ask("resume", tuple(fds), container="c", exec="", **body)
    with pytest.raises(NotFound):
        peer.ask("spares", container="absent", exec="")
    second = successor(peer, root)
    held = Path(f"/proc/{second.hello['pid']}/fd")
    before = len(list(held.iterdir()))
    with pytest.raises(Invalid):
        second.ask("resume", tuple(fds[:1]), container="c", exec="", **body)
    with pytest.raises(Invalid):
        second.ask("resume", tuple(fds), container="c", exec="", **{**body, "streams": ["stdout", "stdin"]})
    eventually(lambda: len(list(held.iterdir())) == before)
    resume(second, "c", (body, fds))
    eventually(lambda: len(list(held.iterdir())) == before + 2)
    os.close(say)
    second.exit("c")
    eventually(lambda: len(list(held.iterdir())) < before + 2)


def test_copies_are_kept_when_the_next_supervisor_dies_as_well() -> None:
    """It is asked to resume one and dies; the one after it gets both."""
    asked: list[str] = []

    def supervision(*dead: str) -> Any:
        async def ask(kind: str, body: dict[str, Any], _fds: object = (), received: list[int] | None = None) -> dict[str, Any]:
            if kind == "spares" and received is not None:
                received.append(os.open("/dev/null", os.O_RDONLY))
                return {"streams": ["stdout"], "pid": os.getpid(), "start_time": 0}
            asked.append(body["container"])
            if body["container"] in dead:
                raise Unavailable("the supervisor has gone away")
            return {}

        return SimpleNamespace(ask=ask)

    async def scene() -> None:
        spares = Spares(supervision("one"), lambda work, _what: tasks.append(asyncio.ensure_future(work)))
        tasks: list[asyncio.Future[Any]] = []
        await spares._fetch([("one", ""), ("two", "")])
        adopted = [{"container": name, "exec": "", "exit": None, "adopted": True} for name in ("one", "two")]
        spares.hold()
        with pytest.raises(Unavailable):
            await spares.adopt(adopted)
        spares.drop("two")  # told meanwhile, while what it wrote may be in the copy alone
        spares._supervision = supervision()
        await spares.adopt(adopted)
        await asyncio.gather(*tasks)
        assert not spares.lost("one") and not spares.lost("two")
        spares.close()

    before = len(os.listdir("/proc/self/fd"))
    asyncio.run(scene())
    assert asked == ["one", "one", "two"]
    assert len(os.listdir("/proc/self/fd")) == before
