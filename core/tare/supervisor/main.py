"""The supervisor: one per exec-root, parent of every container, holder of their stdio. It outlives tared."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import resource
import signal
import socket
import sys

from tare.errors import TareError, Unavailable
from tare.linux import mounts
from tare.linux import process as kernel
from tare.supervisor import exits
from tare.supervisor.channel import Channel
from tare.supervisor.cleaning import Cleaning
from tare.supervisor.journal import Journal
from tare.supervisor.ledger import Ledger
from tare.supervisor.loop import IN, Loop
from tare.supervisor.notes import note
from tare.supervisor.ports import Ports
from tare.supervisor.requests import Requests
from tare.supervisor.spawn import ANOTHER, SOCKET
from tare.supervisor.templates import Template

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from tare.supervisor.attach import Client
    from tare.supervisor.messages import Body
    from tare.supervisor.process import Process
    from tare.supervisor.start import Start

PID_FILE = "supervisor.pid"
LOGGER_LOCK = "logger.lock"


class Supervisor:
    """Everything the supervisor knows. ``processes`` are those that run or whose exit is not yet acknowledged; ``starting``
    those on the way; ``waiting`` the clients that were attached before the start; ``cloning`` counts the clones whose pid is not
    known yet; ``commands`` is who waits for the end of a child by its pid."""

    def __init__(self, exec_root: str, soft_files: int) -> None:
        self.loop = Loop()
        self.exec_root = exec_root
        self.soft_files = soft_files
        self.nothing = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self.journal = Journal(self.loop, f"{exec_root}/{LOGGER_LOCK}")
        self.cleaning = Cleaning(self.loop)
        self.ports = Ports(self.loop)
        self.ledger = Ledger(f"{exec_root}/processes")
        self.shielded = _shielded(sys.executable)
        self.templates: dict[str, Template] = {}
        self.processes: dict[tuple[str, str], Process] = {}
        self.starting: dict[tuple[str, str], Start] = {}
        self.cloning = 0
        self.waiting: dict[tuple[str, str], list[Client]] = {}
        self.commands: dict[int, Callable[[int], None]] = {}
        self.listeners: list[Channel] = []

    def template(self, runtime: str) -> Template:
        """The template of a runtime. Raises Unavailable when tared has not named its entry yet."""
        found = self.templates.get(runtime)
        if found is None:
            raise Unavailable(f"runtime {runtime} has no template", subject=runtime)
        return found

    def tell(self, kind: str, body: Body) -> None:
        """An event, for everybody who has said hello."""
        for channel in list(self.listeners):
            channel.send(kind, 0, body)

    def ended(self, process: Process) -> None:
        """A started process has ended: record, then event, then everything that nobody waits for."""
        assert process.exit is not None
        if process.exit_record:
            try:
                exits.write_record(process.exit_record, process.exit)
            except OSError as error:
                note(f"{process.container}: the exit cannot be recorded: {error}")
        self.tell("exit", process.ending())
        process.release()
        self.cleaning.remove(process.cgroups)

    def failed(self, process: Process) -> None:
        """A start came to nothing."""
        if process.pid:
            self.ledger.drop(process)
            self.cleaning.remove(process.cgroups)

    def adopt(self) -> None:
        """Take over what an earlier supervisor left running."""
        for process in self.ledger.adopt(self.loop, self.ended):
            self.processes[process.key] = process

    def cloned(self) -> None:
        """The pid of a clone is known (or there is none): reap whom that held up."""
        self.cloning -= 1
        self.reap()

    def reap(self, _events: int = 0) -> None:
        """Wait for companions, commands and orphans; the processes of containers are awaited by their pidfds."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake, 512):
                pass
        # A clone that dies before its pid is known would be taken for an orphan.
        while not self.cloning:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            action = self.commands.pop(pid, None)
            if action is not None:
                action(status)
                continue
            for process in (*self.processes.values(), *(start.process for start in self.starting.values())):
                if process.pid == pid and process.running:
                    process.reaped(status)
                    break

    def serve(self, sock: socket.socket) -> None:
        """Serve until ``stop`` is asked for."""
        self._wake, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.loop.watch(self._wake, IN, self.reap)
        requests = Requests(self)
        sock.setblocking(False)
        self.loop.watch(sock.fileno(), IN, lambda _events: self._accept(sock, requests))
        self.loop.run()
        self.journal.stop()
        self.cleaning.stop()
        self.ports.stop()
        for template in self.templates.values():
            template.stop()
        # Whoever waits for our end may rely on it that what was to be written or deleted is.
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)

    def _accept(self, sock: socket.socket, requests: Requests) -> None:
        try:
            peer, _address = sock.accept()
        except BlockingIOError:
            return
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)

        def left(channel: Channel) -> None:
            if channel in self.listeners:
                self.listeners.remove(channel)
            requests.left(channel)

        Channel(self.loop, peer, requests.hear, left)


