"""A real supervisor in a directory of its own, and tared's side of its socket."""

from __future__ import annotations

import contextlib
import marshal
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tare.errors import TareError, from_fields
from tare.supervisor import messages, spawn
from tare.supervisor.loop import Loop

DEADLINE = 20.0
HERE = str(Path(__file__).parent)


class Peer:
    """One connection, as tared would hold it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sock = spawn.connect_or_spawn(str(root))
        self.sock.settimeout(DEADLINE)
        self.serial = 0
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.received: list[int] = []
        self.hello = self.ask("hello", versions=[1, 1], pid=os.getpid())

    def send(self, kind: str, fds: tuple[int, ...] = (), **body: Any) -> int:
        self.serial += 1
        messages.send(self.sock, kind, self.serial, body, fds)
        return self.serial

    def answer(self, serial: int) -> dict[str, Any]:
        while True:
            message = messages.receive(self.sock)
            assert message is not None, "the supervisor has gone"
            kind, number, body, self.received = message
            if number == 0:
                self.events.append((kind, body))
            elif number == serial:
                if kind == "error":
                    raise from_fields(**body)
                return body

    def ask(self, kind: str, fds: tuple[int, ...] = (), **body: Any) -> dict[str, Any]:
        return self.answer(self.send(kind, fds, **body))

    def event(self, kind: str, container: str, exec: str = "") -> dict[str, Any]:
        """The next event of this kind about this process."""
        while True:
            for at, (name, body) in enumerate(self.events):
                if (name, body["container"], body["exec"]) == (kind, container, exec):
                    del self.events[at]
                    return body
            message = messages.receive(self.sock)
            assert message is not None, "the supervisor has gone"
            assert message[1] == 0, f"an answer that nobody waits for: {message}"
            self.events.append((message[0], message[2]))

    def template(self, entry: str = "entries:run", runtime: str = "test", build: str = "") -> None:
        self.ask("template", runtime=runtime, entry=entry, path=[HERE], build=build)

    def start_body(self, container: str, *argv: str, plan: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        tty = bool(more.get("tty"))
        launch = {
            "entry": "entries:run",
            "plan": marshal.dumps({"argv": list(argv), "tty": tty, **(plan or {})}, 2),
            "namespaces": 0,
            "pid_namespace": "",
            "cgroups": (),
            "clone_cgroup": "",
            "argv": (),
            "pid_file": "",
        }
        launch.update(more.pop("launch", {}))
        return {
            "container": container,
            "exec": "",
            "runtime": "test",
            "launch": launch,
            "links": [],
            "tty": tty,
            "stdin": False,
            "stdin_once": False,
            "log": None,
            "exit_record": "",
            "size": [0, 0],
            "mount_fds": [],
            **more,
        }

    def start(self, container: str, *argv: str, fds: tuple[int, ...] = (), **more: Any) -> dict[str, Any]:
        return self.ask("start", fds, **self.start_body(container, *argv, **more))

    def attach(self, container: str, exec: str = "", **more: Any) -> socket.socket:
        """A client's end."""
        ours, theirs = socket.socketpair()
        body = {"stdin": True, "stdout": True, "stderr": True, "framed": True, "detach_keys": b"", "initial": b"", "id": "a"}
        with theirs:
            self.ask("attach", (theirs.fileno(),), container=container, exec=exec, **{**body, **more})
        ours.settimeout(DEADLINE)
        return ours

    def exit(self, container: str, exec: str = "") -> dict[str, Any]:
        """Wait for the exit and acknowledge it."""
        body = self.event("exit", container, exec)
        self.ask("acknowledge", container=container, exec=exec)
        return body

    def close(self) -> None:
        self.sock.close()


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """An exec-root. Whatever runs in it at the end is killed, supervisor included."""
    folder = tmp_path / "run"
    yield folder
    peer = spawn.connect(str(folder)) if folder.exists() else None
    if peer is None:
        return
    peer.close()
    last = Peer(folder)
    for process in last.hello["processes"]:
        if process["exit"] is None:
            with contextlib.suppress(TareError):
                last.ask("signal", container=process["container"], exec=process["exec"], signal=int(signal.SIGKILL))
            last.exit(process["container"], process["exec"])
    last.ask("stop")
    gone(last.hello["pid"])
    last.close()


@pytest.fixture
def peer(root: Path) -> Iterator[Peer]:
    one = Peer(root)
    one.template()
    yield one
    one.close()


def everything(sock: socket.socket) -> bytes:
    """What comes until the end."""
    data = b""
    while piece := sock.recv(65536):
        data += piece
    return data


def frames(data: bytes) -> dict[int, bytes]:
    """Docker's frames, joined by stream."""
    found: dict[int, bytes] = {}
    while data:
        stream, size = data[0], int.from_bytes(data[4:8])
        assert data[1:4] == b"\0\0\0"
        found[stream] = found.get(stream, b"") + data[8 : 8 + size]
        data = data[8 + size :]
    return found


def until(sock: socket.socket, word: bytes) -> bytes:
    """What comes up to and with ``word``."""
    data = b""
    while word not in data:
        piece = sock.recv(65536)
        assert piece, f"the end came before {word!r}: {data!r}"
        data += piece
    return data


def gone(pid: int) -> None:
    """Wait until a process that is not ours has ended."""
    with contextlib.suppress(ProcessLookupError):
        fd = os.pidfd_open(pid)
        try:
            assert select.select([fd], [], [], DEADLINE)[0], f"process {pid} does not end"
        finally:
            os.close(fd)


def eventually(condition: Any) -> None:
    """Poll what gives no event, with a deadline."""
    deadline = time.monotonic() + DEADLINE
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it never became true"
        pause.wait(0.005)


def serve(loop: Loop, until: Callable[[], object]) -> None:
    """Run a loop of the test's own until ``until`` is true."""
    met = False
    late = loop.after(DEADLINE, loop.stop)

    def look() -> None:
        nonlocal met
        met = bool(until())
        if met:
            loop.stop()
        else:
            loop.after(0.001, look)

    loop.after(0, look)
    loop.run()
    late.cancel()
    assert met, "it never became true"
