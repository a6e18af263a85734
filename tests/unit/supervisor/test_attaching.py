"""Attached clients: framing, stdin, half-close, terminals, detach keys, and clients that do not read."""

from __future__ import annotations

import os
import select
import socket
import subprocess
from pathlib import Path

import pytest

from tare.errors import Conflict, NotFound
from tare.supervisor import attach, logfiles
from tare.supervisor.loop import Loop

from .conftest import DEADLINE, Peer, eventually, everything, frames, until

CTRL_P, CTRL_Q = b"\x10", b"\x11"


def test_output_from_the_first_byte_in_frames(peer: Peer) -> None:
    client = peer.attach("c", stdin=False)
    peer.start("c", "sh", "-c", "printf out; printf err >&2")
    assert frames(everything(client)) == {1: b"out", 2: b"err"}
    peer.exit("c")


def test_raw_and_chosen_streams(peer: Peer) -> None:
    raw = peer.attach("c", framed=False, stderr=False)
    errors = peer.attach("c", stdin=False, stdout=False)
    peer.start("c", "sh", "-c", "printf out; printf err >&2")
    assert everything(raw) == b"out"
    assert frames(everything(errors)) == {2: b"err"}
    peer.exit("c")


def test_half_close_ends_stdin_and_output_goes_on(peer: Peer) -> None:
    client = peer.attach("c", initial=b"first ")
    peer.start("c", "sh", "-c", "cat; echo done", stdin=True, stdin_once=True)
    client.sendall(b"second")
    client.shutdown(socket.SHUT_WR)
    assert frames(everything(client)) == {1: b"first seconddone\n"}
    assert peer.exit("c")["code"] == 0


def test_a_client_that_closes_after_its_input_is_still_heard(peer: Peer) -> None:
    client = peer.attach("c")
    other = peer.attach("c", stdin=False)
    client.sendall(b"x" * 100_000)
    client.close()
    peer.start("c", "sh", "-c", "wc -c", stdin=True, stdin_once=True)
    assert frames(everything(other))[1].strip() == b"100000"
    peer.exit("c")


def test_without_once_stdin_outlives_the_client(peer: Peer) -> None:
    peer.start("c", "cat", stdin=True)
    first = peer.attach("c")
    first.sendall(b"one\n")
    assert frames(until(first, b"one\n")) == {1: b"one\n"}
    first.shutdown(socket.SHUT_WR)
    everything(first)
    second = peer.attach("c")
    second.sendall(b"two\n")
    assert frames(until(second, b"two\n")) == {1: b"two\n"}
    peer.ask("signal", container="c", exec="", signal=9)
    peer.exit("c")


def test_no_stdin_is_dev_null(peer: Peer) -> None:
    client = peer.attach("c")
    peer.start("c", "sh", "-c", "cat; readlink /proc/self/fd/0")
    client.sendall(b"nobody reads this")
    assert frames(everything(client)) == {1: b"/dev/null\n"}
    peer.exit("c")


def test_stdin_larger_than_every_buffer(peer: Peer) -> None:
    client = peer.attach("c")
    peer.start("c", "sh", "-c", "sleep 0.2; wc -c", stdin=True, stdin_once=True)
    client.sendall(b"x" * 8_000_000)
    client.shutdown(socket.SHUT_WR)
    assert frames(everything(client))[1].strip() == b"8000000"
    peer.exit("c")


def test_a_terminal(peer: Peer) -> None:
    client = peer.attach("c", framed=False)
    peer.start("c", "sh", "-c", "stty size; read line; stty size; echo $line; tty; exit 4", tty=True, stdin=True, size=[24, 80])
    assert until(client, b"24 80\r\n")
    peer.ask("resize", container="c", exec="", rows=50, columns=132)
    client.sendall(b"hello\n")
    rest = everything(client)
    assert rest.startswith(b"hello\r\n50 132\r\nhello\r\n/dev/pts/")
    assert peer.exit("c")["code"] == 4


def test_the_last_words_on_a_terminal_are_delivered(peer: Peer) -> None:
    for _ in range(20):
        client = peer.attach("c", framed=False)
        peer.start("c", "sh", "-c", "seq 1 2000; echo last", tty=True)
        assert everything(client).endswith(b"2000\r\nlast\r\n")
        peer.exit("c")


def test_only_a_terminal_is_resized(peer: Peer) -> None:
    peer.start("c", "sleep", "1000")
    with pytest.raises(Conflict, match="c has no terminal"):
        peer.ask("resize", container="c", exec="", rows=1, columns=1)


