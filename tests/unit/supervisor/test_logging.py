"""What containers write, on disk and read back: both formats, rotation, tails, following, and disks that fail."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tare.errors import Unavailable
from tare.supervisor import logfiles
from tare.supervisor.logformats import HEAD, TAIL, FramedLog, JsonLog, LogFile, split_line, timestamp
from tare.supervisor.logger import Logger

from .conftest import DEADLINE, Peer, eventually, everything
from .test_starting import children

DRIVERS = ["local", "json-file"]


def log(path: Path, driver: str, max_size: int = 0, max_file: int = 1) -> dict[str, Any]:
    return {"driver": driver, "path": str(path), "max_size": max_size, "max_file": max_file}


def writer(path: Path, driver: str, max_size: int = 0, max_file: int = 1) -> LogFile:
    return (FramedLog if driver == "local" else JsonLog)(str(path), max_size, max_file)


def text(path: Path, driver: str, **options: Any) -> bytes:
    return b"".join(data for _stream, _time, data in logfiles.read(str(path), driver, **options))


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_container_is_logged(peer: Peer, tmp_path: Path, driver: str) -> None:
    path = tmp_path / "log"
    before = time.time_ns()
    peer.start("c", "sh", "-c", "echo one; echo two >&2; printf 'no newline'", log=log(path, driver))
    peer.exit("c")
    peer.ask("flush", container="c")
    lines = list(logfiles.read(str(path), driver))
    assert sorted((stream, data) for stream, _time, data in lines) == [(1, b"no newline"), (1, b"one\n"), (2, b"two\n")]
    assert all(before <= at <= time.time_ns() for _stream, at, _data in lines)
    assert text(path, driver, stderr=False) == b"one\nno newline"
    assert text(path, driver, stdout=False) == b"two\n"


def test_flush_makes_a_running_container_readable(peer: Peer, tmp_path: Path, driver: str) -> None:
    path = tmp_path / "log"
    client = peer.attach("c", framed=False)
    peer.start("c", "sh", "-c", "echo ready; read x; echo more; exec sleep 1000", log=log(path, driver), stdin=True)
    assert client.recv(100) == b"ready\n"
    peer.ask("flush", container="c")
    assert text(path, driver) == b"ready\n"
    client.sendall(b"\n")
    assert client.recv(100) == b"more\n"
    peer.ask("flush", container="c")
    assert text(path, driver) == b"ready\nmore\n"


def test_nothing_is_lost_of_much_output(peer: Peer, tmp_path: Path, driver: str) -> None:
    path = tmp_path / "log"
    peer.start("c", "seq", "1", "1000000", log=log(path, driver))
    peer.exit("c")
    peer.ask("flush", container="c")
    assert text(path, driver) == b"".join(b"%d\n" % number for number in range(1, 1_000_001))


def test_json_lines_as_shippers_read_them(tmp_path: Path) -> None:
    path = tmp_path / "log"
    out = writer(path, "json-file")
    awkward = 'quote " back\\slash <tag>&\ttab \x01 é €\u2028 \U0001f600\n'.encode()
    out.write(1, 1_700_000_000_123_456_789, memoryview(awkward[:20]))
    out.write(2, 1_700_000_000_000_000_001, memoryview(b"error \xff\xfe\n"))
    out.write(1, 1_700_000_000_123_456_789, memoryview(awkward[20:] + b"x" * 40_000 + b"\nrest"))
    out.close()
    records = [json.loads(line) for line in path.read_text().split("\n") if line]
    assert records[0] == {"log": "error \ufffd\ufffd\n", "stream": "stderr", "time": "2023-11-14T22:13:20.000000001Z"}
    assert records[1] == {"log": awkward.decode(), "stream": "stdout", "time": "2023-11-14T22:13:20.123456789Z"}
    pieces = [record["log"] for record in records[2:-1]]
    assert "".join(pieces) == "x" * 40_000 + "\n" and len(pieces[0]) == 16_384 and len(pieces) == 3
    assert records[-1]["log"] == "rest"


def slowly_encoded(chunks: list[bytes]) -> list[str]:
    """What is in the records of ``json-file``, put together line by line: the model for the writer."""
    *lines, rest = b"".join(chunks).split(b"\n")
    pieces = [piece for line in lines for piece in split_line(line + b"\n")] + split_line(rest)
    return [piece.decode(errors="replace") for piece in pieces if piece]


@pytest.mark.parametrize("max_size", [0, 3000])
@pytest.mark.parametrize("seed", range(20))
def test_chunks_are_encoded_at_once_as_line_by_line(tmp_path: Path, seed: int, max_size: int) -> None:
    chance = random.Random(seed)
    words = [b"word ", b"\n", b"\\n", b"\\", b'"', b"\x7f", b"\r\n", b"\x00\t", "é€\u2028".encode()]
    words += [b"\xed\xa0\x80", b"\xff", b"\xe2"]
    words += [b"x" * 20_000] if seed % 4 == 0 else []
    path = tmp_path / "log"
    out = writer(path, "json-file", max_size=max_size, max_file=10_000)
    chunks = [b"".join(chance.choices(words, k=chance.randrange(1, 60))) for _ in range(30)]
    for chunk in chunks:
        out.write(1, 0, memoryview(chunk))
    out.close()
    files = [entry.read_bytes() for entry in sorted(tmp_path.iterdir(), key=lambda entry: -int(entry.suffix[1:] or 0))]
    assert (len(files) > 1) == bool(max_size)
    records = [json.loads(line) for line in b"".join(files).split(b"\n") if line]
    assert [record["log"] for record in records] == slowly_encoded(chunks)
    for data in files[:-1]:
        assert len(data) >= max_size > data.rstrip(b"\n").rfind(b"\n"), "not more than the last line is over the limit"


def test_a_long_line_is_not_cut_in_a_character() -> None:
    line = ("a" + "€" * 20_000).encode()
    pieces = split_line(line)
    assert b"".join(pieces) == line and len(pieces) > 3
    assert all(piece.decode() and len(piece) <= 16_384 for piece in pieces)


def test_timestamps() -> None:
    assert timestamp(0) == "1970-01-01T00:00:00.000000000Z"
    assert timestamp(1_700_000_000_000_000_042) == "2023-11-14T22:13:20.000000042Z"


def test_records_of_a_chunk_each(tmp_path: Path) -> None:
    path = tmp_path / "log"
    out = writer(path, "local")
    out.write(1, 5, memoryview(b"a\nb\n"))
    out.write(2, 6, memoryview(b"par"))
    assert path.read_bytes() == HEAD.pack(1, 0, 4, 5) + b"a\nb\n" + TAIL.pack(4) + HEAD.pack(2, 1, 3, 6) + b"par" + TAIL.pack(3)


def test_what_a_crash_left_half_written_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "log"
    writer(path, "local").write(1, 5, memoryview(b"whole\n"))
    whole = path.read_bytes()
    for torn in (HEAD.pack(1, 0, 100, 6) + b"half", b"\1", HEAD.pack(1, 0, 3, 6) + b"abc"):
        path.write_bytes(whole + torn)
        assert text(path, "local", tail=1) == b"whole\n"
        writer(path, "local").close()
        assert path.read_bytes() == whole


@pytest.mark.parametrize("count", [1, 2, 5])
def test_rotation_keeps_so_many_files(tmp_path: Path, driver: str, count: int) -> None:
    path = tmp_path / "log"
    out = writer(path, driver, max_size=1000, max_file=count)
    for number in range(300):
        out.write(1, number, memoryview(b"line %d\n" % number))
    out.close()
    files = sorted(entry.name for entry in tmp_path.iterdir())
    assert files == ["log", *(f"log.{number}" for number in range(1, count))]
    assert all(entry.stat().st_size < 1200 for entry in tmp_path.iterdir())
    kept = text(path, driver).splitlines(keepends=True)
    assert kept == [b"line %d\n" % number for number in range(300 - len(kept), 300)]
    assert text(path, driver, tail=7).splitlines(keepends=True) == kept[-7:]


def refused(*_paths: object) -> None:
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize("what", ["rename", "open"])
def test_a_rotation_that_fails_loses_nothing(tmp_path: Path, driver: str, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    path = tmp_path / "log"
    out = writer(path, driver, max_size=1000, max_file=4)
    said = [b"line %d\n" % number for number in range(120)]
    for number in range(60):
        out.write(1, number, memoryview(said[number]))
    before = {entry.name for entry in tmp_path.iterdir()}
    kept = text(path, driver)
    with monkeypatch.context() as broken:
        broken.setattr(os, what, refused)
        for number in range(60, 90):
            out.write(1, number, memoryview(said[number]))
    assert {entry.name for entry in tmp_path.iterdir()} == before
    assert text(path, driver) == kept + b"".join(said[60:90]), "what came meanwhile is in the present file, and none has gone"
    assert path.stat().st_size > 1000
    for number in range(90, 120):
        out.write(1, number, memoryview(said[number]))
    out.close()
    lines = text(path, driver).splitlines(keepends=True)
    assert lines == said[-len(lines) :] and path.stat().st_size < 1200, "and it is rotated again"


def test_rotation_and_following_look_only_at_what_they_must(
    tmp_path: Path, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, line = tmp_path / "log", b"x" * 200 + b"\n"
    looked: list[str] = []
    exists = os.path.exists
    monkeypatch.setattr(os.path, "exists", lambda path: bool(looked.append(path)) or exists(path))
    out = writer(path, driver, max_size=100, max_file=1_000_000)
    for number in range(50):
        out.write(1, number, memoryview(line))
    assert len(list(tmp_path.iterdir())) == 50
    assert len(looked) <= 50 * 50, "files that there could be are not looked for"
    follower = logfiles.Follower(str(path), driver)
    assert len(list(follower.read())) == 50
    out.max_size = 0
    with monkeypatch.context() as closed:
        closed.setattr(logfiles, "open_files", refused)
        out.write(1, 99, memoryview(line))
        assert [data for _stream, _time, data in follower.read()] == [line], "nothing is opened anew for each line"
    out.close()
    follower.close()


def lines_of(pieces: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """The lines of chunks, put together slowly: the model for the reader."""
    held: dict[int, bytes] = {}
    done = []
    for stream, data in pieces:
        for byte in data:
            held[stream] = held.get(stream, b"") + bytes([byte])
            if byte == 10:
                done.append((stream, held.pop(stream)))
    return done


@pytest.mark.parametrize("seed", range(12))
def test_every_tail_is_the_end_of_the_whole(tmp_path: Path, driver: str, seed: int) -> None:
    chance = random.Random(seed)
    path = tmp_path / "log"
    out = writer(path, driver, max_size=chance.choice([0, 300, 2000]), max_file=50)
    pieces = []
    for number in range(chance.randrange(1, 60)):
        data = b"".join(chance.choice([b"word ", b"\n", b"x"]) for _ in range(chance.randrange(1, 20)))
        pieces.append((chance.choice([1, 1, 1, 2]), data))
        out.write(pieces[-1][0], number, memoryview(data))
    ended = [(1, b"\n"), (2, b"\n")]
    for stream, data in ended:
        out.write(stream, 99, memoryview(data))
    out.close()
    whole = [(stream, data) for stream, _time, data in logfiles.read(str(path), driver)]
    assert whole == lines_of(pieces + ended)
    for tail in range(len(whole) + 3):
        end = [(stream, data) for stream, _time, data in logfiles.read(str(path), driver, tail=tail)]
        assert end == whole[max(0, len(whole) - tail) :]


def test_since_and_until(tmp_path: Path, driver: str) -> None:
    path = tmp_path / "log"
    out = writer(path, driver, max_size=200, max_file=100)
    for number in range(50):
        out.write(1, number * 1_000_000_000, memoryview(b"%d\n" % number))
    out.close()
    second = 1_000_000_000
    assert text(path, driver, since=45 * second) == b"45\n46\n47\n48\n49\n"
    assert text(path, driver, until=2 * second) == b"0\n1\n2\n"
    assert text(path, driver, since=10 * second, until=11 * second) == b"10\n11\n"
    assert text(path, driver, since=48 * second, tail=30) == b"48\n49\n"


def test_a_log_that_is_not_there_is_empty(tmp_path: Path, driver: str) -> None:
    assert text(tmp_path / "log", driver) == b""
    assert text(tmp_path / "log", driver, tail=5) == b""


def followed(follower: logfiles.Follower, count: int) -> Iterator[bytes]:
    deadline = time.monotonic() + DEADLINE
    while count:
        for _stream, _time, data in follower.read():
            count -= 1
            yield data
        if count:
            assert select.select([follower], [], [], max(0, deadline - time.monotonic()))[0], "nothing more came"


@pytest.mark.parametrize("max_file", [2, 4])
def test_following_across_rotations(tmp_path: Path, driver: str, max_file: int) -> None:
    path = tmp_path / "log"
    follower = logfiles.Follower(str(path), driver)
    out = writer(path, driver, max_size=400, max_file=max_file)
    seen = []
    for number in range(100):
        out.write(1, number, memoryview(b"line %d\n" % number))
        if number % 3 == 0:
            seen += list(followed(follower, number + 1 - len(seen)))
    out.write(1, 100, memoryview(b"end"))
    out.close()
    seen += [data for _stream, _time, data in follower.finish()]
    follower.close()
    assert seen == [*(b"line %d\n" % number for number in range(100)), b"end"]


def test_following_a_container_from_its_tail(peer: Peer, tmp_path: Path, driver: str) -> None:
    path = tmp_path / "log"
    client = peer.attach("c", framed=False)
    peer.start("c", "sh", "-c", "seq 1 10; echo go; read x; seq 11 20", log=log(path, driver), stdin=True)
    eventually(lambda: client.recv(1000).endswith(b"go\n"))
    peer.ask("flush", container="c")
    follower = logfiles.Follower(str(path), driver, tail=3)
    assert list(followed(follower, 3)) == [b"9\n", b"10\n", b"go\n"]
    client.sendall(b"\n")
    assert list(followed(follower, 10)) == [b"%d\n" % number for number in range(11, 21)]
    follower.close()
    peer.exit("c")


def test_a_logger_that_dies_is_started_again(peer: Peer, tmp_path: Path) -> None:
    path = tmp_path / "log"
    client = peer.attach("c", framed=False)
    peer.start("c", "sh", "-c", "echo one; while read x; do echo $x; done", log=log(path, "local"), stdin=True, stdin_once=True)
    assert client.recv(100) == b"one\n"
    peer.ask("flush", container="c")
    (logger,) = [pid for pid in children(peer.hello["pid"]) if b"logger" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(logger, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{logger}").exists())
    client.sendall(b"two\n")
    assert client.recv(100) == b"two\n"
    peer.ask("flush", container="c")
    assert text(path, "local") == b"one\ntwo\n"


def test_a_disk_that_hangs_stalls_neither_start_nor_exit(peer: Peer, tmp_path: Path) -> None:
    """A FIFO that nobody reads stands for the disk: the logger blocks when it opens it."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    peer.start("fills", "sh", "-c", "seq 1 300000; exit 6", log=log(path, "json-file"))
    peer.start("other", "sh", "-c", "exit 5", log=log(tmp_path / "log", "local"))
    assert peer.exit("other")["code"] == 5
    assert peer.exit("fills")["code"] == 6, "after a while output is dropped, and the container ends"
    with pytest.raises(Unavailable, match="its disk hangs"):
        peer.ask("flush", container="other")
    repair = subprocess.Popen(["cat", str(path)], stdout=subprocess.DEVNULL)
    eventually(lambda: b"it has recovered" in (peer.root / "supervisor.log").read_bytes())
    peer.start("after", "echo", "after", log=log(tmp_path / "after", "local"))
    peer.exit("after")
    peer.ask("flush", container="after")
    assert text(tmp_path / "after", "local") == b"after\n"
    repair.kill()
    repair.wait()


