"""What differs between a tree and what lies beneath it."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tare.model.probe import Change

MODIFIED, ADDED, DELETED = 0, 1, 2
"""Docker's numbers for the kinds of change."""


class Delta:
    """One path that differs, without a leading slash. ``status`` is the lstat of what is there now; None: deleted."""

    __slots__ = ("kind", "path", "status")

    def __init__(self, path: bytes, kind: int, status: os.stat_result | None) -> None:
        self.path = path
        self.kind = kind
        self.status = status


def same_directory(one: os.stat_result, other: os.stat_result) -> bool:
    """Two directories that nobody would tell apart but for what is in them."""
    return (one.st_mode, one.st_uid, one.st_gid, one.st_mtime_ns) == (
        other.st_mode,
        other.st_uid,
        other.st_gid,
        other.st_mtime_ns,
    )


def as_changes(deltas: Sequence[Delta]) -> list[Change]:
    return sorted((Change("/" + os.fsdecode(delta.path), delta.kind) for delta in deltas), key=lambda change: change.path)
