"""The last stretch of every child: from set-up process to the user's command (execve(2)).

From here on nothing of the engine is left: no descriptor but 0, 1, 2, no ignored signal, no privilege beyond the plan.
"""

from __future__ import annotations

import errno
import os
import resource
import select
import stat

from tare.linux import capabilities, seccomp
from tare.linux.cgroups import write
from tare.linux.paths import make_directory, open_in_root
from tare.linux.process import close_range, forbid_new_privileges, join_session_keyring, restore_hidden_signals
from tare_runtime.ns import users
from tare_runtime.ns.failure import Failure, failed, reason, warn
from tare_runtime.ns.terminal import take_control

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import Any, NoReturn

    from tare_runtime.ns.users import Identity
else:
    import _signal as signal  # numbers are numbers: a fresh clone pays for every page of enum's that it touches

_IGNORED: list[int] = []
_INHERITED: list[int] = []
"""The oom_score_adj of the template, once it is known."""


def remember_inheritance() -> None:
    """Note (once, in the template) what a clone inherits and the container must not have: the signals that Python or who
    started it ignores, and the engine's oom_score_adj."""
    if not _INHERITED:
        restore_hidden_signals()
        with open("/proc/self/oom_score_adj", "rb", 0) as file:
            _INHERITED.append(int(file.read(16)))
        _IGNORED.extend(each for each in signal.valid_signals() if signal.getsignal(each) == signal.SIG_IGN)


def hand_over(process: dict[str, Any], fds: dict[str, Any], terminal: int = -1, *, make_cwd: bool) -> NoReturn:
    """Become the process that the plan describes. The root and all namespaces are the container's.

    Raises Failure; then this process is of no use any more."""
    report: int = fds["report"]
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    identity = _identity(root, process)
    _streams(fds, terminal, identity.uid)
    _working_directory(root, process["cwd"], make_cwd)
    _limits(process, report)
    join_session_keyring(process["keyring"])
    environment: dict[bytes, bytes] = process["env"]
    if not environment.get(b"HOME"):
        environment = {**environment, b"HOME": os.fsencode(identity.home)}
    close_range(3, report - 1)
    close_range(report + 1)
    _become(process, identity)
    for number in _IGNORED:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.umask(process["umask"])
    if _forsaken(report):
        os._exit(125)
    _execute(process["args"], environment)


def _identity(root: int, process: dict[str, Any]) -> Identity:
    if process["username"] is not None:
        return users.look_up(root, process["username"], process["additional"])
    uid = process["uid"]
    return users.Identity(uid, process["gid"], process["groups"], users.home_of(root, uid))


def _streams(fds: dict[str, Any], terminal: int, uid: int) -> None:
    """Put stdin, stdout and stderr (or the terminal) in their places, as the user's own."""
    for place, name in enumerate(("stdin", "stdout", "stderr")):
        source = terminal if terminal >= 0 else fds[name]
        if source >= 0:
            os.dup2(source, place)
            if source == terminal or (uid and not stat.S_ISCHR(os.fstat(place).st_mode)):
                os.fchown(place, uid, -1)
    if terminal >= 0:
        take_control(0)


def _working_directory(root: int, path: str, make: bool) -> None:
    """Resolved inside the root, never through a link of procfs: the engine's descriptors are still open."""
    flags = os.O_PATH | os.O_DIRECTORY
    try:
        os.fchdir(make_directory(root, path) if make else open_in_root(root, path, flags))
    except OSError as error:
        # a further process is answered as if its command were missing, which is how Docker's exec codes come out
        raise failed("cwd" if make else "exec", f'chdir to cwd ("{path}") set in config.json failed', error) from None


def _limits(process: dict[str, Any], report: int) -> None:
    adjustment = process["oom_score_adj"]
    if adjustment != _INHERITED[0]:
        try:
            write("/proc/self/oom_score_adj", str(adjustment))
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM):
                raise failed("oom_score_adj", f"setting oom_score_adj to {adjustment}", error) from None
            warn(report, f"oom-score-adj {adjustment} is lower than this host lets the engine set; it is left as it is")
    # last: a limit may forbid to open another file
    for number, name, soft, hard in process["rlimits"]:
        try:
            resource.setrlimit(number, (soft, hard))
        except (ValueError, OSError):
            most = resource.getrlimit(number)[1]
            most = hard if most == resource.RLIM_INFINITY else most
            resource.setrlimit(number, (most if soft < 0 else min(soft, most), most))
            warn(report, f"ulimit {name}={soft}:{hard} is above what this host lets the engine give: {most} is used")


def _become(process: dict[str, Any], identity: Identity) -> None:
    """User, groups, capabilities, no_new_privs, seccomp; in the order that needs the least."""
    bounding, effective, permitted, inheritable, ambient = process["capabilities"]
    last = process["last_capability"]
    if identity.uid and process["username"] is not None:
        # as execve would have it for who is not root
        effective = permitted = inheritable = ambient = 0
    stage = "capabilities"
    try:
        capabilities.limit_bounding(bounding, last)
        capabilities.keep_over_setuid()
        stage = "user"
        os.setgroups(identity.groups)
        os.setresgid(identity.gid, identity.gid, identity.gid)
        os.setresuid(identity.uid, identity.uid, identity.uid)
        stage = "seccomp"
        if process["no_new_privileges"]:
            forbid_new_privileges()
        if process["seccomp"] is not None:
            # loading takes CAP_SYS_ADMIN (or no_new_privs), and a change of user has emptied the effective set
            capabilities.set_capabilities(capabilities.SYS_ADMIN, permitted | capabilities.SYS_ADMIN, inheritable)
            seccomp.load(process["seccomp"])
        stage = "capabilities"
        capabilities.set_capabilities(effective, permitted, inheritable)
        if ambient:
            capabilities.set_ambient(ambient, last)
    except OSError as error:
        raise failed(stage, f"applying the container's {stage}", error) from None


def _forsaken(report: int) -> bool:
    """Whether nobody listens any more: the start was given up, or the supervisor was killed before it knew of this process.
    Nobody would ever look after what is executed now."""
    poll = select.poll()
    poll.register(report, 0)
    return bool(poll.poll(0))


def _execute(arguments: list[bytes], environment: dict[bytes, bytes]) -> NoReturn:
    program = _find(arguments[0], environment.get(b"PATH", b""))
    try:
        os.execve(program, arguments, environment)
    except OSError as error:
        raise Failure("exec", error.errno or 0, f"exec {os.fsdecode(program)}: {reason(error)}") from None


def _find(name: bytes, path: bytes) -> bytes:
    """The file to execute: the name itself when it has a slash, else the first fit in the container's PATH."""
    shown = os.fsdecode(name)
    if b"/" in name:
        try:
            mode = os.stat(name).st_mode
        except OSError as error:
            raise Failure("exec", error.errno or 0, f'exec: "{shown}": stat {shown}: {reason(error)}') from None
        if stat.S_ISDIR(mode) or not mode & 0o111:
            raise Failure("exec", errno.EACCES, f'exec: "{shown}": permission denied')
        return name
    for directory in path.split(b":"):
        candidate = (directory or b".") + b"/" + name
        try:
            mode = os.stat(candidate).st_mode
        except OSError:
            continue
        if stat.S_ISREG(mode) and mode & 0o111:
            return candidate
    raise Failure("exec", errno.ENOENT, f'exec: "{shown}": executable file not found in $PATH')
