"""Spare copies of what a process writes to: handed out while all is well, taken back by the supervisor that comes after.

A copy shares everything with the original, position and non-blocking mode included; nobody but a supervisor reads from it.
While one exists the process meets neither a broken pipe nor a hangup.
"""

from __future__ import annotations

import fcntl

from tare.supervisor.streams import STDERR, STDOUT, Input, Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.supervisor.journal import Journal
    from tare.supervisor.messages import Body
    from tare.supervisor.process import Process

TERMINAL = "terminal"
NUMBERS = {"stdout": STDOUT, "stderr": STDERR, TERMINAL: STDOUT}
_NAMES = {STDOUT: "stdout", STDERR: "stderr"}


def of(process: Process) -> tuple[Body, list[int]]:
    """The answer to ``spares`` of messages, with descriptors that stay the process's."""
    terminal = process.terminal >= 0
    streams = [TERMINAL if terminal else _NAMES[output.number] for output in process.outputs]
    log = process.journal.wish(process.log) if process.journal is not None else None
    stdin = terminal and process.stdin is not None
    answer = {"streams": streams, "stdin": stdin, "log": log, "pid": process.pid, "start_time": process.start_time}
    return answer, [output.fd for output in process.outputs]


def resume(process: Process, body: Body, fds: list[int], journal: Journal) -> None:
    """``resume`` of messages. ``fds``, one for each of the streams, become the process's."""
    process.adopted = False
    if body["log"]:
        process.journal = journal
        process.log = journal.open(body["log"])
    for name, fd in zip(body["streams"], fds, strict=True):
        if name == TERMINAL:
            process.terminal = fd
            if body["stdin"]:
                process.stdin = Input(process.loop, fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3), endless=True)
        process.outputs.append(Output(process.loop, fd, NUMBERS[name], process.heard, process.output_closed))
