"""The contract of a storage driver.

A *layer* is committed and read-only and has at most one parent. A *snapshot* is writable and belongs to one container;
its parent is a layer. A *view* shows a layer read-only. Layers and snapshots share one space of ids (opaque strings of
``[a-z0-9._-]``, at most 128 characters; anything else is Invalid).

The life of one layer: ``apply`` reads a plain tar (OCI image layer, ``.wh.`` whiteouts included) into a new layer on top
of a parent. It either returns with the whole layer visible and durable, or raises with nothing visible. ``apply``,
``diff`` and ``commit`` run in a worker process of their own, built from the same context, so that a layer with 100 000
files never slows a start; keep every fact on disk and nothing in memory.

The life of one snapshot: ``prepare`` when the container is created, ``mounts`` at each start, ``remove`` at the end.
These three are on the start path: no fork, no walk, no fsync beyond what durability asks.

The engine counts references and remembers what exists; the driver never refuses a remove because it is "in use" by a
container, only because a layer still has children. After a crash ``reconcile`` gets everything that should exist.

Property ids ST-… are listed in the driver documentation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol, runtime_checkable

from tare.model.mount import Mount
from tare.model.probe import Change, Probe, Usage


@dataclass(frozen=True, slots=True)
class Applied:
    """What ``apply`` made: ``size`` is the sum of the file contents in bytes, ``entries`` the number of tar entries."""

    size: int
    entries: int


class StorageDriver(Protocol):
    """Plain, synchronous methods; one thread in tared calls them, workers have instances of their own."""

    def probe(self) -> Probe:
        """Can it work on this host and this root? No side effect is left behind (ST-01)."""

    def status(self) -> Sequence[tuple[str, str]]:
        """Pairs for ``info``: backing file system, free space, features (ST-82)."""

    def apply(self, layer: str, parent: str | None, tar: BinaryIO) -> Applied:
        """Make a layer from a plain tar, read to its very end, where one that is not what it should be raises Invalid. Existing
        layer: return as if made, without reading (ST-05). Raises Invalid for a bad or hostile
        tar (ST-59, ST-60), NotFound for a missing parent (ST-04), Exhausted when the disk is full (ST-68)."""

    def prepare(self, snapshot: str, parent: str | None, options: Mapping[str, str]) -> None:
        """Make a writable snapshot. Unknown or unsupported options raise Unsupported (ST-66)."""

    def mounts(self, snapshot: str, *, volatile: bool = False) -> tuple[Mount, ...]:
        """The mounts that make the snapshot appear at ``/``. ``volatile`` promises that nobody needs its content after a
        crash. Calling twice gives the same content (ST-19)."""

    def view(self, layer: str) -> tuple[Mount, ...]:
        """The mounts that make a layer appear read-only at ``/`` (ST-22)."""

    def commit(self, snapshot: str, layer: str) -> None:
        """Freeze a snapshot (that is not mounted) into a layer (ST-08)."""

    def changes(self, snapshot: str) -> Sequence[Change]:
        """What a snapshot changed against its parent, sorted by path (ST-54)."""

    def diff(self, snapshot: str, out: BinaryIO) -> int:
        """Write the changes as a plain OCI layer tar, byte-stable (ST-56). Returns the size as ``Applied.size``."""

    def usage(self, id: str) -> Usage:
        """What a layer or snapshot takes without its parents, as Docker counts: the sizes of its files (ST-67)."""

    def remove(self, id: str) -> tuple[str, ...]:
        """Make a layer or snapshot unreachable at once and free its id; return the paths that somebody may delete
        later. Missing: success, no paths (ST-11). A layer with children: InUse (ST-10)."""

    def list(self) -> Iterable[str]:
        """The ids of all layers and snapshots, nothing more and nothing less (ST-13)."""

    def check(self, id: str) -> str:
        """``""`` when reality matches, else what is wrong (ST-74)."""

    def reconcile(self, valid: Iterable[str]) -> Sequence[str]:
        """Remove every layer, snapshot and leftover of this driver that ``valid`` does not name and nothing else;
        return a line for each (ST-71)."""

    def close(self) -> None:
        """Let go of everything; safe twice (ST-15)."""


@runtime_checkable
class SupportsQuota(Protocol):
    """``prepare`` honours ``options["size"]`` (bytes as decimal digits)."""

    def quota(self, snapshot: str) -> int:
        """The limit in bytes, 0 for none."""


@runtime_checkable
class SupportsDetails(Protocol):
    """The driver keeps its parts where other programs may look at them."""

    def details(self, id: str) -> Mapping[str, str]:
        """Where a layer or snapshot lies on the disk, in Docker's words: ``UpperDir`` holds what is its own, ``LowerDir`` what
        is beneath it (separated by colons, highest first), ``WorkDir`` what else it needs. What there is not is left out."""
