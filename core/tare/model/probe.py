"""What a driver says of itself and of the host."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Probe:
    """Can this driver work on this host? ``state`` is ``ok``, ``skip`` (host lacks something) or ``error``; the reason always."""

    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class Change:
    """One path that differs from the parent. ``kind``: 0 modified, 1 added, 2 deleted (Docker's numbers). Path is absolute."""

    path: str
    kind: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What one layer or snapshot takes by itself, without its parents: the sum of the sizes of its files in bytes, hard links
    once; and the number of its inodes."""

    bytes: int
    inodes: int