def test_the_detach_keys_leave_without_ending(peer: Peer) -> None:
    peer.start("c", "cat", stdin=True)
    client = peer.attach("c", detach_keys=CTRL_P + CTRL_Q, id="me", framed=False)
    client.sendall(b"a" + CTRL_P + b"b" + CTRL_P)
    assert until(client, b"b") == b"a" + CTRL_P + b"b"
    client.sendall(CTRL_Q)
    assert everything(client) == b""
    assert peer.event("detached", "c")["id"] == "me"
    again = peer.attach("c", framed=False)
    again.sendall(b"still there\n")
    assert until(again, b"\n") == b"still there\n"


def test_a_client_that_is_killed_is_dropped(peer: Peer) -> None:
    client = peer.attach("c", framed=False)
    other = peer.attach("c", framed=False, stdin=False)
    peer.start("c", "cat", stdin=True)
    client.sendall(b"one\n")
    assert until(client, b"one\n") == until(other, b"one\n")
    holder = subprocess.Popen(["sleep", "1000"], stdin=client)
    client.close()
    holder.kill()
    holder.wait()
    third = peer.attach("c", framed=False)
    third.sendall(b"two\n")
    assert until(other, b"two\n") == until(third, b"two\n")


def test_a_client_that_does_not_read_holds_back_only_its_container(peer: Peer) -> None:
    slow = peer.attach("slow", framed=False)
    peer.start("slow", "sh", "-c", "head -c 20000000 /dev/zero; echo end")
    quick = peer.attach("quick", framed=False)
    peer.start("quick", "sh", "-c", "head -c 20000000 /dev/zero; echo end")
    assert len(everything(quick)) == 20_000_004
    assert peer.exit("quick")["code"] == 0
    peer.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        peer.event("exit", "slow")
    peer.sock.settimeout(DEADLINE)
    status = Path(f"/proc/{peer.hello['pid']}/status").read_text()
    resident = int(status.partition("VmRSS:")[2].split()[0])
    assert resident < 40_000, "kB: what the client does not read stays in the pipe"
    assert len(everything(slow)) == 20_000_004
    assert peer.exit("slow")["code"] == 0


def test_a_slow_client_that_leaves_lets_the_container_go(peer: Peer) -> None:
    slow = peer.attach("c")
    peer.start("c", "sh", "-c", "head -c 20000000 /dev/zero; exit 3")
    eventually(lambda: select.select([slow], [], [], 0)[0])
    slow.close()
    assert peer.exit("c")["code"] == 3


def test_a_process_left_behind_neither_delays_the_end_nor_dies_of_it(peer: Peer, tmp_path: Path) -> None:
    go, proof = tmp_path / "go", tmp_path / "proof"
    os.mkfifo(go)
    client = peer.attach("c", stdin=False)
    peer.start("c", "sh", "-c", f"(read x < {go}; echo late; echo survived > {proof}) & echo first")
    assert peer.exit("c")["code"] == 0
    assert frames(everything(client)) == {1: b"first\n"}
    go.write_text("go\n")
    eventually(lambda: proof.exists() and proof.read_text() == "survived\n")


def test_discard_closes_clients_that_wait(peer: Peer) -> None:
    client = peer.attach("never")
    peer.ask("discard", container="never", exec="")
    assert everything(client) == b""


def test_the_socket_of_a_failed_start_stays_usable_for_its_other_holder(peer: Peer) -> None:
    ours, theirs = socket.socketpair()
    body = {"stdin": True, "stdout": True, "stderr": True, "framed": True, "detach_keys": b"", "initial": b"", "id": "a"}
    peer.ask("attach", (theirs.fileno(),), container="c", exec="", **body)
    with pytest.raises(Exception, match="not found"):
        peer.start("c", "no-such-command")
    theirs.sendall(b"it failed")
    theirs.close()
    assert everything(ours) == b"it failed"


def test_output_waits_until_the_head_of_the_answer_is_read(peer: Peer) -> None:
    """docker-py would lose what it reads together with the head."""
    ours, theirs = socket.socketpair()
    ours.settimeout(DEADLINE)
    with theirs:
        theirs.sendall(b"HTTP/1.1 200 OK")
        body = {"stdin": False, "stdout": True, "stderr": True, "framed": False, "detach_keys": b"", "initial": b"", "id": "a"}
        peer.ask("attach", (theirs.fileno(),), container="c", exec="", **body)
    peer.start("c", "echo", "output")
    assert peer.exit("c")["code"] == 0
    assert ours.recv(65536) == b"HTTP/1.1 200 OK"
    assert everything(ours) == b"output\n"
    ours.close()


