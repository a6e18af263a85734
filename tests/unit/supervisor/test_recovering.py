"""tared away, tared killed, the supervisor killed: containers go on and nothing is forgotten."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tare.engine import settle
from tare.errors import Unavailable
from tare.supervisor import companion, exits, spawn

from .conftest import Peer, eventually, gone, until


def processes(root: Path) -> Any:
    """What a tared is told that comes and goes again."""
    passing = Peer(root)
    passing.close()
    return passing.hello["processes"]


def test_an_exit_while_nobody_listens_is_told_later_until_acknowledged(peer: Peer, root: Path, tmp_path: Path) -> None:
    peer.start("c", "sh", "-c", "read x; exit 7", stdin=True, stdin_once=True, exit_record=str(tmp_path / "exit"))
    peer.start("c", "sh", "-c", "exit 8", exec="e")
    client = peer.attach("c")
    peer.close()
    client.close()
    eventually(lambda: (tmp_path / "exit").exists())
    eventually(lambda: all(one["exit"] for one in processes(root)))
    second = Peer(root)
    assert {(one["exec"], one["exit"]["code"]) for one in second.hello["processes"]} == {("", 7), ("e", 8)}
    assert second.event("exit", "c")["code"] == 7
    second.close()
    third = Peer(root)
    assert third.exit("c")["code"] == 7
    assert third.exit("c", "e")["code"] == 8
    assert Peer(root).hello["processes"] == []
    assert list((root / "processes").iterdir()) == []


def test_containers_and_logs_go_on_without_tared(peer: Peer, root: Path, tmp_path: Path) -> None:
    log = {"driver": "local", "path": str(tmp_path / "log"), "max_size": 0, "max_file": 1}
    peer.start("c", "sh", "-c", "echo one; read x; echo $x; exec sleep 1000", stdin=True, log=log)
    client = peer.attach("c", framed=False)
    peer.close()
    client.sendall(b"two\n")
    assert until(client, b"two\n")
    again = Peer(root)
    (process,) = again.hello["processes"]
    assert process["exit"] is None and process["pid"] > 1
    again.ask("flush", container="c")
    assert b"two\n" in (tmp_path / "log").read_bytes()


def test_a_new_supervisor_adopts_what_the_killed_one_left(peer: Peer, root: Path, tmp_path: Path) -> None:
    record = tmp_path / "exit"
    started = peer.start("c", "sleep", "1000", exit_record=str(record))
    os.kill(peer.hello["pid"], signal.SIGKILL)
    gone(peer.hello["pid"])
    peer.close()
    second = Peer(root)
    assert second.hello["pid"] != peer.hello["pid"]
    (process,) = second.hello["processes"]
    for key in ("pid", "start_time", "started_at"):
        assert process[key] == started[key]
    assert process["exit"] is None
    second.ask("signal", container="c", exec="", signal=15)
    exit = second.event("exit", "c")
    # Whoever inherits orphans here may take its time; then the honest answer is "unknown".
    assert exit["code"] == 143 or (exit["code"] == 255 and exit["unknown"])
    assert record.read_text().startswith(f"{exit['code']} ")
    second.ask("acknowledge", container="c", exec="")
    assert Peer(root).hello["processes"] == []


def test_a_process_that_ended_meanwhile_is_unknown_or_on_record(peer: Peer, root: Path, tmp_path: Path) -> None:
    record = tmp_path / "exit"
    peer.start("known", "sh", "-c", "exit 6", exit_record=str(record))
    peer.event("exit", "known")
    started = peer.start("lost", "sleep", "1000")
    os.kill(peer.hello["pid"], signal.SIGKILL)
    gone(peer.hello["pid"])
    peer.close()
    os.kill(started["pid"], signal.SIGKILL)
    gone(started["pid"])
    second = Peer(root)
    assert second.exit("known")["code"] == 6
    lost = second.exit("lost")
    assert lost["code"] == 137 or (lost["code"] == 255 and lost["unknown"])
    assert Peer(root).hello["processes"] == []


def test_the_exit_of_a_stranger_is_read_from_its_pidfd() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(42)
    pidfd = os.pidfd_open(pid)
    os.waitpid(pid, 0)
    try:
        status = exits.of_stranger(pidfd)
    finally:
        os.close(pidfd)
    if status is None:
        pytest.skip("the kernel has no PIDFD_GET_INFO with exit information (6.15)")
    assert os.waitstatus_to_exitcode(status) == 42


def test_a_torn_state_file_is_passed_over(root: Path) -> None:
    (root / "processes").mkdir(parents=True)
    (root / "processes" / "torn").write_bytes(b"\xfb\x00\x00")
    assert Peer(root).hello["processes"] == []
    assert b"torn is passed over" in (root / spawn.LOG).read_bytes()


def test_a_supervisor_whose_tared_was_killed_meanwhile_is_there_for_the_next(root: Path) -> None:
    root.mkdir()
    reading, writing = os.pipe()
    os.close(reading)
    with open(root / spawn.LOG, "ab") as log:
        maker = subprocess.Popen(companion.command("supervisor", [str(root)]), stdout=writing, stderr=log)
    os.close(writing)
    assert maker.wait() == 0
    eventually(lambda: (root / "supervisor.pid").exists() and (root / "supervisor.pid").read_text())
    made = int((root / "supervisor.pid").read_text())
    assert Peer(root).hello["pid"] == made, "also if it does not listen yet"
    assert (root / spawn.LOG).read_bytes() == b""


def test_a_supervisor_that_does_not_listen_yet_is_waited_for(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root.mkdir()
    lock = os.open(root / "supervisor.pid", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    said = []
    attempt = spawn._spawn

    def again(exec_root: str, deadline: float) -> str:
        said.append(attempt(exec_root, deadline))
        if len(said) == 2:
            os.close(lock)
        return said[-1]

    monkeypatch.setattr(spawn, "_spawn", again)
    one = Peer(root)
    assert said[:2] == ["", ""] and one.hello["pid"] == int((root / "supervisor.pid").read_text())


def test_a_process_that_cannot_be_recorded_does_not_start(peer: Peer, root: Path) -> None:
    """A folder is in the way, as a full disk would be."""
    (root / "processes" / "c.new").mkdir()
    with pytest.raises(Unavailable, match=r"cannot be recorded in .*: Is a directory"):
        peer.start("c", "sleep", "1000")
    assert Peer(root).hello["processes"] == []
    (root / "processes" / "c.new").rmdir()
    peer.start("c", "sh", "-c", "exit 4")
    assert peer.exit("c")["code"] == 4


def test_nothing_is_put_in_place_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "exit"
    path.write_bytes(b"before")
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
    with pytest.raises(OSError, match="No space left"):
        exits.replace(str(path), b"content")
    assert path.read_bytes() == b"before" and list(tmp_path.iterdir()) == [path]


def test_records_of_exits(tmp_path: Path) -> None:
    path = str(tmp_path / "exit")
    exit = exits.of_status(9, True)
    assert (exit["code"], exit["signal"], exit["oom"]) == (137, 9, True)
    exits.write_record(path, exit)
    assert exits.read_record(path) == exit
    Path(path).write_text("garbage")
    assert exits.read_record(path) is None
    assert exits.read_record(str(tmp_path / "absent")) is None


def test_whether_memory_ran_out(tmp_path: Path) -> None:
    first, second = tmp_path / "v1", tmp_path / "v2"
    first.mkdir(), second.mkdir()
    (first / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")
    (second / "memory.events").write_text("low 0\nhigh 0\nmax 3\noom 1\noom_kill 0\n")
    folders = [str(first), str(second), str(tmp_path / "absent")]
    assert not exits.ran_out_of_memory(folders)
    (second / "memory.events").write_text("low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\n")
    assert exits.ran_out_of_memory(folders)
    (second / "memory.events").unlink()
    (first / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    assert exits.ran_out_of_memory(folders)


@pytest.mark.parametrize(
    ("running", "pid", "settled", "acknowledged"),
    [
        (True, 7, True, True),
        (True, 6, False, False),
        (False, 7, False, True),
    ],
)
def test_an_exit_is_of_one_process(
    monkeypatch: pytest.MonkeyPatch, running: bool, pid: int, settled: bool, acknowledged: bool
) -> None:
    """Told twice it is settled once; told late it is not taken for the end of the next run."""
    done: list[str] = []

    async def note(*_words: object) -> bool:
        done.append("settled")
        return True

    monkeypatch.setattr(settle, "settle", note)

    async def scene() -> None:
        container = SimpleNamespace(running=running, state=SimpleNamespace(pid=7))
        entry = SimpleNamespace(container=container, lock=asyncio.Lock(), damage="")
        engine: Any = SimpleNamespace(
            registry={"c": entry},
            spares=SimpleNamespace(complete=lambda *_: None),
            supervision=SimpleNamespace(tell=lambda kind, _body: done.append(kind)),
        )
        await settle.exited(engine, {"container": "c", "exec": "", "pid": pid, "code": 0})
        await settle.exited(engine, {"container": "unknown", "exec": "", "pid": pid, "code": 0})

    asyncio.run(scene())
    assert done == ["settled"] * settled + ["acknowledge"] * acknowledged + ["acknowledge"]
