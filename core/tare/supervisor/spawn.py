"""tared's way to its supervisor: connect to the one that runs, or start it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time

from tare.errors import Unavailable
from tare.supervisor.companion import command

SOCKET = "supervisor.sock"
LOG = "supervisor.log"
LOG_LIMIT = 1 << 20
BUFFER = 1 << 20
ANOTHER = "another supervisor runs here"
"""Said by a supervisor that comes second. The first one may not listen yet."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def connect(exec_root: str) -> socket.socket | None:
    """A connection to the supervisor of ``exec_root``, or None when none listens there."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        # By way of the directory's descriptor: a socket's address has room for 107 bytes only.
        folder = os.open(exec_root, os.O_PATH | os.O_DIRECTORY)
        try:
            sock.connect(f"/proc/self/fd/{folder}/{SOCKET}")
        finally:
            os.close(folder)
    except (FileNotFoundError, ConnectionRefusedError):
        sock.close()
        return None
    except BaseException:
        sock.close()
        raise
    return sock


def connect_or_spawn(exec_root: str, timeout: float = 10.0) -> socket.socket:
    """A blocking connection to the one supervisor of ``exec_root`` (a directory, made when missing), started if none runs.

    Raises Unavailable with the reason when it cannot be started or does not answer within ``timeout`` seconds.
    """
    os.makedirs(exec_root, 0o711, exist_ok=True)
    deadline = time.monotonic() + timeout
    sock = connect(exec_root)
    while sock is None:
        reason = _spawn(exec_root, deadline)
        sock = connect(exec_root)
        if sock is None and (reason or time.monotonic() > deadline):
            raise Unavailable(
                f"the supervisor did not start: {reason or 'it does not listen'}",
                subject=exec_root,
                hint=f"see {os.path.join(exec_root, LOG)}",
            )
    return sock


def _spawn(exec_root: str, deadline: float) -> str:
    """Start a supervisor and wait until it listens. Returns why it did not, or "" (also when another was quicker)."""
    path = os.path.join(exec_root, LOG)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(log).st_size > LOG_LIMIT:
            os.truncate(log, 0)
        ready, said = os.pipe()
        try:
            argv = command("supervisor", [os.path.abspath(exec_root)])
            pid = os.posix_spawn(
                argv[0],
                argv,
                {"PATH": os.environ.get("PATH", PATH)},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, said, 1),
                    (os.POSIX_SPAWN_DUP2, log, 2),
                ],
                setsid=True,
                setsigmask=(),
                setsigdef=[number for number in signal.valid_signals() if number not in (signal.SIGKILL, signal.SIGSTOP)],
            )
        except OSError as error:
            os.close(ready)
            return f"{argv[0]}: {error.strerror}"
        finally:
            os.close(said)
    finally:
        os.close(log)
    try:
        text = _hear(ready, deadline)
    finally:
        os.close(ready)
    # What was spawned only makes the supervisor and leaves, so that the supervisor is nobody's child.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
    return text


def _hear(ready: int, deadline: float) -> str:
    said = b""
    poll = select.poll()
    poll.register(ready, select.POLLIN)
    while True:
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return "it took too long"
        piece = os.read(ready, 4096)
        if not piece:
            break
        said += piece
    text = said.decode(errors="replace").strip()
    return "" if text in ("ready", ANOTHER) else text or "it ended without a word"
