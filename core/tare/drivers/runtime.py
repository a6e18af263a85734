"""The contract of a runtime driver.

A *bundle* is an OCI runtime specification (``config.json`` as a dict) with the mounts that make its root. ``plan`` turns
it into a ``Launch``: data which the engine gives to the supervisor. The driver itself starts nothing.

Two kinds of Launch:

* **argv**: a command that creates and starts the container in the background and writes a pid file.
* **entry**: a function ``entry(plan, fds)`` which runs in a fresh clone of the driver's *template*, a process that has
  imported the entry's module and nothing else. The clone was made with ``Launch.namespaces``; it is single threaded, it
  is session leader of nothing yet, its descriptors 0, 1, 2 are still the template's and everything else that it holds
  is named in ``fds``::

      fds = {"stdin": int, "stdout": int, "stderr": int,   # -1 where there is none (tty: all three are -1)
             "gate": int,      # read one byte: the supervisor has created the links; -1 when there are none to wait for
             "report": int,    # SEQPACKET, close-on-exec: what the child says to the supervisor
             "mounts": {i: fd}}  # descriptors of Mount.fd by index in the plan's mounts

  On ``report`` the child may send ``marshal.dumps(("pty",))`` with the pty's master as SCM_RIGHTS (a tty container
  opens it in its own devpts), ``marshal.dumps(("warning", text))``, and ``marshal.dumps(("failed", stage, errno, text))``
  after which it exits. End of file without ``failed`` means that execve succeeded. The module that holds the entry
  avoids imports that are slow (dataclasses, typing, re, json): they are paid once per template, never per container.
  An entry's module may define ``before_clone(plan)``, run in the template: it must be quick; it returns warnings, and a TareError
  that it raises refuses the start.

Later calls take a ``ProcessRef``. Property ids RT-… are listed in the driver documentation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from tare.model.mount import Mount
from tare.model.network import Attachment
from tare.model.probe import Probe
from tare.model.process import Launch, ProcessRef


@dataclass(frozen=True, slots=True)
class Bundle:
    """What ``plan`` gets. ``spec`` is an OCI runtime spec; ``rootfs`` the mounts that make ``/`` (in order); ``spec``'s own
    ``mounts`` follow them. ``attachments`` say which links the child must configure. ``tty`` repeats spec.process.terminal.
    ``joins`` maps a namespace kind (network, pid, ipc) to the ProcessRef of the container whose namespace is shared.
    ``files`` maps a path in the container (/etc/hosts …) to the host file that is bound over it, writable unless the root
    is read-only; ``""`` stands for an empty file in the root itself, where the image has none."""

    id: str
    spec: Mapping[str, Any]
    rootfs: tuple[Mount, ...]
    attachments: tuple[Attachment, ...] = ()
    joins: Mapping[str, ProcessRef] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    rows: int = 0
    columns: int = 0


class RuntimeDriver(Protocol):
    """Plain, synchronous methods, called from one thread."""

    def probe(self) -> Probe:
        """Can it work on this host? No side effect."""

    def status(self) -> Sequence[tuple[str, str]]:
        """Pairs for ``info``."""

    def plan(self, bundle: Bundle) -> Launch:
        """Turn a bundle into a Launch. Unsupported for a field of the spec that it cannot honour (RT-55)."""

    def plan_exec(self, process: Mapping[str, Any], bundle: Bundle, target: ProcessRef) -> Launch:
        """A further process (OCI ``process`` object) in a running container (RT-47, RT-48). ``bundle`` is the container's as it
        was started; it holds of the specification ``process``, ``linux.cgroupsPath`` and ``linux.seccomp`` for certain, and
        neither mounts nor files."""

    def processes(self, target: ProcessRef) -> Sequence[int]:
        """Host pids of all processes in the container."""

    def remove(self, id: str) -> tuple[str, ...]:
        """Remove what the runtime keeps of an ended container; returns directories of cgroups still to be removed."""

    def reconcile(self, valid: Iterable[str]) -> Sequence[str]:
        """Remove what belongs to containers that ``valid`` does not name; a line for each."""

    def close(self) -> None:
        """Safe twice."""


@runtime_checkable
class SupportsTemplate(Protocol):
    """The driver's children run in clones of a template which should be warm before the first start."""

    def entries(self) -> Sequence[str]:
        """Dotted names ``module:function`` of every child entry that its Launches use. A module that is not imported within
        half a minute is given up, and the starts that need it fail."""


@runtime_checkable
class SupportsPause(Protocol):
    """Processes can be frozen."""

    def pause(self, target: ProcessRef) -> None:
        """Freeze every process of the container."""

    def resume(self, target: ProcessRef) -> None:
        """Undo ``pause``."""
