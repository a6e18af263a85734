"""A runtime that is a command (runc …): it makes the container in the background and writes down its pid."""

from __future__ import annotations

import os
import signal

from tare.errors import Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def run(argv: Sequence[str], stdio: tuple[int, int, int]) -> int:
    """Start the command with the container's stdio. Returns its pid. Raises Unavailable when it cannot be executed."""
    actions = [(os.POSIX_SPAWN_DUP2, fd, at) for at, fd in enumerate(stdio)]
    try:
        return os.posix_spawnp(
            argv[0],
            list(argv),
            dict(os.environ),
            file_actions=actions,
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGPIPE, signal.SIGCHLD),
        )
    except OSError as error:
        raise Unavailable(f"{argv[0]}: {error.strerror}", subject=argv[0], hint="is the runtime installed?") from error


def container_pid(argv: Sequence[str], pid_file: str, status: int) -> int:
    """The container's pid once the command has ended with ``status`` of wait(2). Raises Unavailable with the reason."""
    if status:
        code = os.waitstatus_to_exitcode(status)
        how = f"ended with {code}" if code >= 0 else f"was ended by signal {-code}"
        raise Unavailable(f"{argv[0]} {how}", subject=argv[0], hint="see the container's log for what it said")
    try:
        with open(pid_file, "rb") as file:
            return int(file.read(32))
    except (OSError, ValueError) as error:
        raise Unavailable(f"{argv[0]} left no pid in {pid_file}", subject=argv[0]) from error
