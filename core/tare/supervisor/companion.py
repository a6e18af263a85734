"""The processes beside the supervisor: template, logger, janitor, forwarder."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time

from tare.supervisor.channel import Channel
from tare.supervisor.notes import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tare.supervisor.channel import Hear
    from tare.supervisor.loop import Loop
    from tare.supervisor.messages import Body

BUFFER = 1 << 20
MAIN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")
PAUSE = 1.0
"""Seconds before a companion that died young is started again."""


class Companion:
    """A process with a role, started by posix_spawn and started again when it dies. Its end of the channel is its
    descriptor 0. ``started()`` is called after every start, so that the owner can tell it what it must know, ``lost()`` after
    every death."""

    __slots__ = (
        "_hear", "_lost", "_pidfd", "_started", "arguments", "born", "channel", "executable", "loop", "pid", "role", "wanted",
    )  # fmt: skip

    def __init__(
        self,
        loop: Loop,
        role: str,
        arguments: Sequence[str],
        hear: Hear,
        started: Callable[[], None] | None = None,
        lost: Callable[[], None] | None = None,
        executable: str = sys.executable,
    ) -> None:
        self.loop = loop
        self.role = role
        self.arguments = arguments
        self.executable = executable
        self._hear = hear
        self._started = started
        self._lost = lost
        self.wanted = False
        self._pidfd = -1

    def start(self) -> None:
        """Start the process; its channel is ready at once, the process answers when it is up."""
        self.wanted = True
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
            self.pid = os.posix_spawn(
                self.executable,
                command(self.role, self.arguments),
                # ld.so(8): else every clone of a template would look up again each function of the C library that it calls.
                {**os.environ, "LD_BIND_NOW": "1"},
                file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), 0)],
                setsigmask=(),
                setsigdef=(signal.SIGPIPE, signal.SIGCHLD),
            )
        self._pidfd = os.pidfd_open(self.pid)
        self.born = time.monotonic()
        self.channel = Channel(self.loop, ours, self._hear, self._ended)
        if self._started is not None:
            self._started()

    def ensure(self) -> None:
        """Start it now if it is down."""
        if not self.channel.open:
            self.start()

    def send(self, kind: str, serial: int, body: Body, fds: Sequence[int] = ()) -> None:
        """Say something to it; lost when it is down, which the owner's ``lost`` repairs."""
        self.channel.send(kind, serial, body, fds)

    def kill(self) -> None:
        """End it where it stands. Another is started as after any death, also when this one cannot die for now."""
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        self.channel.close()

    def stop(self) -> None:
        """Let it finish what it was told, and not come again."""
        self.wanted = False
        self.channel.close()

    def _ended(self, _channel: Channel) -> None:
        os.close(self._pidfd)
        self._pidfd = -1
        if not self.wanted:
            return
        note(f"{self.role} {' '.join(self.arguments)} (pid {self.pid}) has ended")
        if self._lost is not None:
            self._lost()
        if self.wanted:
            young = time.monotonic() - self.born < PAUSE
            self.loop.after(PAUSE if young else 0.0, self._again)

    def _again(self) -> None:
        if self.wanted:
            self.ensure()


def command(role: str, arguments: Sequence[str]) -> list[str]:
    """The command line of a process of this package: isolated, without site-packages."""
    return [sys.executable, "-I", "-S", MAIN, role, *arguments]
