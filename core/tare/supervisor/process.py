"""A process that the supervisor has started or adopted, from its clone to the acknowledgement of its exit."""

from __future__ import annotations

import contextlib
import os
import time

from tare.linux import process as kernel
from tare.supervisor import exits
from tare.supervisor.loop import IN
from tare.supervisor.notes import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tare.supervisor.attach import Client
    from tare.supervisor.journal import Journal
    from tare.supervisor.loop import Loop
    from tare.supervisor.messages import Body
    from tare.supervisor.streams import Input, Output

SIGKILL = 9

# A stranger's status can be read when its parent has reaped it, which may take a moment.
_STATUS_EVERY = 0.02
_STATUS_PATIENCE = 3.0


class Process:
    """``ended(process)`` is called once, when ``exit`` is known, all output is taken and nothing of the process runs."""

    __slots__ = (
        "_child",
        "_ended",
        "_held",
        "adopted",
        "cgroups",
        "clients",
        "container",
        "exec_id",
        "exit",
        "exit_record",
        "journal",
        "log",
        "loop",
        "outputs",
        "pid",
        "pidfd",
        "start_time",
        "started_at",
        "stdin",
        "stdin_once",
        "terminal",
    )

    def __init__(
        self,
        loop: Loop,
        container: str,
        exec_id: str,
        *,
        cgroups: Sequence[str],
        exit_record: str,
        ended: Callable[[Process], None],
    ) -> None:
        self.loop = loop
        self.container = container
        self.exec_id = exec_id
        self.pid = 0
        self.pidfd = -1
        self.start_time = 0
        self.started_at = 0
        self.cgroups = tuple(cgroups)
        self.exit_record = exit_record
        self.stdin_once = False
        self.stdin: Input | None = None
        self.outputs: list[Output] = []
        self.terminal = -1
        self.clients: list[Client] = []
        self.journal: Journal | None = None
        self.log = 0
        self.exit: Body | None = None
        self.adopted = False
        self._child = True
        self._held: set[object] = set()
        self._ended = ended

    @property
    def key(self) -> tuple[str, str]:
        return self.container, self.exec_id

    @property
    def running(self) -> bool:
        return self.pidfd >= 0

    def born(self, pid: int, *, child: bool = True, start_time: int = 0, started_at: int = 0) -> None:
        """The process exists: wait for its end. Raises OSError when it does not exist after all."""
        self.pid = pid
        self.pidfd = kernel.pidfd_open(pid)
        self._child = child
        self.start_time = start_time or kernel.start_time(pid)
        self.started_at = started_at or time.time_ns()
        self.loop.watch(self.pidfd, IN, self._over)

    def take_over(self, ended: Callable[[Process], None]) -> None:
        """From now on this is told of the end."""
        self._ended = ended

    def send_signal(self, number: int) -> None:
        """Raises ProcessLookupError when it has ended."""
        if self.pidfd < 0:
            raise ProcessLookupError
        kernel.pidfd_send_signal(self.pidfd, number)

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            self.send_signal(SIGKILL)

    # Output ------------------------------------------------------------------------------------------------------

    def heard(self, number: int, data: bytes) -> None:
        """A chunk of output: to every client and to the log."""
        for client in list(self.clients):
            client.take(number, data)
            if client.full:
                self._hold(client)
        journal = self.journal
        if journal is not None and not journal.write(self.log, number, data) and self not in self._held:
            self._hold(self)
            journal.when_free(self.log, lambda: self._let(self))

    def output_closed(self, output: Output) -> None:
        """One stream is at its end (a terminal is the only one)."""
        self.outputs.remove(output)
        self.terminal = -1

    def join(self, client: Client) -> None:
        """Attach a client to the running process."""
        client.gone = self._client_gone
        client.drained = self._let
        self.clients.append(client)
        client.connect(self.stdin, self.stdin_once)

    def _client_gone(self, client: Client) -> None:
        if client in self.clients:
            self.clients.remove(client)
        self._let(client)

    def _hold(self, who: object) -> None:
        """``who`` cannot follow: leave the output in its pipes. Other processes are not affected."""
        if not self._held:
            for output in self.outputs:
                output.pause()
        self._held.add(who)

    def _let(self, who: object) -> None:
        if who in self._held:
            self._held.discard(who)
            if not self._held:
                for output in self.outputs:
                    output.resume()

    def drain(self) -> None:
        """Take what the pipes hold now."""
        for output in list(self.outputs):
            output.drain()

    # The end -----------------------------------------------------------------------------------------------------

    def reaped(self, status: int) -> None:
        """Somebody has waited for it."""
        if self.exit is None:
            self._finish(exits.of_status(status, exits.ran_out_of_memory(self.cgroups)))

    def _over(self, _events: int) -> None:
        if not self._child:
            self.loop.forget(self.pidfd)
            self._ask_status(time.monotonic() + _STATUS_PATIENCE)
            return
        try:
            result = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG | kernel.WALL)
        except ChildProcessError:
            note(f"{self.container}: somebody else has waited for process {self.pid}")
            self.lost()
            return
        if result is not None:
            status = result.si_status << 8 if result.si_code == os.CLD_EXITED else result.si_status
            self.reaped(status)

    def _ask_status(self, deadline: float) -> None:
        status = exits.of_stranger(self.pidfd)
        if status is not None:
            self.reaped(status)
        elif time.monotonic() >= deadline:
            self.lost()
        else:
            self.loop.after(_STATUS_EVERY, lambda: self._ask_status(deadline))

    def lost(self) -> None:
        """It has ended and nobody knows how."""
        if self.exit is None:
            exit = exits.ending(exits.UNKNOWN, 0, exits.ran_out_of_memory(self.cgroups))
            exit["unknown"] = True
            self._finish(exit)

    def _finish(self, exit: Body) -> None:
        self.exit = exit
        if self.pidfd >= 0:
            self.loop.forget(self.pidfd)
            os.close(self.pidfd)
            self.pidfd = -1
        self.wind_up()
        self._ended(self)

    def wind_up(self) -> None:
        """It has ended: take its last words; whoever it left behind writes to nobody and is not read for."""
        self.drain()
        self._held.clear()
        for output in list(self.outputs):
            output.abandon()
        if self.stdin is not None:
            self.stdin.close()
            self.stdin = None

    def release(self) -> None:
        """Let the clients go, each after its last byte, and close the log."""
        for client in list(self.clients):
            client.finish()
        self.close_log()

    def close_log(self) -> None:
        """Nothing more is logged."""
        if self.journal is not None:
            self.journal.close(self.log)
            self.journal = None

    # What tared is told ------------------------------------------------------------------------------------------

    def described(self) -> Body:
        """``process`` of messages."""
        return {
            "container": self.container,
            "exec": self.exec_id,
            "pid": self.pid,
            "start_time": self.start_time,
            "started_at": self.started_at,
            "exit": self.exit,
            "adopted": self.adopted,
        }

    def ending(self) -> Body:
        """``exit`` of messages, of one that has ended."""
        return {"container": self.container, "exec": self.exec_id, "pid": self.pid, **(self.exit or {})}
