"""What is written survives what it should survive; what is broken is named."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tare.errors import Conflict, Exhausted, InUse, TareError, Unavailable, Unsupported
from tare.state.database import CHECKPOINT_EVERY, State
from tare.state.lock import Lock
from tare.state.schema import VERSION


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = State(tmp_path)
    yield opened
    opened.close()


def test_documents_come_back_oldest_first(tmp_path: Path, state: State) -> None:
    state.containers.save(
        "b", "two", {"a": [1, None, "ö\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")]}, durable=True
    )
    state.containers.save("a", "one", {}, durable=False)
    state.containers.save("b", "renamed", {"x": 1}, durable=False)
    state.networks.save("n", "net", {"y": 2}, durable=True)
    state.close()
    again = State(tmp_path)
    assert again.containers.load() == [("b", "renamed", {"x": 1}, ""), ("a", "one", {}, "")]
    assert again.networks.load() == [("n", "net", {"y": 2}, "")]
    again.containers.remove("b", durable=True)
    again.containers.remove("missing", durable=False)
    assert [row.id for row in again.containers.load()] == ["a"]
    again.close()


def test_what_is_damaged_is_told_with_its_name(tmp_path: Path, state: State) -> None:
    state.containers.save("a", "whole", {}, durable=False)
    for number, text in enumerate((b"{", b"", b"\xff", b"[]", b"[" * 100_000, 5)):
        state.write("INSERT INTO containers VALUES (?, ?, ?)", (number, b"\xffn%d" % number, text), durable=False)
    rows = state.containers.load()
    assert [bool(row.damage) for row in rows] == [False, *[True] * 6]
    assert all(row.document == {} and "n" in row.name for row in rows[1:])
    state.containers.remove_named("whole")
    assert len(state.containers.load()) == 6


def test_two_of_one_name_are_refused_and_nothing_changes(state: State) -> None:
    state.containers.save("a", "name", {}, durable=False)
    with pytest.raises(Conflict):
        state.containers.save("b", "name", {}, durable=True)
    assert [row.id for row in state.containers.load()] == ["a"]


def test_names_of_an_image_go_with_it(state: State) -> None:
    state.images.add("sha256:1", "sha256:m1", "2026-01-01T00:00:00Z")
    state.images.add("sha256:2", "sha256:m2", "2026-01-01T00:00:00Z")
    state.images.set_reference("busybox:latest", "sha256:1")
    state.images.set_reference("busybox:old", "sha256:1")
    state.images.set_reference("busybox:latest", "sha256:2")
    assert state.images.references() == {"busybox:latest": "sha256:2", "busybox:old": "sha256:1"}
    with pytest.raises(Conflict):
        state.images.set_reference("x:latest", "sha256:missing")
    state.images.remove("sha256:1")
    state.images.remove_reference("missing")
    assert state.images.references() == {"busybox:latest": "sha256:2"}
    assert state.images.images() == {"sha256:2": "sha256:m2"}


def test_a_transaction_happens_whole_or_not_at_all(state: State) -> None:
    with pytest.raises(ZeroDivisionError), state.images.transaction():
        state.images.add("sha256:1", "m", "")
        state.images.set_reference("a:b", "sha256:1")
        raise ZeroDivisionError
    assert (state.images.images(), state.images.references()) == ({}, {})
    with state.images.transaction():
        state.images.add("sha256:1", "m", "")
        state.images.set_reference("a:b", "sha256:1")
    assert state.images.references() == {"a:b": "sha256:1"}


def test_meta(state: State) -> None:
    assert state.meta.get("instance") == ""
    state.meta.set("instance", "x")
    state.meta.set("instance", "y")
    assert state.meta.get("instance") == "y"


WRITER = """
import sys
from pathlib import Path
from tare.state.database import State
state = State(Path(sys.argv[1]))
n = 0
while True:
    state.containers.save(f"{n:08d}", f"name-{n}", {"number": n}, durable=False)
    print(n, flush=True)
    n += 1
