"""The supervisor is killed at any moment. The table in docs/design.md says what is to come of it."""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from .conftest import Daemon, descendants, wait_for
from .killing import (
    EXITS_KNOWN,
    MARK,
    NONE,
    REPEAT,
    Clients,
    Talker,
    api,
    client,
    end,
    fifo,
    get,
    gone,
    hijacked,
    kill_supervisor,
    links,
    logged,
    logged_bytes,
    reads,
    role,
    sleepers,
    spared,
    state,
    supervisor,
    until,
)


@pytest.fixture
def attached(daemon: Daemon) -> Iterator[Clients]:
    """Clients that run beside the test."""
    clients: Clients = []
    yield clients
    for one in clients:
        one.kill()
        one.communicate()


@pytest.mark.parametrize("driver", ["json-file", "local"])
def test_output_and_logs_go_on(daemon: Daemon, tmp_path: Path, attached: Clients, driver: str) -> None:
    talker = Talker(daemon, tmp_path, "talks", "--log-driver", driver)
    follower = client(daemon, attached, "logs", "-f", "talks")
    talker.say("one")
    spared(daemon, talker.pid)
    os.kill(supervisor(daemon), signal.SIGKILL)
    talker.say("to-nobody")
    talker.heard("one", "to-nobody")
    kill_supervisor(daemon)
    talker.say("three")
    talker.heard("one", "to-nobody", "three")
    assert state(daemon, "talks")["Pid"] == talker.pid
    late = client(daemon, attached, "attach", "--no-stdin", "talks")
    assert late.stdout is not None
    assert reads(late.stdout, lambda: talker.say("again")).startswith(b"again\n")
    talker.quits()
    assert follower.stdout is not None
    assert follower.stdout.read().startswith(b"one\nto-nobody\nthree\nagain\n")
    assert follower.wait(20) == 0
    assert late.wait(20) == (42 if EXITS_KNOWN else 255)


def test_output_goes_on_when_the_daemon_was_killed_before(daemon: Daemon, tmp_path: Path) -> None:
    """The next daemon fetches copies of its own."""
    talker = Talker(daemon, tmp_path, "talks")
    spared(daemon, talker.pid)
    daemon.kill(signal.SIGKILL)
    daemon.start()
    spared(daemon, talker.pid)
    kill_supervisor(daemon)
    talker.say("heard")
    talker.heard("heard")
    talker.quits()


def test_a_young_container_loses_its_streams(daemon: Daemon, tmp_path: Path) -> None:
    """Nothing is copied in the first second, so that starts pay nothing; that it is so is said."""
    talker = Talker(daemon, tmp_path, "young")
    before = supervisor(daemon)
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: supervisor(daemon) not in (0, before), "another supervisor")
    daemon.tare("exec", "young", "true")
    if "without its output streams" not in daemon.log():
        pytest.skip("this machine was too slow: the container had grown old")
    talker.say("lost")
    refused = daemon.tare("attach", "young", check=False)
    assert refused.returncode == 1 and "streams of container young are lost" in refused.stderr
    talker.quits()
    assert logged(daemon, "young") == []


def test_an_end_that_nobody_saw_is_unknown(daemon: Daemon, tmp_path: Path) -> None:
    """It ends while there is neither daemon nor supervisor: that it has ended is known, how is not, and that is said."""
    talker = Talker(daemon, tmp_path, "talks")
    before = supervisor(daemon)
    daemon.kill(signal.SIGKILL)
    end(before)
    talker.say("quit")
    wait_for(lambda: not Path(f"/proc/{talker.pid}").exists(), "its end")
    daemon.start()
    ended = state(daemon, "talks")
    assert (ended["Status"], ended["ExitCode"]) == ("exited", 255)
    assert "the exit code is unknown" in str(ended["Error"])
    assert daemon.tare("wait", "talks").stdout == "255\n", "as who had waited would have heard"


def test_a_terminal_goes_on_in_both_directions(daemon: Daemon, attached: Clients) -> None:
    script = "stty -echo; while read word; do [ $word = quit ] && exit 42; echo heard $word; done"
    daemon.tare("run", "-dit", "--name", "term", *NONE, "busybox", "sh", "-c", script)
    pid = int(str(state(daemon, "term")["Pid"]))
    spared(daemon, pid)
    kill_supervisor(daemon)
    assert not gone(pid)
    api(daemon, "POST", "/containers/term/resize?h=31&w=71")
    size = daemon.tare("exec", "term", "stty", "-F", "/dev/console", "size").stdout
    assert size == "31 71\n"
    sock = hijacked(daemon, "/containers/term/attach?stream=1&stdin=1&stdout=1")
    sock.sendall(b"typed\n")
    assert until(sock, b"typed\r\n").endswith(b"heard typed\r\n")
    sock.sendall(b"quit\n")
    until(sock, b"")
    sock.close()
    daemon.tare("wait", "term")
    assert state(daemon, "term")["ExitCode"] == (42 if EXITS_KNOWN else 255)


