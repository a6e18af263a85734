"""The template of one runtime: a small process that has imported the child's entry and is cloned for every container.

It never runs a container itself: each clone is made with CLONE_PARENT and so is the supervisor's child. One request at
a time, blocking; the supervisor is the only peer, on descriptor 0, and its end is the template's end.
"""

from __future__ import annotations

import fcntl
import gc
import marshal
import os
import resource
import sys

from tare.errors import Conflict, Internal, TareError, Unavailable
from tare.linux.cgroups import write
from tare.linux.process import CLONE_NEWPID, CLONE_PARENT, PR_SET_DUMPABLE, clone3, prctl, setns
from tare.supervisor import messages
from tare.supervisor.messages import close_all, fields
from tare.supervisor.notes import report

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping
    from types import ModuleType
    from typing import Any

    from tare.supervisor.messages import Body

    Entry = Callable[[Mapping[str, Any], dict[str, Any]], object]
else:
    import _socket as socket  # socket itself brings selectors and enum along: a quarter of a template's memory

MOUNT = "mount:"
"""Begins the name of a descriptor for a mount; its index in the plan follows."""
CONTROL = 200
"""The channel moves to a number from here on, so that a child never meets it among its own."""


class Template:
    """Knows the entries that were imported and makes clones that run them."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._room = messages.buffer()
        self._entries: dict[str, tuple[ModuleType, Entry]] = {}
        self._pid_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)

    def serve(self) -> None:
        """Answer until the supervisor is gone."""
        while True:
            message = messages.receive(self._control, self._room)
            if message is None:
                return
            kind, serial, body, fds = message
            try:
                reply, said = ("cloned", self._clone(body, fds)) if kind == "clone" else ("ok", self._prepare(body))
            except TareError as error:
                reply, said = "error", fields(error)
            except Exception as error:
                report()
                reply, said = "error", fields(Internal(f"the template failed: {error}"))
            finally:
                close_all(fds)
            messages.send(self._control, reply, serial, said)

    def _prepare(self, body: Body) -> Body:
        """``template``: import an entry, with these directories after the standard library's."""
        for folder in body["path"]:
            if folder and folder not in sys.path:
                sys.path.append(folder)
        self._entry(body["entry"])
        gc.collect()
        gc.freeze()
        return {}

    def _entry(self, dotted: str) -> tuple[ModuleType, Entry]:
        known = self._entries.get(dotted)
        if known is None:
            name, _, function = dotted.partition(":")
            try:
                __import__(name)
                module = sys.modules[name]
                known = module, getattr(module, function)
            except (Exception, SystemExit) as error:
                raise Unavailable(
                    f"the runtime's entry {dotted} cannot be imported: {type(error).__name__}: {error}",
                    subject=dotted,
                    hint="is the plugin installed, and does it name the entry as module:function?",
                ) from error
            self._entries[dotted] = known
        return known

    def _clone(self, body: Body, fds: list[int]) -> Body:
        launch = body["launch"]
        module, entry = self._entry(launch["entry"])
        plan = marshal.loads(launch["plan"])
        before = getattr(module, "before_clone", None)
        warnings = list(before(plan) or ()) if before is not None else []
        cgroup, entered = -1, False
        try:
            if launch["clone_cgroup"]:
                cgroup = _directory(launch["clone_cgroup"])
            if launch["pid_namespace"]:
                _enter(launch["pid_namespace"])
                entered = True
            pid, _ = clone3(CLONE_PARENT | launch["namespaces"], cgroup=cgroup)
            if pid == 0:
                self._run(entry, plan, dict(zip(body["fds"], fds, strict=True)))
        except OSError as error:
            raise Unavailable(
                f"cannot clone a process: {error.strerror}", hint="see the limits on processes and namespaces"
            ) from error
        finally:
            if entered:
                setns(self._pid_namespace, CLONE_NEWPID)
            close_all([cgroup])
        return {"pid": pid, "warnings": warnings}

    def _run(self, entry: Entry, plan: Mapping[str, Any], named: dict[str, int]) -> None:
        """The child: never returns."""
        report_fd = named["report"]
        try:
            os.close(self._control.detach())
            os.close(self._pid_namespace)
            fds: dict[str, Any] = {
                name: named.get(name, -1) for name in ("stdin", "stdout", "stderr", "gate", "report")
            }
            fds["mounts"] = {int(name[len(MOUNT) :]): fd for name, fd in named.items() if name.startswith(MOUNT)}
            entry(plan, fds)
            failure = "the entry returned"
        except SystemExit as error:
            failure = f"the entry ended with {error.code}"
        except BaseException as error:
            failure = f"{type(error).__name__}: {error}"
            try:
                report()
            except Exception:
                failure += " (and its log is gone)"
        finally:
            try:
                os.write(report_fd, marshal.dumps(("failed", "entry", 0, failure), 2))
            finally:
                os._exit(125)


def _directory(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Unavailable(f"cannot open the cgroup {path}: {error.strerror}", subject=path) from error


def _enter(path: str) -> None:
    """Let children be born in the pid namespace at ``path`` (a magic link of /proc)."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Conflict(f"cannot enter the pid namespace {path}: the container is not running", subject=path) from error
    try:
        setns(fd, CLONE_NEWPID)
    except OSError as error:
        raise Unavailable(f"cannot enter the pid namespace {path}: {error.strerror}", subject=path) from error
    finally:
        os.close(fd)


def main(arguments: list[str]) -> None:
    """``template NAME SOFT``: the runtime's name (for ``ps``) and the soft limit on open files to give back."""
    soft, hard = int(arguments[1]), resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    # With the read-only mount that this program was started by: nobody in a container may look into it.
    prctl(PR_SET_DUMPABLE, 0)
    gc.disable()
    write("/proc/self/comm", "tare-template")  # it is started by a descriptor, whose number would be its name
    control = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, min(CONTROL, soft // 2))
    nothing = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    os.dup2(nothing, 0)
    os.close(nothing)
    Template(socket.socket(fileno=control)).serve()
