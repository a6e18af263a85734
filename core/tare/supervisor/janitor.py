"""The janitor: removes directory trees and cgroups in the background. It never follows a symbolic link or leaves a mount.

What still runs in a cgroup is ended: a container that shares the pid namespace of the host or of another one leaves its
background processes behind when its first process ends, and no kernel ends them with it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
import stat
import time
from collections import deque

from tare.supervisor import messages
from tare.supervisor.notes import report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

DEPTH = 64
"""Directories deeper than this are first moved up to the top, so that no depth exhausts the descriptors."""
PATIENCE = 10.0
"""Seconds that a cgroup may stay busy: its last process may still be on its way out."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


DELAY = 0.005
"""Seconds that an answer may wait for the next: a restart may be waiting for it."""
PAUSE = 0.001
"""Seconds before a busy cgroup is tried again, at first; doubled up to a tenth of a second."""


def remove_tree(path: str) -> Generator[None, None, None]:
    """Remove a file or a whole tree, a directory each step. What is missing is removed already. Raises OSError for what cannot
    be removed."""
    try:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)
            return
        top = os.open(path, _FOLDER)
    except FileNotFoundError:
        return
    try:
        device = os.fstat(top).st_dev
        while (yield from _empty(top, top, device, 0)):
            pass
    finally:
        os.close(top)
    os.rmdir(path)


def _empty(folder: int, top: int, device: int, depth: int) -> Generator[None, None, bool]:
    """Remove everything in ``folder``. True when something deep was moved to the top, which must be emptied once more."""
    moved = False
    with os.scandir(folder) as entries:
        names = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in names:
        # Others may be removing here too: what is gone is gone.
        with contextlib.suppress(FileNotFoundError):
            if not is_folder:
                os.unlink(name, dir_fd=folder)
            elif depth >= DEPTH:
                os.rename(name, f"{os.fstat(folder).st_ino}.{name[:100]}", src_dir_fd=folder, dst_dir_fd=top)
                moved = True
            else:
                inner = os.open(name, _FOLDER, dir_fd=folder)
                try:
                    if os.fstat(inner).st_dev != device:
                        raise OSError(errno.EBUSY, "something is mounted there", name)
                    moved |= yield from _empty(inner, top, device, depth + 1)
                finally:
                    os.close(inner)
                os.rmdir(name, dir_fd=folder)
    yield
    return moved


def remove_cgroup(path: str) -> bool:
    """Remove a cgroup and those below it (cgroups(7)); False when one is busy. Raises OSError for any other reason."""
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        try:
            with os.scandir(path) as entries:
                below = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return True
        # The last process below may have been what made it busy.
        gone = [remove_cgroup(folder) for folder in below]
        return bool(gone) and all(gone) and remove_cgroup(path)
    return True


def end_members(path: str) -> None:
    """SIGKILL everything in a cgroup and below it: at once where the kernel can (cgroup.kill, 5.14); else who is there now, which
    must be said again until it is empty. In the freezer nobody forks meanwhile. A missing one has nobody. Raises OSError."""
    if _write(f"{path}/cgroup.kill", b"1"):
        return
    frozen = _write(f"{path}/freezer.state", b"FROZEN")
    try:
        handles = {}
        for pid in _members(path):
            with contextlib.suppress(ProcessLookupError):
                handles[pid] = os.pidfd_open(pid)
        # Who is in it while the descriptor is open is who was meant: the number cannot change hands any more.
        members = _members(path)
        for pid, handle in handles.items():
            if pid in members:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            os.close(handle)
    finally:
        if frozen:
            _write(f"{path}/freezer.state", b"THAWED")


def _write(path: str, word: bytes) -> bool:
    """Whether there is such a file."""
    try:
        with open(path, "r+b", 0) as file:
            file.write(word)
    except FileNotFoundError:
        return False
    return True


def _members(path: str) -> set[int]:
    found: set[int] = set()
    for place, _folders, _files in os.walk(path):
        with contextlib.suppress(FileNotFoundError), open(f"{place}/cgroup.procs", encoding="ascii") as file:
            found.update(map(int, file))
    return found


class Task:
    """A part of ``clean`` and how much of it is still to be done."""

    __slots__ = ("number", "open")

    def __init__(self, number: int, count: int) -> None:
        self.number = number
        self.open = count


class Janitor:
    """Works on trees a directory at a time, so that a cgroup, for which a restart may be waiting, never waits for a tree."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._room = messages.buffer()
        self._hears = True
        self._pause = PAUSE
        self._cgroups: list[tuple[str, float, Task]] = []
        self._trees: deque[tuple[str, Generator[None, None, None], Task]] = deque()
        self._finished: list[int] = []
        self._left: list[tuple[str, str]] = []
        self._answer_at = 0.0

    def work(self) -> None:
        """Until the supervisor has ended and everything is removed."""
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        while self._hears or self._trees or self._cgroups:
            if self._hears:
                timeout = 0 if self._trees else self._pause * 1000 if self._cgroups else None
                if poll.poll(timeout):
                    self._hear()
            elif not self._trees:
                # The kernel gives no sign when a v1 cgroup becomes empty.
                time.sleep(self._pause)
            self._try_cgroups()
            self._step()
            self._answer()

    def _hear(self) -> None:
        try:
            message = messages.receive(self._sock, self._room)
        except BlockingIOError:
            return
        except OSError:
            message = None
        if message is None:
            self._hears = False
            return
        self._pause = PAUSE
        deadline = time.monotonic() + PATIENCE
        for number, cgroups, paths in message[2]["tasks"]:
            task = Task(number, len(cgroups) + len(paths))
            self._cgroups += [(path, deadline, task) for path in cgroups]
            self._trees += [(path, remove_tree(path), task) for path in paths]

    def _try_cgroups(self) -> None:
        busy = []
        for path, deadline, task in self._cgroups:
            try:
                if remove_cgroup(path):
                    self._done(task)
                    continue
                if self._supervised():
                    end_members(path)
                if time.monotonic() < deadline:
                    busy.append((path, deadline, task))
                else:
                    self._done(task, path, "it is still busy")
            except OSError as error:
                self._done(task, path, str(error.strerror))
        if busy:
            self._pause = min(self._pause * 2, 0.1)
        self._cgroups = busy

    def _supervised(self) -> bool:
        """While the supervisor lives it starts nothing in a cgroup that is being removed; the next one might."""
        alive = select.poll()
        alive.register(self._sock, 0)
        return self._hears and not alive.poll(0)

    def _step(self) -> None:
        if not self._trees:
            return
        path, work, task = self._trees[0]
        try:
            next(work)
        except StopIteration:
            self._trees.popleft()
            self._done(task)
        except Exception as error:
            self._trees.popleft()
            if not isinstance(error, OSError):
                report()
            self._done(task, path, str(error))

    def _done(self, task: Task, path: str = "", why: str = "") -> None:
        if why:
            self._left.append((path, why))
        task.open -= 1
        if not task.open:
            self._finished.append(task.number)
            if len(self._finished) == 1:
                self._answer_at = time.monotonic() + DELAY

    def _answer(self) -> None:
        """What is done, unless more soon will be."""
        if self._finished and (not self._trees or time.monotonic() > self._answer_at):
            try:
                messages.send(self._sock, "done", 0, {"tasks": self._finished, "left": self._left})
            except OSError:
                self._hears = False
            self._finished, self._left = [], []


def main(_arguments: list[str]) -> None:
    """``janitor``, its channel on descriptor 0."""
    Janitor(socket.socket(fileno=0)).work()
