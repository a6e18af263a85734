"""The daemon's own life: how it starts, what it refuses, what it hears, how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import Daemon, new_daemon, wait_for

TARED = [sys.executable, "-I", "-m", "tare.daemon.main"]


@pytest.fixture
def fresh(suite_directory: Path, request: pytest.FixtureRequest) -> Iterator[Daemon]:
    """A daemon without images, not started."""
    made = new_daemon(suite_directory, f"fresh-{abs(hash(request.node.nodeid)) % 10**8}")
    yield made
    made.stop()
    shutil.rmtree(made.directory, ignore_errors=True)


def flags(daemon: Daemon) -> list[str]:
    (daemon.directory / "daemon.toml").touch()
    return [
        *("--data-root", str(daemon.data_root), "--exec-root", str(daemon.exec_root), "--pidfile", str(daemon.directory / "pid")),
        *("--config-file", str(daemon.directory / "daemon.toml")),
    ]


def tared(*arguments: str, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*TARED, *arguments], capture_output=True, text=True, timeout=60, check=False, **more)  # type: ignore[call-overload,no-any-return]


def get(path: Path, what: str) -> bytes:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30)
        sock.connect(str(path))
        sock.sendall(f"GET {what} HTTP/1.0\r\n\r\n".encode())
        data = b""
        while piece := sock.recv(65536):
            data += piece
        return data.partition(b"\r\n\r\n")[2]


def test_version_and_help() -> None:
    assert tared("--version").stdout.startswith("tared version ")
    assert tared("-v").returncode == 0
    help_ = tared("--help").stdout
    assert help_.startswith("Usage: tared [FLAGS]")
    for flag in ("--data-root", "--exec-root", "-H", "-p", "-D", "--config-file", "--validate"):
        assert flag in help_


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nonsense"], "unknown flag: --nonsense"),
        (["extra"], "tared takes no arguments: extra"),
        (["--data-root"], "flag needs an argument"),
        (["--ready-fd", "x"], "must be a number"),
        (["--config-file", "/nowhere/daemon.toml"], "no configuration file"),
    ],
)
def test_a_bad_command_line_is_refused(arguments: list[str], message: str) -> None:
    done = tared(*arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_validate_only_looks(fresh: Daemon) -> None:
    done = tared("--validate", *flags(fresh))
    assert (done.returncode, done.stdout) == (0, "configuration OK\n")
    (fresh.directory / "daemon.toml").write_text('[storage]\ndrivr = "vfs"\n')
    done = tared("--validate", *flags(fresh))
    assert done.returncode == 1
    assert "daemon.toml:2: storage.drivr" in done.stderr
    assert not fresh.data_root.exists() and not fresh.exec_root.exists()


def test_it_tells_its_starter_that_it_serves_and_why_it_does_not(fresh: Daemon) -> None:
    fresh.start()
    assert get(fresh.socket, "/_ping") == b"OK"
    reading, writing = os.pipe()
    other = [*TARED, *flags(fresh), "-H", f"unix://{fresh.directory}/other.sock", "--ready-fd", str(writing)]
    process = subprocess.Popen(other, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    assert process.wait(30) == 1
    assert "still running" in told
    assert not (fresh.directory / "other.sock").exists()


def test_a_second_daemon_on_the_same_data_is_refused(fresh: Daemon) -> None:
    fresh.start()
    done = tared(*flags(fresh), "-H", f"unix://{fresh.directory}/other.sock", "--pidfile", f"{fresh.directory}/other.pid")
    assert done.returncode == 1
    assert str(fresh.data_root) in done.stderr
    assert "Traceback" not in done.stderr
    assert not (fresh.directory / "other.sock").exists() and not (fresh.directory / "other.pid").exists()
    assert get(fresh.socket, "/_ping") == b"OK"


def test_sigterm_ends_it_in_order_and_nothing_else(daemon: Daemon) -> None:
    daemon.tare("run", "-d", "--name", "survivor", "--network", "none", "busybox", "sleep", "1000")
    pid = daemon.inspect("survivor")["State"]["Pid"]  # type: ignore[index]
    assert (daemon.directory / "pid").read_text() == str(daemon.process.pid)  # type: ignore[union-attr]
    events = socket.socket(socket.AF_UNIX)
    with events:
        events.settimeout(30)
        events.connect(str(daemon.socket))
        events.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        assert events.recv(4096)
        process = daemon.process
        daemon.kill(signal.SIGTERM)
        assert process is not None and process.returncode == 0
        assert events.recv(4096) == b""
    assert not (daemon.directory / "pid").exists() and not daemon.socket.exists()
    os.kill(pid, 0)
    daemon.start()
    assert daemon.inspect("survivor")["State"]["Pid"] == pid  # type: ignore[index]


def test_a_dead_daemon_s_pid_file_and_socket_are_taken_over(daemon: Daemon) -> None:
    daemon.kill(signal.SIGKILL)
    assert (daemon.directory / "pid").exists() and daemon.socket.exists()
    daemon.start()
    assert get(daemon.socket, "/_ping") == b"OK"


def test_sighup_takes_what_can_change_and_names_what_cannot(fresh: Daemon) -> None:
    file = fresh.directory / "daemon.toml"
    file.write_text('labels = ["a=1"]\n')
    fresh.start()
    assert json.loads(get(fresh.socket, "/info"))["Labels"] == ["a=1"]
    file.write_text('labels = ["a=2"]\n[storage]\ndriver = "vfs"\n')
    assert fresh.process is not None
    fresh.process.send_signal(signal.SIGHUP)
    wait_for(lambda: json.loads(get(fresh.socket, "/info"))["Labels"] == ["a=2"], "the new label")
    assert "storage.driver changes when the daemon is restarted" in fresh.log()
    assert json.loads(get(fresh.socket, "/tare/v1/config"))["labels"] == {"Value": ["a=2"], "Origin": f"{file}:1"}
    file.write_text("nonsense = 1\n")
    fresh.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "the configuration was not reloaded" in fresh.log(), "the refusal")
    assert json.loads(get(fresh.socket, "/info"))["Labels"] == ["a=2"]


def test_plain_tcp_needs_a_word_and_warns(fresh: Daemon) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    host = f"tcp://127.0.0.1:{port}"
    done = tared(*flags(fresh), "-H", host)
    assert done.returncode == 1
    assert "api.allow-plain-tcp" in done.stderr
    fresh.extra = ["-H", host]
    (fresh.directory / "daemon.toml").write_text("[api]\nallow-plain-tcp = true\n")
    fresh.start()
    assert "without encryption" in fresh.log()
    with socket.create_connection(("127.0.0.1", port), 30) as sock:
        sock.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        data = b""
        while piece := sock.recv(4096):
            data += piece
    assert data.endswith(b"\r\n\r\nOK")


def test_it_serves_the_sockets_that_systemd_opened(fresh: Daemon) -> None:
    """sd_listen_fds(3): descriptor 3, LISTEN_FDS and LISTEN_PID; and READY=1 on $NOTIFY_SOCKET."""
    fresh.directory.joinpath("passed").mkdir()
    path = fresh.directory / "passed/tare.sock"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        listener.bind(str(path))
        listener.listen()
        notify.bind(str(fresh.directory / "notify"))
        notify.settimeout(30)
        shell = f'exec 3<&{listener.fileno()}; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"'
        process = subprocess.Popen(
            ["bash", "-c", shell, "-", *TARED, *flags(fresh), "-H", "fd://"],
            pass_fds=[listener.fileno()],
            env={**os.environ, "NOTIFY_SOCKET": str(fresh.directory / "notify")},
            stderr=subprocess.DEVNULL,
        )
        try:
            assert notify.recv(4096).startswith(b"READY=1\n")
            assert get(path, "/_ping") == b"OK"
            process.send_signal(signal.SIGTERM)
            assert notify.recv(4096) == b"STOPPING=1"
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait(30)
        assert path.exists()


def test_the_log_may_be_json(fresh: Daemon) -> None:
    (fresh.directory / "daemon.toml").write_text('[log]\nformat = "json"\nlevel = "debug"\n')
    fresh.start()
    lines = [json.loads(line) for line in fresh.log().splitlines()]
    assert any(line["level"] == "info" and "serving on" in line["msg"] for line in lines)


def test_a_full_disk_under_a_body_is_said_and_harms_nothing(daemon: Daemon) -> None:
    spool = daemon.data_root / "tmp"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tare-spool", str(spool)], check=True)
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(30)
            sock.connect(str(daemon.socket))
            size = 8 << 20
            sock.sendall(f"POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
            with contextlib.suppress(BrokenPipeError):
                sock.sendall(bytes(size))
            answer = sock.recv(65536)
    finally:
        subprocess.run(["umount", str(spool)], check=True)
    assert answer.startswith(b"HTTP/1.1 507 ")
    assert b"no space left on device" in answer
    assert daemon.tare("run", "--rm", "--network", "none", "busybox", "echo", "fine").stdout == "fine\n"


def test_docker_prunes_everything_that_is_not_used(daemon: Daemon) -> None:
    daemon.tare("run", "-d", "--name", "runs", "--network", "none", "busybox", "sleep", "1000")
    ended = daemon.tare("create", "--network", "none", "busybox", "true").stdout.strip()
    done = daemon.docker("system", "prune", "-f", "--volumes")
    assert f"Deleted Containers:\n{ended}\n" in done.stdout and "Total reclaimed space: " in done.stdout
    assert "Networks" not in done.stdout and done.stderr == ""
    assert daemon.tare("ps", "-a", "--format", "{{.Names}}").stdout == "runs\n"
    assert daemon.docker("network", "prune", "-f").stdout.strip() == ""
    assert daemon.docker("volume", "prune", "-f").stdout == "Total reclaimed space: 0B\n"
    assert daemon.docker("network", "ls", "--format", "{{.Name}}").stdout.split() == ["bridge", "host", "none"]
    for filter_, word in (("until=soon", "soon"), ("colour=red", "colour")):
        refused = daemon.docker("network", "prune", "-f", "--filter", filter_, check=False)
        assert refused.returncode == 1 and word in refused.stderr
    refused = daemon.docker("network", "rm", "bridge", check=False)
    assert refused.returncode == 1 and "bridge is a pre-defined network and cannot be removed" in refused.stderr
    refused = daemon.docker("network", "rm", "nosuch", check=False)
    assert refused.returncode == 1 and "network nosuch not found" in refused.stderr
