"""Somebody sits at a terminal: raw mode, sizes, keys, ctrl-c and leaving."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shutil
import signal
import struct
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import BIN, Daemon, wait_for

PATIENCE = 20.0
COMPLETIONS = Path(__file__).parents[2] / "contrib/completions"


class Terminal:
    """A command on a terminal of its own; what it shows is kept."""

    def __init__(self, daemon: Daemon, *words: str, program: str = str(BIN / "tare"), rows: int = 30, columns: int = 100) -> None:
        self.shown = b""
        self.status: int | None = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(program, [os.path.basename(program), *words], daemon.environment())
        self.resize(rows, columns)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def see(self, text: str, after: int = 0) -> int:
        """Wait until ``text`` is shown at or after a place; the place behind it."""
        deadline = time.monotonic() + PATIENCE
        while (found := self.shown.find(text.encode(), after)) < 0:
            if not self._read(deadline):
                raise AssertionError(f"{text!r} is not among {self.shown.decode(errors='replace')!r}")
        return found + len(text.encode())

    def end(self) -> int:
        """The exit code, when the command has ended by itself."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        assert time.monotonic() < deadline, f"it does not end: {self.shown!r}"
        _pid, status = os.waitpid(self.pid, 0)
        self.status = status
        return os.waitstatus_to_exitcode(status)

    def _read(self, deadline: float) -> bool:
        if not select.select([self.fd], [], [], max(0, deadline - time.monotonic()))[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.shown += data
        return bool(data)

    def close(self) -> None:
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


@pytest.fixture
def terminals(engine: Daemon) -> Iterator[list[Terminal]]:
    made: list[Terminal] = []
    yield made
    for terminal in made:
        terminal.close()
    ids = engine.tare("ps", "-aq").stdout.split()
    if ids:
        engine.tare("rm", "-f", *ids)


def test_a_shell(engine: Daemon, terminals: list[Terminal]) -> None:
    terminal = Terminal(engine, "run", "-it", "--rm", "--network", "none", "busybox", "sh")
    terminals.append(terminal)
    place = terminal.see("# ")
    terminal.type("stty size; tty; echo $((6*7))\n")
    place = terminal.see("30 100\r\n", place)
    place = terminal.see("/dev/pts/0\r\n42\r\n", place)
    terminal.resize(20, 90)
    os.kill(terminal.pid, signal.SIGWINCH)
    wait_for(lambda: _sees_size(terminal, "20 90"), "the new size in the container")
    terminal.type("exit 7\n")
    assert terminal.end() == 7


def _sees_size(terminal: Terminal, size: str) -> bool:
    place = len(terminal.shown)
    terminal.type("stty size; echo END''MARK\n")
    end = terminal.see("ENDMARK\r\n", place)
    return f"\n{size}\r\n".encode() in terminal.shown[place:end]


def test_ctrl_c_goes_to_the_process_and_not_to_us(engine: Daemon, terminals: list[Terminal]) -> None:
    script = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 1; done"
    terminal = Terminal(engine, "run", "-it", "--rm", "--network", "none", "busybox", "sh", "-c", script)
    terminals.append(terminal)
    terminal.see("ready")
    terminal.type("\x03")
    terminal.see("caught")
    assert terminal.end() == 9


@pytest.mark.parametrize(("flags", "keys"), [((), "\x10\x11"), (("--detach-keys", "ctrl-x,y"), "\x18y")])
def test_leaving_and_coming_back(engine: Daemon, terminals: list[Terminal], flags: tuple[str, ...], keys: str) -> None:
    terminal = Terminal(engine, "run", "-it", "--name", "stays", *flags, "--network", "none", "busybox", "sh")
    terminals.append(terminal)
    terminal.see("# ")
    terminal.type("cd /tmp\n")
    terminal.see("/tmp # ")
    for key in keys:
        terminal.type(key)
    terminal.see("read escape sequence")
    assert terminal.end() == 0
    assert engine.tare("ps", "--format", "{{.Names}}").stdout == "stays\n"
    again = Terminal(engine, "attach", *flags, "stays")
    terminals.append(again)
    # Before anything is typed: it has been told of two sizes, and shows its prompt again.
    again.see("/tmp # ")
    again.type("pwd\n")
    again.see("/tmp\r\n")
    again.type("exit 5\n")
    assert again.end() == 5


def test_exec_has_a_terminal_of_its_own(engine: Daemon, terminals: list[Terminal]) -> None:
    engine.tare("run", "-d", "--name", "host-of-exec", "--network", "none", "busybox", "sleep", "1000")
    terminal = Terminal(engine, "exec", "-it", "host-of-exec", "sh", rows=24, columns=77)
    terminals.append(terminal)
    place = terminal.see("# ")
    terminal.type("stty size\n")
    terminal.see("24 77\r\n", place)
    terminal.type("exit 4\n")
    assert terminal.end() == 4


def test_our_terminal_is_as_it_was(engine: Daemon, terminals: list[Terminal]) -> None:
    terminal = Terminal(engine, "run", "-it", "--rm", "--network", "none", "busybox", "sh")
    terminals.append(terminal)
    before = termios.tcgetattr(terminal.fd)
    terminal.see("# ")
    wait_for(lambda: not termios.tcgetattr(terminal.fd)[3] & termios.ICANON, "raw mode")
    terminal.type("exit\n")
    slave = os.open(os.ttyname(terminal.fd) if os.isatty(terminal.fd) else "/dev/null", os.O_RDWR | os.O_NOCTTY)
    assert terminal.end() == 0
    os.close(slave)
    assert termios.tcgetattr(terminal.fd)[3] & termios.ICANON
    assert termios.tcgetattr(terminal.fd)[3] == before[3]


def test_start_attached(engine: Daemon, terminals: list[Terminal]) -> None:
    engine.tare("create", "-it", "--name", "sleeper", "--network", "none", "busybox", "sh")
    terminal = Terminal(engine, "start", "-ai", "sleeper")
    terminals.append(terminal)
    terminal.see("# ")
    terminal.type("exit 3\n")
    assert terminal.end() == 3


def test_a_terminal_is_needed_for_one(engine: Daemon) -> None:
    for words in (("run", "-it", "--network", "none", "busybox"), ("run", "--rm", "-it", "--network", "none", "busybox", "sh")):
        done = engine.tare(*words, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("tare: the input device is not a TTY\n")
    assert engine.tare("ps", "-aq").stdout == ""


def test_completion_in_zsh(engine: Daemon) -> None:
    zsh = shutil.which("zsh") or pytest.skip("no zsh on this host")
    engine.tare("create", "--name", "completed-by-zsh", "--network", "none", "busybox", "true")
    terminal = Terminal(engine, "-f", program=zsh)
    try:
        terminal.type(f"PS1='rea''dy> '; PATH={BIN}:$PATH; autoload -U compinit; compinit -D; source {COMPLETIONS}/tare.zsh\n")
        at = terminal.see("ready> ")
        terminal.type("tare rm completed\t")
        at = terminal.see("tare rm completed-by-zsh", at)
        terminal.type("\n")
        terminal.see("ready> ", at)
        assert engine.tare("ps", "-aq").stdout == ""
        terminal.type("exit\n")
        terminal.end()
    finally:
        terminal.close()


def test_completion_in_fish(engine: Daemon, tmp_path: Path) -> None:
    fish = shutil.which("fish") or pytest.skip("no fish on this host")
    (tmp_path / "archive.tar").touch()
    engine.tare("create", "--name", "completed-by-fish", "--network", "none", "busybox", "true")
    wanted = {
        "rm comp": ["completed-by-fish"],
        "-H nowhere container rm comp": ["completed-by-fish"],
        "network l": ["list", "ls"],
        "container ls --no-t": ["--no-trunc"],
        "system pr": ["prune"],
        "image rm busy": ["busybox:latest"],
        "network inspect ": ["bridge", "host", "none"],
        "run --network n": ["none"],
        f"import {tmp_path}/ar": [f"{tmp_path}/archive.tar"],
    }
    script = f"set PATH {BIN} $PATH; source {COMPLETIONS}/tare.fish; "
    script += "; echo '~'; ".join(f"complete -C 'tare {words}'" for words in wanted)
    offered = engine.run([fish, "--no-config", "-c", script], check=True, input=None, timeout=60).stdout.split("~\n")
    found = [[line.split("\t")[0] for line in part.splitlines()] for part in offered]
    assert dict(zip(wanted, found, strict=True)) == wanted
    engine.tare("rm", "completed-by-fish")
