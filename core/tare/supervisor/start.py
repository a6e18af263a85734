"""The start of one process: stdio, clone, links, gate, execve; or everything undone and the reason told."""

from __future__ import annotations

import array
import fcntl
import marshal
import os
import socket
import struct
import termios

from tare.errors import Internal, Invalid, TareError, Unavailable, Unsupported
from tare.linux import links
from tare.supervisor import command
from tare.supervisor.loop import IN
from tare.supervisor.messages import close_all
from tare.supervisor.process import Process
from tare.supervisor.streams import STDERR, STDOUT, Input, Output
from tare.supervisor.template import MOUNT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from tare.supervisor.attach import Client
    from tare.supervisor.main import Supervisor
    from tare.supervisor.messages import Body

    Answer = Callable[[Body | TareError], None]

REPORT = 64 * 1024
ENOENT, EINVAL, ERANGE, ENAMETOOLONG = 2, 22, 34, 36


class Start:
    """Performs ``start`` of messages for one process and answers once. ``mounts`` are descriptors that become its own."""

    def __init__(
        self, supervisor: Supervisor, body: Body, mounts: list[int], clients: list[Client], answer: Answer
    ) -> None:
        self.supervisor = supervisor
        self.loop = supervisor.loop
        self.body = body
        self.launch: Body = body["launch"]
        self.answer = answer
        self.clients = clients
        self._begun = False
        self.warnings: list[str] = []
        self._mounts = mounts
        self._report: socket.socket | None = None
        self._gate = -1
        self._failure: TareError | None = None
        self._command = 0
        self.process = Process(
            self.loop,
            body["container"],
            body["exec"],
            cgroups=self.launch["cgroups"],
            exit_record=body["exit_record"],
            ended=self._ended_early,
        )

    def begin(self) -> None:
        """Ask for the clone (or run the command); the rest follows as events."""
        theirs: dict[str, int] = {f"{MOUNT}{at}": fd for at, fd in zip(self.body["mount_fds"], self._mounts, strict=False)}
        self._mounts = []
        try:
            self._open_log()
            self._open_stdio(theirs)
            self._begun = True
            for client in self.clients:
                self.process.join(client)
            self.clients = []
            if self.launch["argv"]:
                self._run_command(theirs)
            else:
                self._ask_clone(theirs)
        except TareError as error:
            self._fail(error)
        except OSError as error:
            self._fail(Unavailable(f"cannot start a process: {error.strerror}"))
        finally:
            close_all([fd for fd in theirs.values() if fd != self.supervisor.nothing])

    def attach(self, client: Client) -> None:
        """A client that comes while the start is on its way."""
        if self._begun:
            self.process.join(client)
        else:
            self.clients.append(client)

    # Stdio ---------------------------------------------------------------------------------------------------------

    def _open_log(self) -> None:
        log = self.body["log"]
        if log and log["driver"] != "none":
            self.process.journal = self.supervisor.journal
            self.process.log = self.supervisor.journal.open(log)

    def _open_stdio(self, theirs: dict[str, int]) -> None:
        process, body = self.process, self.body
        process.stdin_once = bool(body["stdin_once"])
        if body["tty"]:
            process.stdin = Input(self.loop, endless=True) if body["stdin"] else None
            return
        if body["stdin"]:
            theirs["stdin"], ours = os.pipe()
            process.stdin = Input(self.loop, ours)
        else:
            theirs["stdin"] = self.supervisor.nothing
        for name, number in (("stdout", STDOUT), ("stderr", STDERR)):
            ours, theirs[name] = os.pipe()
            process.outputs.append(Output(self.loop, ours, number, process.heard, process.output_closed))

    def _take_terminal(self, master: int) -> None:
        process = self.process
        if process.outputs:
            os.close(master)
            return
        process.terminal = master
        rows, columns = self.body["size"]
        if rows or columns:
            resize(master, rows, columns)
        if process.stdin is not None:
            process.stdin.connect(fcntl.fcntl(master, fcntl.F_DUPFD_CLOEXEC, 3))
        process.outputs.append(Output(self.loop, master, STDOUT, process.heard, process.output_closed))

    # A clone of the template -----------------------------------------------------------------------------------------

    def _ask_clone(self, theirs: dict[str, int]) -> None:
        self._report, report = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._report.setblocking(False)
        theirs["report"] = report.detach()
        if self.body["links"]:
            theirs["gate"], self._gate = os.pipe()
        names = list(theirs)
        self.supervisor.cloning += 1
        self.supervisor.template(self.body["runtime"]).clone(
            {"launch": self.launch, "tty": self.body["tty"], "fds": names}, [theirs[name] for name in names], self._cloned
        )

    def _cloned(self, answer: Body | TareError) -> None:
        process = self.process
        try:
            if isinstance(answer, TareError):
                raise answer
            self.warnings += answer["warnings"]
            process.born(answer["pid"])
            self._connect()
        except TareError as error:
            self._fail(error)
        except OSError as error:
            self._fail(Unavailable(f"the container's process is not there: {error.strerror}"))
        finally:
            self.supervisor.cloned()

    def _connect(self) -> None:
        assert self._report is not None
        process = self.process
        try:
            # While the child sets itself up the supervisor would wait anyway: the state file costs the start nothing.
            if self._gate >= 0:
                for link in self.body["links"]:
                    links.create(link, process.pid)
                os.write(self._gate, b"\1")
                os.close(self._gate)
                self._gate = -1
            self._remember()
        except TareError as error:
            self._fail(self._last_words() or error)
            return
        except (OSError, KeyError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self._fail(self._last_words() or Unavailable(f"cannot connect the container to its network: {reason}"))
            return
        self.loop.watch(self._report.fileno(), IN, self._listen)

    def _remember(self) -> None:
        try:
            self.supervisor.ledger.keep(self.process)
        except OSError as error:
            # A later supervisor would not know of it.
            raise Unavailable(
                f"the process cannot be recorded in {self.supervisor.exec_root}: {error.strerror}",
                subject=self.process.container,
                hint="is its file system full?",
            ) from error

    def _listen(self, _events: int) -> None:
        """Hear the child until it says that it failed, or until its end of ``report`` closes: then execve has succeeded."""
        while self._report is not None:
            try:
                packet, ancillary, _flags, _address = self._report.recvmsg(
                    REPORT, socket.CMSG_SPACE(array.array("i").itemsize * 4), socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return
            except OSError:
                packet, ancillary = b"", []
            fds = [fd for _level, _kind, data in ancillary for fd in array.array("i", data[: len(data) // 4 * 4])]
            if not packet:
                self._close_report()
                self._started()
                return
            self._told(marshal.loads(packet), fds)

    def _last_words(self) -> TareError | None:
        """What a child that has given up says of itself: links that cannot be put into its namespace are the lesser news."""
        assert self._report is not None
        while True:
            try:
                packet = self._report.recv(REPORT)
            except OSError:
                return None
            if not packet:
                return None
            kind, *said = marshal.loads(packet)
            if kind == "failed":
                stage, code, text = said
                return _refusal(str(stage), int(code), str(text))

    def _told(self, said: tuple[object, ...], fds: list[int]) -> None:
        kind = said[0]
        if kind == "pty" and fds:
            self._take_terminal(fds.pop(0))
        elif kind == "warning":
            self.warnings.append(str(said[1]))
        elif kind == "failed":
            _kind, stage, code, text = said
            self._fail(_refusal(str(stage), int(str(code)), str(text)))
        close_all(fds)

    # A command that makes the container by itself --------------------------------------------------------------------

    def _run_command(self, theirs: dict[str, int]) -> None:
        if self.body["tty"]:
            raise Unsupported("a runtime that is a command cannot give a terminal yet", hint="use the runtime ns for -t")
        if self.body["links"]:
            raise Unsupported("a runtime that is a command cannot make links", hint="use --network none or host with it")
        stdio = theirs["stdin"], theirs["stdout"], theirs["stderr"]
        self._command = command.run(self.launch["argv"], stdio)
        self.supervisor.commands[self._command] = self._command_ended

    def _command_ended(self, status: int) -> None:
        try:
            pid = command.container_pid(self.launch["argv"], self.launch["pid_file"], status)
            self.process.born(pid)
            self._remember()
        except TareError as error:
            self._fail(error)
        except OSError as error:
            self._fail(Unavailable(f"the container's process is not there: {error.strerror}"))
        else:
            self._started()

    # How it comes out ------------------------------------------------------------------------------------------------

    def _started(self) -> None:
        process = self.process
        process.take_over(self.supervisor.ended)
        self.answer(
            {
                "pid": process.pid,
                "start_time": process.start_time,
                "started_at": process.started_at,
                "warnings": self.warnings,
            }
        )
        if process.exit is not None:
            # Its terminal may have come to light only with its report.
            process.wind_up()
            self.supervisor.ended(process)

    def _ended_early(self, _process: Process) -> None:
        """The process has ended before anybody listened to its report, which tells what that means."""
        if self._failure is not None:
            self._undo(self._failure)
        elif self._report is not None:
            self._listen(0)
            if self._report is not None:
                self._fail(Internal("the container's process ended and left its report open"))

    def _fail(self, error: TareError) -> None:
        if self._failure is not None:
            return
        self._failure = error
        self._close_report()
        if self.process.running:
            self.process.kill()  # ``_ended_early`` goes on.
        else:
            self._undo(error)

    def _undo(self, error: TareError) -> None:
        process = self.process
        self._close_report()
        if self._gate >= 0:
            os.close(self._gate)
            self._gate = -1
        for client in [*process.clients, *self.clients]:
            client.close()
        if process.stdin is not None:
            process.stdin.close()
        for output in list(process.outputs):
            output.close()
        process.close_log()
        self.supervisor.failed(process)
        self.answer(error)

    def _close_report(self) -> None:
        if self._report is not None:
            self.loop.forget(self._report.fileno())
            self._report.close()
            self._report = None


def resize(terminal: int, rows: int, columns: int) -> None:
    """Set a terminal's size (ioctl_tty(2), TIOCSWINSZ); out-of-range values are cut. Raises OSError."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", min(max(rows, 0), 65535), min(max(columns, 0), 65535), 0, 0))


def _refusal(stage: str, code: int, text: str) -> TareError:
    """What a child that ``failed`` means to the user. At the stage ``exec`` the command is to blame: Docker's 127 and 126."""
    if stage == "exec":
        return Invalid(text, exit_code=127 if code == ENOENT else 126)
    if stage in ("user", "cwd") or code in (EINVAL, ENAMETOOLONG, ERANGE):
        return Invalid(text)
    return Internal(text)
