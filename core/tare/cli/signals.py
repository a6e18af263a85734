"""Signals that we get belong to the container."""

from __future__ import annotations

import posix

from tare.cli import render
from tare.client import containers
from tare.errors import TareError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal

    from tare.client.client import Client
else:
    import _signal as signal

OURS = frozenset(
    (
        signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT, signal.SIGCHLD, signal.SIGPIPE, signal.SIGURG, signal.SIGWINCH,
        signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL,
    )
)  # fmt: skip
INSISTED = 3
"""A container may ignore signals; who sends that many SIGINTs or SIGTERMs wants to get away from it."""


def proxy(client: Client, ref: str) -> None:
    """From now on pass every signal on to the container."""
    aside = client.another()
    asked = 0

    def pass_on(number: int, _frame: object) -> None:
        nonlocal asked
        _tell(aside, ref, number)
        if number in (signal.SIGINT, signal.SIGTERM):
            asked += 1
            if asked == INSISTED:
                render.note(f"tare: got {INSISTED} SIGTERM/SIGINTs, leaving the container alone")
                posix._exit(1)

    for number in range(1, signal.NSIG):
        if number not in OURS:
            try:
                signal.signal(number, pass_on)
            except (OSError, ValueError):
                continue


def _tell(client: Client, ref: str, number: int) -> None:
    try:
        containers.kill(client, ref, str(int(number))).body()
    except TareError:
        # It has ended, or does not run yet: there is nobody to tell.
        return
