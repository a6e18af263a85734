"""The supervisor and its companions are killed at any moment. The table in docs/design.md says what is to come of it; each
line of it names its test here."""

from __future__ import annotations

import http.client
import json
import os
import platform
import random
import re
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import IO

import pytest

from .conftest import BIN, Daemon, descendants, wait_for

NONE = ("--network", "none")
EXITS_KNOWN = tuple(map(int, re.findall(r"\d+", platform.release())[:2])) >= (6, 15)
REPEAT = "while read word; do [ $word = quit ] && exit 42; echo $word; done < {fifo}"
MARK = "98765"

Clients = list[subprocess.Popen[bytes]]


def state(daemon: Daemon, name: str) -> dict[str, object]:
    return json.loads(daemon.tare("inspect", "-f", "{{json .State}}", name).stdout)


def links(pid: int) -> list[str]:
    """What the descriptors of a process are."""
    found = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(os.readlink(fd))
        except OSError:
            continue
    return found


def spared(daemon: Daemon, pid: int) -> None:
    """Wait until the daemon has copies of what the process writes to."""
    assert daemon.process is not None
    tared = daemon.process.pid
    output = os.readlink(f"/proc/{pid}/fd/1")
    wanted = "/dev/pts/ptmx" if output.startswith("/dev/pts") else output
    wait_for(lambda: any(link.endswith(wanted) for link in links(tared)), "spare copies of the streams")


def supervisor(daemon: Daemon) -> int:
    return int((daemon.exec_root / "supervisor.pid").read_text() or 0)


def end(pid: int) -> None:
    """Kill a process that is not ours and see it go."""
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: gone(pid), f"the end of {pid}")


def gone(pid: int) -> bool:
    """Ended, whether or not the host's init has reaped it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def kill_supervisor(daemon: Daemon) -> int:
    """The supervisor is killed, its companions are gone and another has begun. Its pid."""
    before = supervisor(daemon)
    companions = [pid for pid in descendants(before) if role(pid)]
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: supervisor(daemon) not in (0, before), "another supervisor")
    wait_for(lambda: all(map(gone, companions)), "the end of the companions")
    return supervisor(daemon)


def role(pid: int) -> str:
    """``logger``, ``janitor`` … when the process is one of the engine's own."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    at = [number for number, word in enumerate(words) if word.endswith(b"supervisor/__main__.py")]
    return words[at[0] + 1].decode() if at else ""


def companion(daemon: Daemon, name: str) -> int:
    """Wait until the supervisor has one of this role."""
    found: list[int] = []

    def there() -> bool:
        found[:] = [pid for pid in descendants(supervisor(daemon)) if role(pid) == name]
        return bool(found)

    wait_for(there, f"a {name}")
    return found[0]


def logged(daemon: Daemon, name: str) -> list[str]:
    return daemon.tare("logs", name).stdout.splitlines()


def logged_bytes(daemon: Daemon, name: str) -> int:
    return (daemon.data_root / "containers" / str(daemon.inspect(name)["Id"]) / "container.log").stat().st_size


class Talker:
    """A container that repeats what it is told by a fifo and ends with 42 when it is told to quit."""

    def __init__(self, daemon: Daemon, folder: Path, name: str, *flags: str) -> None:
        self.daemon, self.name = daemon, name
        self.fifo = fifo(folder / name)
        script = REPEAT.format(fifo="/go")
        daemon.tare("run", "-d", "--name", name, *NONE, "-v", f"{folder}/{name}:/go", *flags, "busybox", "sh", "-c", script)
        self.pid = int(str(state(daemon, name)["Pid"]))

    def say(self, word: str) -> None:
        os.write(self.fifo, f"{word}\n".encode())

    def heard(self, *words: str) -> None:
        """These are the lines of its log, all of them."""
        wait_for(lambda: logged(self.daemon, self.name)[-1:] == [words[-1]], words[-1])
        assert logged(self.daemon, self.name) == list(words)

    def quits(self) -> None:
        """It ends, and how is known where the kernel tells (6.15)."""
        self.say("quit")
        self.daemon.tare("wait", self.name)
        ended = state(self.daemon, self.name)
        if EXITS_KNOWN:
            assert (ended["Status"], ended["ExitCode"], ended["Error"]) == ("exited", 42, "")
        else:
            assert ended["ExitCode"] == 255 and "unknown" in str(ended["Error"])


def fifo(path: Path) -> int:
    """Open for reading too, so that neither side waits for the other."""
    os.mkfifo(path)
    return os.open(path, os.O_RDWR)


def api(daemon: Daemon, method: str, path: str, body: object = None) -> dict[str, object]:
    """One request of the HTTP API."""
    connection = http.client.HTTPConnection("tare")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(daemon.socket))
    try:
        connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status < 300, text
        return json.loads(text) if text else {}
    finally:
        connection.close()


@pytest.fixture
def attached(daemon: Daemon) -> Iterator[Clients]:
    """Clients that run beside the test."""
    clients: Clients = []
    yield clients
    for client in clients:
        client.kill()
        client.communicate()


