"""When no daemon answers: start one, or say what is in the way and how to cure it."""

from __future__ import annotations

import errno
import os
import sys

from tare.cli import render
from tare.errors import Denied, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.client.address import Address
    from tare.client.connection import Unreachable

LOG = "/run/tare/tared.log"
PATIENCE = 60
"""Seconds that a new daemon has until it serves."""


def start(error: Unreachable) -> bool:
    """Start the default daemon, detached, and wait until it serves. Raises Unavailable or Denied with the reason."""
    if error.errno not in (errno.ENOENT, errno.ECONNREFUSED):
        explain(error)
    if os.geteuid() != 0:
        cure = "start it as root (`sudo tared`), or let root run any `tare` command once"
        raise Unavailable(f"no daemon runs at {error.address.path}", hint=cure)
    if os.environ.get("TARE_NO_AUTOSTART", "") not in ("", "0"):
        cure = "start it with `tared`; TARE_NO_AUTOSTART forbids me to"
        raise Unavailable(f"no daemon runs at {error.address.path}", hint=cure)
    import fcntl

    try:
        os.makedirs(os.path.dirname(LOG), mode=0o711, exist_ok=True)
        log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    except OSError as failure:
        raise Unavailable(f"the daemon did not start: {failure.filename}: {(failure.strerror or '').lower()}") from None
    try:
        # Of several commands on a fresh machine one starts the daemon; the others wait here and find it.
        fcntl.flock(log, fcntl.LOCK_EX)
        if not _serves(error.address):
            pid = _spawn()
            render.note(f"tare: no daemon at {error.address.path}, started one (pid {pid}; log {LOG})")
    finally:
        os.close(log)
    return True


def _serves(address: Address) -> bool:
    from tare.client.connection import Connection, Unreachable

    try:
        Connection(address).close()
    except Unreachable:
        return False
    return True


def _spawn() -> int:
    """The new daemon's process id, once it serves. Raises Unavailable with what it said."""
    ours, theirs = os.pipe()
    os.set_inheritable(theirs, True)
    command = [sys.executable, "-I", "-m", "tare.daemon.main", "--ready-fd", str(theirs)]
    null = (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)
    # Opened anew: the lock on ours is not to live as long as the daemon.
    log = (os.POSIX_SPAWN_OPEN, 1, LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    actions = [null, log, (os.POSIX_SPAWN_DUP2, 1, 2), (os.POSIX_SPAWN_CLOSE, ours)]
    pid = os.posix_spawn(command[0], command, dict(os.environ), file_actions=actions, setsid=True)
    os.close(theirs)
    word = _word(ours)
    os.close(ours)
    if word != b"\n":
        said = word.decode("utf-8", "replace").strip() or "it ended without a word"
        raise Unavailable(f"the daemon did not start: {said}", hint=f"its log is {LOG}")
    return pid


def explain(error: Unreachable) -> None:
    """Raise the error with a cure that fits it."""
    address = error.address
    if error.errno == errno.EACCES:
        raise Denied(f"permission denied at {address.text}", hint=f"become root, or {_admission(address.path)}")
    if error.errno == errno.ENOENT:
        raise Unavailable(f"no daemon runs at {address.text}", hint="there is no such socket: is it the right -H or TARE_HOST?")
    if error.errno == errno.ECONNREFUSED:
        raise Unavailable(f"no daemon runs at {address.text}", hint="nobody listens there (connection refused): start `tared`")
    raise error


def _admission(path: str) -> str:
    """How somebody gets to use the socket who is not root: its group may. It is root's where the configured one was missing."""
    import grp

    try:
        gid = os.stat(path).st_gid
        group = grp.getgrgid(gid).gr_name
    except (OSError, KeyError):
        gid, group = -1, "tare"
    if gid == 0:
        return "make its group (`sudo groupadd --system tare`), restart tared and join it (`sudo usermod -aG tare $USER`)"
    return f"join its group with `sudo usermod -aG {group} $USER` and log in again"


def _word(fd: int) -> bytes:
    """What the new daemon says: a newline when it serves, else its error; nothing when it died."""
    import select

    said = b""
    while select.select([fd], [], [], PATIENCE)[0]:
        piece = os.read(fd, 4096)
        said += piece
        if not piece or said == b"\n":
            return said
    return said or b"it does not serve after %d seconds" % PATIENCE
