"""Killing parts of the engine, and looking at what goes on without them."""

from __future__ import annotations

import http.client
import json
import os
import platform
import re
import select
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import IO

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
    return daemon.tare("logs", name, timeout=600).stdout.splitlines()


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