def test_a_log_that_could_not_be_opened_is_tried_again(tmp_path: Path, driver: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "absent" / "log"
    logger = Logger()
    logger.open({"log": 1, **log(path, driver)})
    for _ in range(3):
        logger.write(1, 1, 0, memoryview(b"lost\n"))
    path.parent.mkdir()
    logger.write(1, 1, 0, memoryview(b"kept\n"))
    logger.close(1)
    assert text(path, driver) == b"kept\n"
    assert capsys.readouterr().err.count("nothing is logged") == 1


def test_a_full_disk_loses_chunks_but_no_container(peer: Peer, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=True)
    try:
        path = disk / "log"
        client = peer.attach("c", framed=False)
        script = "seq 1 20000; read x; echo after; read y"
        peer.start("c", "sh", "-c", script, log=log(path, "local"), stdin=True, stdin_once=True)
        eventually(lambda: client.recv(65536).endswith(b"20000\n"))
        peer.ask("flush", container="c")
        assert b"No space left on device; output is dropped" in (peer.root / "supervisor.log").read_bytes()
        os.truncate(path, 0)
        client.sendall(b"\n")
        assert client.recv(100) == b"after\n"
        peer.ask("flush", container="c")
        assert b"it works again" in (peer.root / "supervisor.log").read_bytes()
        client.sendall(b"\n")
        everything(client)
        peer.exit("c")
        peer.ask("flush", container="c")
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