def test_a_pipe_for_stdin_ends(daemon: Daemon) -> None:
    """Its writing end is never copied; who reads from it meets the end and goes on from there."""
    daemon.tare("run", "-di", "--name", "reads", *NONE, "busybox", "sh", "-c", "echo begins; cat; echo ends; exit 43")
    spared(daemon, int(str(state(daemon, "reads")["Pid"])))
    kill_supervisor(daemon)
    assert daemon.tare("wait", "reads").stdout.strip() == ("43" if EXITS_KNOWN else "255")
    assert logged(daemon, "reads") == ["begins", "ends"]


@pytest.mark.slow
def test_a_busy_writer_loses_at_most_what_the_dead_had_in_hand(daemon: Daemon) -> None:
    script = "i=0; while :; do echo $i; i=$((i+1)); done"
    daemon.tare("run", "-d", "--name", "busy", *NONE, "--log-driver", "local", "busybox", "sh", "-c", script)
    pid = int(str(state(daemon, "busy")["Pid"]))
    spared(daemon, pid)
    for _ in range(3):
        before = logged_bytes(daemon, "busy")
        kill_supervisor(daemon)
        wait_for(lambda before=before: logged_bytes(daemon, "busy") > before + 100_000, "more output")
    daemon.tare("kill", "busy")
    wait_for(lambda: state(daemon, "busy")["Status"] == "exited", "the end")
    lines = logged(daemon, "busy")
    numbers = [int(line) for line in lines if line.isdigit()]
    assert numbers[0] == 0 and numbers == sorted(set(numbers))
    holes = [after - before for before, after in pairwise(numbers) if after != before + 1]
    # A chunk is 64 KiB: one in the hand, one held back for the log.
    assert len(holes) <= 3 and all(hole * len(lines[-1]) <= 3 * 65536 for hole in holes)
    assert len(lines) - len(numbers) <= len(holes)


def test_an_exec_goes_on(daemon: Daemon, tmp_path: Path) -> None:
    talker = Talker(daemon, tmp_path, "talks", "-v", f"{tmp_path}:/shared")
    say = fifo(tmp_path / "exec")
    said = tmp_path / "said"
    script = "while read word; do [ $word = quit ] && exit 9; echo $word; echo $word >> /shared/said; done < /shared/exec"
    made = api(daemon, "POST", "/containers/talks/exec", {"AttachStdout": True, "Cmd": ["sh", "-c", script]})["Id"]
    api(daemon, "POST", f"/exec/{made}/start", {"Detach": True})
    spared(daemon, int(str(api(daemon, "GET", f"/exec/{made}/json")["Pid"])))
    kill_supervisor(daemon)
    for word in ("one", "two", "quit"):
        os.write(say, f"{word}\n".encode())
    wait_for(lambda: not api(daemon, "GET", f"/exec/{made}/json")["Running"], "the end of the exec")
    assert said.read_text() == "one\ntwo\n"
    assert api(daemon, "GET", f"/exec/{made}/json")["ExitCode"] == (9 if EXITS_KNOWN else 255)
    talker.quits()


def test_who_is_attached_loses_the_stream_but_learns_the_end(daemon: Daemon, tmp_path: Path, attached: Clients) -> None:
    say = fifo(tmp_path / "go")
    script = REPEAT.format(fifo="/go")
    run = client(daemon, attached, "run", "--name", "here", *NONE, "-v", f"{tmp_path}/go:/go", "busybox", "sh", "-c", script)
    assert run.stdout is not None
    assert reads(run.stdout, lambda: os.write(say, b"x\n")).startswith(b"x\n")
    inner = fifo(tmp_path / "inner")
    script = "echo $$; read word < /shared/inner; exit 9"
    daemon.tare("run", "-d", "--name", "there", *NONE, "-v", f"{tmp_path}:/shared", "busybox", "sleep", "1000")
    exec = client(daemon, attached, "exec", "there", "sh", "-c", script)
    assert exec.stdout is not None
    exec.stdout.readline()
    spared(daemon, int(str(state(daemon, "here")["Pid"])))
    kill_supervisor(daemon)
    os.write(inner, b"go\n")
    assert exec.wait(20) == (9 if EXITS_KNOWN else 255)
    os.write(say, b"quit\n")
    assert run.wait(20) == (42 if EXITS_KNOWN else 255)


def test_daemon_and_supervisor_both_killed(daemon: Daemon, tmp_path: Path) -> None:
    """Containers live on, their streams are gone: writing fails, and attaching is refused."""
    daemon.tare("run", "-d", "--name", "silent", *NONE, "busybox", "sleep", "1000")
    talker = Talker(daemon, tmp_path, "talks")
    pid = state(daemon, "silent")["Pid"]
    spared(daemon, talker.pid)
    before = supervisor(daemon)
    daemon.kill(signal.SIGKILL)
    end(before)
    daemon.start()
    assert state(daemon, "silent")["Pid"] == pid
    assert daemon.tare("exec", "silent", "echo", "in").stdout == "in\n"
    refused = daemon.tare("attach", "silent", check=False)
    assert refused.returncode == 1 and "streams of container silent are lost" in refused.stderr
    assert "without its output streams" in daemon.log()
    # The first process of a pid namespace has no default actions: its writes fail, and it goes on if it can.
    talker.say("x")
    talker.quits()
    assert logged(daemon, "talks") == []
    daemon.tare("restart", "-t", "0", "silent")
    assert daemon.tare("run", "--rm", *NONE, "busybox", "echo", "next").stdout == "next\n"


