"""Logger, janitor, template and forwarder are killed. The table in docs/design.md says what is to come of it."""

from __future__ import annotations

import threading
from pathlib import Path

from .conftest import Daemon, wait_for
from .killing import NONE, Talker, companion, end, get, logged


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
