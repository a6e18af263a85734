"""Somebody types in a real terminal (tmux): with tare, and with docker against tared."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from .conftest import BIN, Daemon, wait_for

PATIENCE = 20.0
CLIENTS = ("tare", "docker")


class Window:
    """A shell in a window of a tmux server of the test's own."""

    def __init__(self, server: str, name: str, daemon: Daemon, columns: int = 100, rows: int = 30) -> None:
        self.server = server
        self.name = name
        environment = {key: value for key, value in daemon.environment().items() if key != "TMUX"}
        environment["PATH"] = f"{BIN}:{environment['PATH']}"
        size = ("-x", str(columns), "-y", str(rows))
        self.tmux("new-session", "-d", "-s", name, *size, "sh", environment=environment)
        self.type("PS1='host''% '; clear")
        self.see("host%")

    def tmux(self, *words: str, environment: dict[str, str] | None = None) -> str:
        command = ["tmux", "-L", self.server, "-f", "/dev/null", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout

    def keys(self, *keys: str) -> None:
        """Press keys by their names: C-c, Enter, Escape."""
        self.tmux("send-keys", "-t", self.name, *keys)

    def type(self, line: str) -> None:
        self.tmux("send-keys", "-t", self.name, "-l", line)
        self.keys("Enter")

    def screen(self) -> str:
        return self.tmux("capture-pane", "-p", "-t", self.name)

    def see(self, text: str) -> None:
        """Wait until the screen shows it."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.screen():
            assert time.monotonic() < deadline, f"{text!r} is not on the screen:\n{self.screen()}"

    def resize(self, columns: int, rows: int) -> None:
        self.tmux("resize-window", "-t", self.name, "-x", str(columns), "-y", str(rows))


@pytest.fixture
def window(engine: Daemon, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Window]]:
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    server = f"tare-suite-{os.getpid()}"
    yield lambda name: Window(server, name, engine)
    subprocess.run(["tmux", "-L", server, "kill-server"], capture_output=True, check=False)
    ids = engine.tare("ps", "-aq").stdout.split()
    if ids:
        engine.tare("rm", "-f", *ids)


@pytest.mark.parametrize("client", CLIENTS)
def test_an_editor_and_a_changing_window(window: Callable[[str], Window], client: str) -> None:
    shell = window("shell")
    shell.type(f"{client} run -it --rm --network none busybox sh; echo code $?")
    shell.see("/ #")
    shell.type("stty size")
    shell.see("30 100")
    shell.type("vi /tmp/letter")
    shell.see("- /tmp/letter")
    shell.keys("i")
    shell.see("I /tmp/letter")
    shell.type("dear reader")
    shell.keys("Escape")
    # vi takes an Escape with something at its heels for a cursor key, and shows in its status line when it has understood.
    shell.see("- /tmp/letter [Modified]")
    shell.resize(80, 20)
    shell.type(":wq")
    shell.type("clear; stty size; wc -w /tmp/letter")
    shell.see("20 80")
    shell.see("2 /tmp/letter")
    shell.type("sleep 1000")
    shell.keys("C-c")
    shell.type("echo inside $?")
    shell.see("inside 130")
    shell.type("exit 7")
    shell.see("code 7")


@pytest.mark.parametrize("client", CLIENTS)
def test_two_sit_at_one_terminal(engine: Daemon, window: Callable[[str], Window], client: str) -> None:
    name = f"shared-by-{client}"
    one, two = window("one"), window("two")
    one.type(f"{client} run -it --name {name} --network none busybox sh; echo left $?")
    one.see("/ #")
    two.type(f"{client} attach {name}")
    wait_for(lambda: events(engine, name).count("attach") == 2, "the second attach")
    two.keys("Enter")
    two.type("echo two $((40+2))")
    for who in (one, two):
        who.see("two 42")
    two.keys("C-p", "C-q")
    two.see("read escape sequence")
    one.type("echo alone $((50+2))")
    one.see("alone 52")
    assert "alone 52" not in two.screen()
    one.keys("C-p", "C-q")
    one.see("left 0")
    assert engine.tare("ps", "--format", "{{.Names}}").stdout == f"{name}\n"
    one.type(f"clear; {client} attach {name}; echo code $?")
    one.keys("Enter")
    one.see("/ #")
    one.type("exit 5")
    one.see("code 5")


def events(engine: Daemon, name: str) -> list[str]:
    done = engine.tare("events", "--since", "5m", "--until", "0s", "-f", f"container={name}", "--format", "{{.Action}}")
    return done.stdout.split()


@pytest.mark.parametrize("client", CLIENTS)
def test_exec_follows_its_own_window(engine: Daemon, window: Callable[[str], Window], client: str) -> None:
    engine.tare("run", "-dit", "--name", "host-of-exec", "--network", "none", "busybox", "sh")
    shell = window("shell")
    shell.type(f"{client} exec -it host-of-exec sh; echo code $?")
    shell.see("/ #")
    shell.type("tty; echo parent $PPID")
    shell.see("/dev/pts/1")
    shell.see("parent 0")
    shell.resize(90, 25)
    shell.type("stty size")
    shell.see("25 90")
    shell.keys("C-d")
    shell.see("code 0")


@pytest.mark.parametrize("client", CLIENTS)
def test_following_is_ended_by_ctrl_c(engine: Daemon, window: Callable[[str], Window], client: str) -> None:
    script = "i=0; while :; do echo line $i; i=$((i+1)); sleep 0.1; done"
    engine.tare("run", "-d", "--name", "talker", "--network", "none", "busybox", "sh", "-c", script)
    shell = window("shell")
    shell.type(f"{client} logs -f --tail 1 talker")
    shell.see("line 15")
    shell.keys("C-c")
    shell.type("echo code $?")
    shell.see("code 130")
    listeners = int(engine.tare("info", "-f", "{{.NEventsListener}}").stdout)
    shell.type(f"clear; {client} events --filter container=talker --filter event=pause")
    wait_for(lambda: int(engine.tare("info", "-f", "{{.NEventsListener}}").stdout) > listeners, "somebody who listens")
    engine.tare("pause", "talker")
    engine.tare("unpause", "talker")
    shell.see("container pause")
    assert "container unpause" not in shell.screen()
    shell.keys("C-c")
    shell.type("echo code $?")
    shell.see("code 130")


def test_a_signal_from_the_keyboard_is_passed_on(window: Callable[[str], Window]) -> None:
    script = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.1; done"
    for client in CLIENTS:
        shell = window(client)
        shell.type(f'{client} run --rm --network none busybox sh -c "{script}"; echo code $?')
        shell.see("\nready")
        shell.keys("C-c")
        shell.see("caught")
        shell.see("code 9")