def client(daemon: Daemon, clients: Clients, *args: str) -> subprocess.Popen[bytes]:
    command = [str(BIN / "tare"), *args]
    made = subprocess.Popen(command, env=daemon.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    clients.append(made)
    return made


def reads(out: IO[bytes], says: Callable[[], None]) -> bytes:
    """What a client prints when something is said again and again."""

    def spoken() -> bool:
        says()
        return bool(select.select([out], [], [], 0.1)[0])

    wait_for(spoken, "the attached client")
    return os.read(out.fileno(), 65536)


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
    spared(daemon, int(str(state(daemon, "here")["Pid"])))
    kill_supervisor(daemon)
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


def sleepers() -> list[int]:
    """The processes of the test above."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[:2] == [b"sleep", MARK.encode()]:
            found.append(int(folder.name))
    return found


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
    wait_for(lambda: census() == before, f"{before}")
    for talker in talkers:
        talker.say("still")
        talker.heard("still")
        talker.quits()
    assert not list((daemon.exec_root / "processes").iterdir())


def test_short_runs_fetch_nothing_and_long_ones_give_back(daemon: Daemon) -> None:
    assert daemon.process is not None
    tared = daemon.process.pid
    daemon.tare("run", "--rm", *NONE, "busybox", "true")
    before = len(links(tared))
    for _ in range(20):
        daemon.tare("run", "--rm", *NONE, "busybox", "true")
    wait_for(lambda: len(links(tared)) == before, "no more descriptors than before")
    names = [f"long{number}" for number in range(5)]
    for name in names:
        daemon.tare("run", "-d", "--name", name, *NONE, "busybox", "sleep", "1000")
    for name in names:
        spared(daemon, int(str(state(daemon, name)["Pid"])))
    assert len(links(tared)) == before + 2 * len(names)
    daemon.tare("rm", "-f", *names)
    wait_for(lambda: len(links(tared)) == before, "the copies to be closed")


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


def get(address: str, port: int) -> str:
    try:
        with socket.create_connection((address, port), 5) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return until(connection, b"").decode().rpartition("\r\n\r\n")[2].strip()
    except OSError as error:
        return type(error).__name__


def hijacked(daemon: Daemon, path: str) -> socket.socket:
    """A stream of the HTTP API, its head read."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20)
    sock.connect(str(daemon.socket))
    sock.sendall(f"POST {path} HTTP/1.1\r\nHost: tare\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n".encode())
    assert until(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 101")
    return sock


def until(sock: socket.socket, word: bytes) -> bytes:
    """What comes up to ``word``, or to the end."""
    data = b""
    while not (word and word in data) and (piece := sock.recv(65536)):
        data += piece
    return data


def test_the_logger_is_killed(daemon: Daemon, tmp_path: Path) -> None:
    """What it had not written is lost; the lines after that are not."""
    talker = Talker(daemon, tmp_path, "talks")
    talker.say("one")
    talker.heard("one")
    for number in range(3):
        end(companion(daemon, "logger"))
        talker.say(f"after-{number}")
        wait_for(lambda number=number: f"after-{number}" in logged(daemon, "talks"), "the next line")
    talker.heard("one", "after-0", "after-1", "after-2")
    assert daemon.tare("run", "--rm", *NONE, "busybox", "echo", "next").stdout == "next\n"
    talker.say("quit")
    assert daemon.tare("wait", "talks").stdout == "42\n"


def test_the_janitor_is_killed(daemon: Daemon) -> None:
    """It is told again what is to be removed."""
    for number in range(5):
        name = f"c{number}"
        daemon.tare("run", "--name", name, *NONE, "busybox", "sh", "-c", "mkdir -p /a/b/c; touch /a/b/c/d")
        janitor = companion(daemon, "janitor")
        daemon.tare("rm", name)
        end(janitor)
    assert daemon.tare("run", "--rm", *NONE, "busybox", "echo", "next").stdout == "next\n"
    wait_for(lambda: not list((daemon.data_root / "containers").iterdir()), "the containers' directories to go")
    wait_for(lambda: not list((daemon.data_root / "storage/overlay2/snapshots").iterdir()), "their files to go")


def test_the_template_is_killed(daemon: Daemon, tmp_path: Path) -> None:
    """A start that was on its way may fail and says why; the next one works."""
    talker = Talker(daemon, tmp_path, "talks")
    for _ in range(3):
        end(companion(daemon, "template"))
        assert daemon.tare("run", "--rm", *NONE, "busybox", "echo", "next").stdout == "next\n"
    stop = threading.Event()
    failures: list[str] = []
    runs: list[int] = []

    def work() -> None:
        while not stop.is_set():
            done = daemon.tare("run", "--rm", *NONE, "busybox", "true", check=False)
            runs.append(done.returncode)
            if done.returncode:
                failures.append(done.stderr)

    thread = threading.Thread(target=work)
    thread.start()
    for _ in range(5):
        enough = len(runs) + 2
        wait_for(lambda enough=enough: len(runs) >= enough, "runs", 30)
        end(companion(daemon, "template"))
    stop.set()
    thread.join()
    assert all("template of runtime ns died" in text for text in failures), failures
    talker.say("here")
    talker.heard("here")
    wait_for(lambda: daemon.tare("ps", "-q").stdout.count("\n") == 1, "nothing but the talker")


def test_the_forwarder_is_killed(daemon: Daemon) -> None:
    """Its connections break; the ports are served again."""
    page = "echo hello > /index.html; exec httpd -f -p 80 -h /"
    daemon.tare("run", "-d", "--name", "web", "-p", "[::1]:18392:80", "busybox", "sh", "-c", page)
    for _ in range(3):
        wait_for(lambda: get("::1", 18392) == "hello", "the server")
        end(companion(daemon, "forwarder"))
    wait_for(lambda: get("::1", 18392) == "hello", "the server again")
