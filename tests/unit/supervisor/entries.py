"""Child entries for the tests: what a runtime would do, without a container around it."""

import array
import marshal
import os
import pty
import signal
import socket
import time


def _say(fds, *words, send=()):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", send))] if send else []
    report = socket.socket(fileno=fds["report"])
    report.sendmsg([marshal.dumps(words, 2)], rights)
    report.detach()


def run(plan, fds):
    """Execute ``plan["argv"]`` with the given stdio, on a terminal of its own if ``plan["tty"]``."""
    if plan.get("pids"):
        os.setpgid(0, 0)
    if fds["gate"] >= 0:
        os.read(fds["gate"], 1)
    if plan.get("tty"):
        master, slave = pty.openpty()
        _say(fds, "pty", send=(master,))
        os.close(master)
        os.login_tty(slave)
    else:
        for at, name in enumerate(("stdin", "stdout", "stderr")):
            os.dup2(fds[name], at)
    for text in plan.get("warnings", ()):
        _say(fds, "warning", text)
    for index, fd in fds["mounts"].items():
        os.set_inheritable(fd, True)
        os.environ[f"MOUNT_{index}"] = str(fd)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvp(plan["argv"][0], plan["argv"])
    except OSError as error:
        text = "permission denied" if error.errno == 13 else "executable file not found in $PATH"
        _say(fds, "failed", "exec", error.errno, f'exec: "{plan["argv"][0]}": {text}')
        os._exit(1)


def raises(plan, fds):
    """A defect in a driver."""
    raise RuntimeError("this entry is broken")


def returns(plan, fds):
    """Another one."""


def before_clone(plan):
    """Runs in the template."""
    if plan.get("crash"):
        os.kill(os.getpid(), signal.SIGKILL)
    if plan.get("stall"):
        time.sleep(plan["stall"])
    return plan.get("before", [])