def test_who_never_reads_the_head_holds_nobody_up(peer: Peer) -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(DEADLINE)
    with theirs:
        theirs.sendall(b"head, ")
        body = {"stdin": False, "stdout": True, "stderr": True, "framed": False, "detach_keys": b"", "initial": b"", "id": "a"}
        peer.ask("attach", (theirs.fileno(),), container="c", exec="", **body)
    peer.start("c", "echo", "output")
    assert peer.exit("c")["code"] == 0
    eventually(lambda: b"output" in ours.recv(65536, socket.MSG_PEEK))
    assert everything(ours) == b"head, output\n"
    ours.close()


def test_a_client_that_still_reads_at_the_end_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no longer when it has stopped."""
    monkeypatch.setattr(attach, "LINGER", 0.02)
    loop = Loop()
    ours, client = socket.socketpair()
    one = attach.Client(
        loop, ours.detach(), "a", wants_input=False, streams=frozenset({1}), framed=False, keys=b"", initial=b""
    )
    one.connect(None, False)
    rounds: list[int] = []
    leave = attach.Client._leave

    def judge(self: attach.Client, before: int) -> None:
        rounds.append(before)
        if len(rounds) <= 5:
            assert len(client.recv(1000, socket.MSG_WAITALL)) == 1000
        leave(self, before)

    monkeypatch.setattr(attach.Client, "_leave", judge)
    one.gone = lambda _client: loop.stop()
    for _ in range(20):
        one.take(1, b"x" * 1000)
    one.finish()
    loop.run()
    assert len(rounds) == 6 and rounds == sorted(set(rounds), reverse=True)
    assert len(everything(client)) == 15_000
    client.close()


def replaying(peer: Peer, container: str, id: str) -> tuple[socket.socket, dict[str, int]]:
    """A client whose output waits for ``play``, and where it begins."""
    ours, theirs = socket.socketpair()
    body = {"stdin": True, "stdout": True, "stderr": True, "framed": False, "detach_keys": b"", "initial": b"", "replay": True}
    with theirs:
        place = peer.ask("attach", (theirs.fileno(),), container=container, exec="", id=id, **body)
    ours.settimeout(DEADLINE)
    return ours, place


@pytest.mark.parametrize("driver", ["local", "json-file"])
def test_output_waits_for_the_log_before_it(peer: Peer, tmp_path: Path, driver: str) -> None:
    path = tmp_path / "log"
    log = {"driver": driver, "path": str(path), "max_size": 0, "max_file": 1}
    first = peer.attach("c", framed=False)
    script = "printf begun; read x; printf $x; read x; exit 3"
    peer.start("c", "sh", "-c", script, stdin=True, log=log)
    assert until(first, b"begun")
    client, place = replaying(peer, "c", "late")
    assert place == {"inode": path.stat().st_ino, "size": path.stat().st_size}
    replay = logfiles.Replay(str(path), driver)
    first.sendall(b"more\n")
    assert until(first, b"more")
    peer.ask("flush", container="c")
    first.sendall(b"end\n")
    assert peer.exit("c")["code"] == 3, "the end does not wait for who replays"
    assert b"".join(data for _stream, _time, data in replay.rest(**place)) == b"begun"
    replay.close()
    assert select.select([client], [], [], 0)[0] == []
    peer.ask("play", id="late")
    assert everything(client) == b"more"


def test_who_replays_and_dies_leaves_nobody_waiting(peer: Peer) -> None:
    first = peer.attach("c", framed=False)
    peer.start("c", "sh", "-c", "while read x; do echo $x; done", stdin=True)
    passing = Peer(peer.root)
    client, place = replaying(passing, "c", "late")
    assert place == {}, "there is no log"
    first.sendall(b"one\n")
    assert until(first, b"one\n")
    passing.close()
    assert everything(client) == b""
    first.sendall(b"two\n")
    assert until(first, b"two\n")
    peer.ask("play", id="late")


def test_nothing_is_replayed_of_what_does_not_run(peer: Peer) -> None:
    with pytest.raises(NotFound, match="c is not running"):
        replaying(peer, "c", "late")