"""


def test_what_was_acknowledged_survives_a_kill_at_any_moment(tmp_path: Path) -> None:
    acknowledged = -1
    for _ in range(5):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for line in writer.stdout:
                acknowledged = int(line)
                if acknowledged >= 300:
                    break
            writer.send_signal(signal.SIGKILL)
            rest = writer.stdout.read().split()
            acknowledged = int(rest[-1]) if rest and rest[-1].isdecimal() else acknowledged
        state = State(tmp_path)
        numbers = [row.document["number"] for row in state.containers.load()]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) > acknowledged - 10
        assert acknowledged in numbers or rest
        for row in state.containers.load():
            state.containers.remove(row.id, durable=False)
        state.close()


def syncs(tmp_path: Path, durable: bool) -> int:
    """How often a process asks for the disk while it writes twenty records, seen from outside."""
    script = (
        "import sys; from pathlib import Path; from tare.state.database import State\n"
        f"state = State(Path({str(tmp_path)!r})); state.containers.save('first', 'first', {{}}, durable={durable})\n"
        "print('begin', file=sys.stderr, flush=True)\n"
        f"for n in range(20): state.containers.save(str(n), str(n), {{}}, durable={durable})\n"
        "print('end', file=sys.stderr, flush=True)\n"
    )
    command = ["strace", "-f", "-e", "trace=fsync,fdatasync,write", "-o", "/dev/stdout", sys.executable, "-c", script]
    trace = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    between = trace[trace.index('"begin') : trace.index('"end')]
    return between.count("sync(")


def test_only_durable_writes_wait_for_the_disk(tmp_path: Path) -> None:
    try:
        subprocess.run(["strace", "-V"], capture_output=True, check=True)
    except FileNotFoundError:
        pytest.skip("strace is not installed")
    (tmp_path / "fast").mkdir()
    (tmp_path / "safe").mkdir()
    assert syncs(tmp_path / "fast", durable=False) == 0
    assert syncs(tmp_path / "safe", durable=True) == 20


def test_the_log_is_brought_into_the_database_now_and_then(tmp_path: Path, state: State) -> None:
    for number in range(CHECKPOINT_EVERY):
        state.containers.save("id", "name", {"number": number}, durable=False)
    assert state._checkpointer is not None
    state._checkpointer.join()
    copy = sqlite3.connect(f"file:{state.path}?immutable=1", uri=True)
    assert copy.execute("SELECT count(*) FROM containers").fetchone() == (1,)
    copy.close()


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    State(tmp_path).close()
    connection = sqlite3.connect(tmp_path / "state.db")
    connection.execute(f"PRAGMA user_version = {VERSION + 4}")
    connection.close()
    with pytest.raises(Unsupported, match=rf"newer tare \(schema {VERSION + 4}, this one knows {VERSION}\)"):
        State(tmp_path)
    Lock(tmp_path).close()


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for at in range(200, len(content), 7):
        content[at] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize("content", [b"not a database at all" * 100, None], ids=["no database", "overwritten"])
def test_a_damaged_file_is_named_with_the_cure(tmp_path: Path, content: bytes | None) -> None:
    state = State(tmp_path)
    for number in range(50):
        state.containers.save(str(number), str(number), {"x": "y" * 200}, durable=False)
    state.close()
    path = tmp_path / "state.db"
    if content is None:
        damage(path)
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(Unavailable, match="is damaged") as caught:
        State(tmp_path)
    assert str(path) in str(caught.value)
    assert "move" in caught.value.hint
    assert path.read_bytes() == before
    path.unlink()
    State(tmp_path).close()


def test_a_directory_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "state.db").mkdir()
    with pytest.raises(Unavailable, match="cannot use"):
        State(tmp_path)


def test_two_daemons_on_one_data_root(tmp_path: Path, state: State) -> None:
    with pytest.raises(InUse, match=f"another daemon uses {tmp_path}: process {os.getpid()}"):
        State(tmp_path)
    state.close()
    state.close()
    State(tmp_path).close()


def test_the_lock_dies_with_its_owner(tmp_path: Path) -> None:
    script = f"import time; from pathlib import Path; from tare.state.lock import Lock; held = Lock(Path({str(tmp_path)!r}))\n"
    with subprocess.Popen(
        [sys.executable, "-c", script + "print('held', flush=True); time.sleep(1000)"], stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"held\n"
        with pytest.raises(InUse, match=f"process {owner.pid}"):
            Lock(tmp_path)
        owner.kill()
        owner.wait()
    Lock(tmp_path).close()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
def test_a_full_disk_loses_nothing_that_was_there(tmp_path: Path) -> None:
    small = tmp_path / "tare-small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], check=True)
    try:
        state = State(small)
        state.containers.save("a", "kept", {"x": 1}, durable=True)
        with pytest.raises(TareError) as caught:
            for number in range(10_000):
                state.containers.save(f"b{number}", f"b{number}", {"x": "y" * 2000}, durable=bool(number % 2))
        assert isinstance(caught.value, Exhausted)
        state.close()
        (small / "state.db").stat()
        subprocess.run(["mount", "-o", "remount,size=10m", str(small)], check=True)
        again = State(small)
        assert again.containers.load()[0] == ("a", "kept", {"x": 1}, "")
        again.close()
    finally:
        subprocess.run(["umount", str(small)], check=True)
