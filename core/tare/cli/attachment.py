"""Being attached to a container that starts or runs: streams, terminal, signals, and the exit code at the end."""

from __future__ import annotations

import posix

from tare.cli import streams
from tare.client import containers
from tare.errors import Conflict, TareError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tare.client.client import Call, Client

NOT_A_TERMINAL = "the input device is not a TTY"
BOTH_OUTPUTS = frozenset(("stdout", "stderr"))
MISSING = ("executable file not found", "no such file or directory", "system cannot find the file specified")
FORBIDDEN = ("permission denied", "is a directory", "exec format error")


class Attachment:
    """One attachment: ``open`` asks for the streams, ``start`` or ``wait`` for the exit code, ``follow`` stays to the end.

    ``redraw`` is for a terminal whose contents somebody else has seen: its size is changed and changed back, upon which
    shells and editors show their line or their screen again (so does Docker's client).
    """

    def __init__(
        self, client: Client, ref: str, *, tty: bool, wanted: frozenset[str], keys: str = "", redraw: bool = False
    ) -> None:
        self.client = client
        self.ref = ref
        self.tty = tty
        self.wanted = wanted
        self.keys_text = keys
        self.redraw = redraw
        self.keys = _detach_keys(keys) if tty or keys else b""
        self.stream: Call | None = None
        self.exit: Call | None = None

    def check(self) -> None:
        """Raise Conflict where a terminal is asked for and there is none."""
        if self.tty and "stdin" in self.wanted and not posix.isatty(0):
            raise Conflict(NOT_A_TERMINAL, hint="leave out -t, or type the command in a terminal")

    def open(self, *, logs: bool = False) -> None:
        """Ask for the streams, before the start if there is to be one: then nothing that is written is missed."""
        query = [(name, name in self.wanted) for name in ("stdin", "stdout", "stderr")]
        query += [("stream", True), ("logs", logs)]
        if self.wanted:
            self.stream = containers.attach(self.client, self.ref, [*query, ("detachKeys", self.keys_text)])
            self.stream.answer()

    def start(self, condition: str) -> int:
        """Start it: 0, or what to exit with when it does not start, which has been told by then."""
        try:
            self.exit = containers.start_and_wait(self.client, self.ref, condition)
        except TareError as error:
            from tare.cli import render

            render.failure(error)
            return start_code(error)
        return 0

    def wait(self) -> None:
        """It runs already: ask for its exit code."""
        self.exit = containers.wait(self.client, self.ref)

    def follow(self) -> int:
        """Carry the streams until the container has ended; its exit code, or 0 when the user left it."""
        assert self.exit is not None
        if self.stream and (self._on_terminal(self.stream) if self.tty else self._on_pipes(self.stream)):
            from tare.cli import render

            render.note("read escape sequence")
            return 0
        return exit_code(self.exit.value())

    def proxy_signals(self) -> None:
        """Where our terminal becomes the container's, keys travel as bytes and no signal is meant for it."""
        if not self.tty or "stdin" not in self.wanted:
            from tare.cli import signals

            signals.proxy(self.client, self.ref)

    def _on_pipes(self, stream: Call) -> bool:
        return streams.attend(stream.connection, streams.Output(framed=True), stdin="stdin" in self.wanted)

    def _on_terminal(self, stream: Call) -> bool:
        """True when the user has left by the keys."""
        from tare.cli import terminal

        aside = self.client.another()

        def resize(rows: int, columns: int) -> None:
            containers.resize(aside, self.ref, rows, columns)

        if self.redraw:
            terminal.tell_size(lambda rows, columns: resize(rows + 1, columns + 1))
        terminal.follow_size(resize)
        output = streams.Output(framed=False)
        if "stdin" not in self.wanted:
            return streams.attend(stream.connection, output)
        with terminal.Raw(0):
            return streams.attend(stream.connection, output, stdin=True, keys=self.keys)


def _detach_keys(text: str) -> bytes:
    from tare.cli.terminal import detach_keys

    return detach_keys(text)


def exit_code(result: dict[str, Any]) -> int:
    """The exit code in the answer to a wait. Raises TareError where the daemon could not tell it."""
    error = result.get("Error")
    if error and error.get("Message"):
        raise TareError(str(error["Message"]))
    return int(result["StatusCode"])


def start_code(error: TareError) -> int:
    """126 where a command cannot be invoked, 127 where there is none, else 125. Docker's daemon tells by its text only."""
    if error.exit_code != 125:
        return error.exit_code
    text = error.message.lower()
    if any(words in text for words in MISSING):
        return 127
    if any(words in text for words in FORBIDDEN):
        return 126
    return 125
