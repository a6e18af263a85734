"""A real tared for the tests, and the real clients that speak with it."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

BIN = Path(sys.executable).parent
DOCKERS = [path for path in ("/usr/bin/docker", "/usr/local/bin/docker") if os.access(path, os.X_OK)]


@dataclass
class Daemon:
    """One tared on roots of its own."""

    directory: Path
    extra: list[str] = field(default_factory=list)
    python: str = sys.executable
    process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.directory / "tare.sock"

    @property
    def host(self) -> str:
        return f"unix://{self.socket}"

    @property
    def data_root(self) -> Path:
        return self.directory / "data"

    @property
    def exec_root(self) -> Path:
        return self.directory / "run"

    def start(self) -> None:
        reading, writing = os.pipe()
        command = [
            self.python, "-I", "-m", "tare.daemon.main", "--data-root", str(self.data_root),
            "--exec-root", str(self.exec_root), "--pidfile", str(self.directory / "pid"), "-H", self.host,
            "--config-file", str(self.directory / "daemon.toml"), "--ready-fd", str(writing), *self.extra,
        ]  # fmt: skip
        config = self.directory / "daemon.toml"
        if not config.exists():
            config.write_text("")
        with open(self.directory / "tared.log", "ab") as log:
            self.process = subprocess.Popen(command, pass_fds=[writing], stdout=log, stderr=log)
        os.close(writing)
        ready, _, _ = select.select([reading], [], [], 30)
        answer = os.read(reading, 4096) if ready else b"no answer in 30 s"
        os.close(reading)
        if answer != b"\n":
            raise RuntimeError(f"tared did not start: {answer.decode()}\n{self.log()}")

    def log(self) -> str:
        return (self.directory / "tared.log").read_text(errors="replace")

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End the daemon alone; supervisor and containers live on."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(30)
        self.process = None

    def stop(self) -> None:
        """End the daemon, every container and the supervisor."""
        if self.process is not None:
            ids = self.tare("ps", "-aq", check=False).stdout.split()
            if ids:
                self.tare("rm", "-f", *ids, check=False)
            # With nothing to look after the supervisor ends, and its janitor once the last cgroup is gone.
            going = [handle for pid in self.supervisors() if (handle := opened(pid)) >= 0]
            self.kill(signal.SIGTERM)
            await_ends(going, 10.0)
        for pid in self.supervisors()[:1]:
            end_group(pid)
        self.forget_network()

    def supervisors(self) -> list[int]:
        """The supervisor, if there is one, and everything below it."""
        path = self.exec_root / "supervisor.pid"
        text = path.read_text() if path.exists() else ""
        return [int(text), *descendants(int(text))] if text.strip() else []

    def forget_network(self) -> None:
        """A bridge and a table stay when tared ends; in the suite nobody needs them any more."""
        instance = hashlib.sha256(str(self.data_root).encode()).hexdigest()[:8]
        subprocess.run(["ip", "link", "delete", f"tare{instance}"], capture_output=True, check=False)
        subprocess.run(["nft", "delete", "table", "inet", f"tare_{instance}"], capture_output=True, check=False)

    def environment(self) -> dict[str, str]:
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith(("TARE", "DOCKER"))},
            "TARE_HOST": self.host,
            "DOCKER_HOST": self.host,
            "TARE_NO_AUTOSTART": "1",
            "DOCKER_CONFIG": str(self.directory / "docker-config"),
        }

    def tare(
        self, *args: str, check: bool = True, input: str | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        return self.run([str(BIN / "tare"), *args], check=check, input=input, timeout=timeout)

    def docker(
        self, *args: str, check: bool = True, input: str | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        return self.run([docker_binary(), *args], check=check, input=input, timeout=timeout)

    def run(self, command: list[str], *, check: bool, input: str | None, timeout: float) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            env=self.environment(),
            text=True,
            errors="replace",
            capture_output=True,
            input=input if input is not None else "",
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}\n{self.log()[-4000:]}")
        return done

    def inspect(self, ref: str) -> dict[str, object]:
        return json.loads(self.tare("inspect", ref).stdout)[0]


class Raw(http.client.HTTPConnection):
    """HTTP by hand over the unix socket."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__("localhost", timeout=30)
        self._path = daemon.socket

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(str(self._path))

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        data = None if body is None else json.dumps(body).encode()
        given = {"Content-Type": "application/json"} if data is not None else {}
        self.request(method, path, data, given | {name.replace("_", "-"): value for name, value in headers.items()})
        response = self.getresponse()
        return response.status, dict(response.headers), response.read()

    def json(self, method: str, path: str, body: object = None) -> Any:
        return json.loads(self.ask(method, path, body)[2])


def docker_binary() -> str:
    found = shutil.which("docker")
    if found is None:
        pytest.skip("no docker client on PATH")
    return found


def end_group(pid: int) -> None:
    """End the supervisor and what it started (its own session), and wait until they are gone."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return
    members = [pid, *descendants(pid)]
    for member in members:
        with contextlib.suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)
    select.select([handle], [], [], 10)
    os.close(handle)


def opened(pid: int) -> int:
    """A pidfd, -1 when there is no such process any more."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        return -1


def await_ends(handles: list[int], seconds: float) -> None:
    """Wait until the processes of these pidfds have ended, but not longer; closes them."""
    deadline = time.monotonic() + seconds
    for handle in handles:
        select.select([handle], [], [], max(0.0, deadline - time.monotonic()))
        os.close(handle)


def descendants(pid: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        parent = int(text.rpartition(")")[2].split()[1])
        parents.setdefault(parent, []).append(int(stat.parent.name))
    found: list[int] = []
    queue = [pid]
    while queue:
        for child in parents.get(queue.pop(), []):
            found.append(child)
            queue.append(child)
    return found


def wait_for(condition, what: str, seconds: float = 60.0) -> None:
    """Wait for an event that has no descriptor to wait on, with a deadline that an emulated machine keeps too."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for {what}")
        select.select([], [], [], 0.01)


def new_daemon(base: Path, name: str, *extra: str) -> Daemon:
    directory = base / name
    directory.mkdir()
    return Daemon(directory, list(extra))


@pytest.fixture(scope="session")
def engine(suite_directory: Path, busybox_tar: Path) -> Iterator[Daemon]:
    """The daemon that most tests share, with the image busybox."""
    daemon = new_daemon(suite_directory, "engine")
    daemon.start()
    try:
        daemon.tare("import", str(busybox_tar), "busybox")
        yield daemon
    finally:
        daemon.stop()


@pytest.fixture
def raw(engine: Daemon) -> Raw:
    return Raw(engine)


@pytest.fixture
def daemon(suite_directory: Path, busybox_tar: Path, request: pytest.FixtureRequest) -> Iterator[Daemon]:
    """A daemon for one test alone: to be killed, restarted, misconfigured."""
    made = new_daemon(suite_directory, f"daemon-{abs(hash(request.node.nodeid)) % 10**8}")
    made.start()
    made.tare("import", str(busybox_tar), "busybox")
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(made.directory, ignore_errors=True)