def main(arguments: list[str]) -> None:
    """``supervisor EXEC-ROOT``, with the ready pipe on descriptor 1 and the log on 2. Says ``ready`` or why not."""
    # Whatever tared was started with and did not know of would stay open as long as any container runs.
    kernel.close_range(3)
    # Forked once while nothing is open yet: the supervisor must be nobody's child, and nobody's to wait for.
    if os.fork():
        os._exit(0)
    ready = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, 3)
    os.dup2(2, 1)
    try:
        supervisor, sock = _open(arguments[0])
    except (OSError, TareError) as error:
        os.write(ready, f"{error}\n".encode())
        sys.exit(1)
    with contextlib.suppress(BrokenPipeError):  # tared was killed meanwhile; the next one will come
        os.write(ready, b"ready\n")
    os.close(ready)
    gc.collect()
    gc.freeze()
    supervisor.serve(sock)
    os.unlink(f"{supervisor.exec_root}/{SOCKET}")


def _open(exec_root: str) -> tuple[Supervisor, socket.socket]:
    os.chdir(exec_root)
    lock = os.open(PID_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Unavailable(ANOTHER, subject=exec_root) from error
    os.ftruncate(lock, 0)
    os.pwrite(lock, b"%d\n" % os.getpid(), 0)
    with open("/proc/self/comm", "w") as file:
        file.write("tare-supervisor")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    kernel.become_subreaper()
    _leave_mounts()
    supervisor = Supervisor(exec_root, soft)
    supervisor.adopt()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    exits.remove(SOCKET)
    # Relative: a socket's address has room for 107 bytes only.
    sock.bind(SOCKET)
    os.chmod(SOCKET, 0o600)
    sock.listen(16)
    os.chdir("/")
    return supervisor, sock


def _leave_mounts() -> None:
    """A mount namespace of its own, which hears of the host's mounts: a disk that is mounted later must be there for ``-v``.
    Where the host shares its mounts with nobody (no systemd) there would be nothing to hear, so there it stays in the host's."""
    if any(word.startswith("shared:") for one in mounts.mount_table() if one.target == "/" for word in one.optional):
        kernel.unshare(kernel.CLONE_NEWNS)
        mounts.mount("", "/", flags=mounts.MS_REC | mounts.MS_SLAVE)


def _shielded(program: str) -> str:
    """Another way to ``program``, by a read-only mount that lies nowhere. A container can reach the program of a process that is
    about to exec in it, by /proc/PID/exe: through this mount it gets nothing that it could write (CVE-2019-5736)."""
    try:
        tree = mounts.open_tree(os.path.realpath(program), recursive=False)
        mounts.set_attributes(tree, on=mounts.MOUNT_ATTR_RDONLY)
    except OSError as error:
        note(f"{program} cannot be shielded: {error.strerror}")
        return program
    return f"/proc/self/fd/{tree}"
