"""``/tare/v1/containers/ID/start``: Docker's start and wait in one request."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path

import pytest

from .conftest import Daemon
from .killing import fifo

NONE = ("--network", "none")


class Request:
    """A POST on a connection of its own: its status is known when the head is there, the rest may take its time."""

    def __init__(self, daemon: Daemon, path: str) -> None:
        self._connection = http.client.HTTPConnection("tare")
        self._connection.sock = socket.socket(socket.AF_UNIX)
        self._connection.sock.settimeout(30)
        self._connection.sock.connect(str(daemon.socket))
        self._connection.request("POST", path)
        self._answer = self._connection.getresponse()
        self.status = self._answer.status

    def value(self) -> dict[str, object]:
        text = self._answer.read()
        self._connection.close()
        return json.loads(text) if text else {}


def start(daemon: Daemon, ref: str, condition: str = "next-exit") -> Request:
    return Request(daemon, f"/v1.50/tare/v1/containers/{ref}/start?condition={condition}")


@pytest.mark.parametrize("condition", ["next-exit", "not-running", "removed"])
def test_the_head_comes_with_the_start_and_the_body_with_the_end(engine: Daemon, tmp_path: Path, condition: str) -> None:
    wake = fifo(tmp_path / "go")
    flags = ("--rm",) if condition == "removed" else ()
    engine.tare("create", "--name", "both", *flags, *NONE, "-v", f"{tmp_path}:/d", "busybox", "sh", "-c", "read x </d/go; exit 7")
    request = start(engine, "both", condition)
    assert request.status == 200
    assert engine.tare("inspect", "-f", "{{.State.Status}}", "both").stdout == "running\n"
    wake_it(wake)
    assert request.value() == {"StatusCode": 7}
    gone = engine.tare("rm", "both", check=False).returncode
    assert bool(gone) == (condition == "removed")


def wake_it(descriptor: int) -> None:
    with open(descriptor, "wb", 0) as file:
        file.write(b"on\n")


def test_what_runs_already_is_not_started(engine: Daemon) -> None:
    engine.tare("run", "-d", "--name", "already", *NONE, "busybox", "sleep", "1000")
    assert start(engine, "already").status == 304
    engine.tare("rm", "-f", "already")


def test_a_start_that_fails_is_an_error_and_nothing_waits(engine: Daemon) -> None:
    engine.tare("create", "--name", "failing", *NONE, "busybox", "no-such-command")
    request = start(engine, "failing")
    assert request.status == 400 and "executable file not found" in str(request.value()["message"])
    engine.tare("rm", "failing")


def test_bad_requests_start_nothing(engine: Daemon) -> None:
    assert start(engine, "nobody").status == 404
    engine.tare("create", "--name", "unstarted", *NONE, "busybox", "true")
    request = start(engine, "unstarted", "sometime")
    assert request.status == 400 and "invalid condition" in str(request.value()["message"])
    assert engine.tare("inspect", "-f", "{{.State.Status}}", "unstarted").stdout == "created\n"
    engine.tare("rm", "unstarted")