def test_what_is_asked_without_a_supervisor_waits_for_the_next(daemon: Daemon) -> None:
    for _ in range(5):
        end(supervisor(daemon))
        assert daemon.tare("run", "--rm", *NONE, "busybox", "echo", "next").stdout == "next\n"


@pytest.mark.slow
def test_starts_while_supervisors_are_killed(daemon: Daemon) -> None:
    """A start comes about or fails; it leaves no process that nobody looks after."""
    stop = threading.Event()
    done = {True: 0, False: 0}

    def work(number: int) -> None:
        count = 0
        while not stop.is_set():
            count += 1
            name = f"c{number}-{count}"
            started = daemon.tare("run", "-d", "--name", name, *NONE, "busybox", "sleep", MARK, check=False)
            done[started.returncode == 0] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        enough = sum(done.values()) + random.randrange(1, 4)
        wait_for(lambda enough=enough: sum(done.values()) >= enough, "starts", 30)
        kill_supervisor(daemon)
    stop.set()
    for thread in threads:
        thread.join()
    assert done[True] > 5, daemon.log()

    def strays() -> set[int]:
        ids = daemon.tare("ps", "-q").stdout.split()
        known = {int(str(state(daemon, id)["Pid"])) for id in ids}
        return set(sleepers()) ^ known

    wait_for(lambda: not strays(), "every sleeper to be a container's")
    assert len(daemon.tare("ps", "-q").stdout.split()) >= done[True]


@pytest.mark.slow
def test_killing_again_and_again_leaks_nothing(daemon: Daemon, tmp_path: Path) -> None:
    talkers = [Talker(daemon, tmp_path, name) for name in ("first", "second")]
    for talker in talkers:
        spared(daemon, talker.pid)
    assert daemon.process is not None
    tared = daemon.process.pid

    def census() -> tuple[int, int, int]:
        mine = [pid for pid in descendants(supervisor(daemon)) if role(pid)]
        return len(links(tared)), len(links(supervisor(daemon))), len(mine)

    kill_supervisor(daemon)
    daemon.tare("exec", "first", "true")
    before = census()
    for _ in range(5):
        kill_supervisor(daemon)
        daemon.tare("exec", "first", "true")
    # The stream of the exec that was counted first may have been about to go.
    wait_for(lambda: all(now <= then for now, then in zip(census(), before, strict=True)), f"{before}")
    for talker in talkers:
        talker.say("still")
        talker.heard("still")
        talker.quits()
    assert not list((daemon.exec_root / "processes").iterdir())


def test_short_runs_fetch_nothing_and_long_ones_give_back(daemon: Daemon) -> None:
    assert daemon.process is not None
    tared = daemon.process.pid

    def copies() -> int:
        return sum(link.startswith(("pipe:", "pidfd:", "anon_inode:[pidfd]")) for link in links(tared))

    daemon.tare("run", "--rm", *NONE, "busybox", "true")
    before = copies()
    for _ in range(20):
        daemon.tare("run", "--rm", *NONE, "busybox", "true")
    wait_for(lambda: copies() == before, "nothing to be kept of short runs")
    names = [f"long{number}" for number in range(5)]
    for name in names:
        daemon.tare("run", "-d", "--name", name, *NONE, "busybox", "sleep", "1000")
    for name in names:
        spared(daemon, int(str(state(daemon, name)["Pid"])))
    wait_for(lambda: copies() == before + 3 * len(names), "two streams and a pidfd of each")
    daemon.tare("rm", "-f", *names)
    wait_for(lambda: copies() == before, "the copies to be closed")


def test_ports_are_held_and_forwarded_again(daemon: Daemon) -> None:
    page = "echo hello > /index.html; exec httpd -f -p 80 -h /"
    daemon.tare("run", "-d", "--name", "web", "-p", "18391:80", "busybox", "sh", "-c", page)
    wait_for(lambda: get("127.0.0.1", 18391) == get("::1", 18391) == "hello", "the server")
    ports = daemon.tare("port", "web").stdout
    kill_supervisor(daemon)
    wait_for(lambda: get("127.0.0.1", 18391) == get("::1", 18391) == "hello", "the server again")
    with pytest.raises(OSError, match="in use"):
        socket.create_server(("0.0.0.0", 18391))
    assert daemon.tare("port", "web").stdout == ports
    daemon.kill(signal.SIGKILL)
    end(supervisor(daemon))
    daemon.start()
    wait_for(lambda: get("127.0.0.1", 18391) == get("::1", 18391) == "hello", "the server after both")
    daemon.tare("rm", "-f", "web")
    wait_for(lambda: get("127.0.0.1", 18391) != "hello", "the port to be free")
    socket.create_server(("0.0.0.0", 18391)).close()
