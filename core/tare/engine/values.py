"""What the engine's verbs take and give, beside the values of tare.model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AttachOptions:
    """Which streams a client wants. ``initial`` are bytes of stdin that were read together with the request's head."""

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    stream: bool = True
    logs: bool = False
    detach_keys: str = ""
    initial: bytes = b""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container ended: 0 to 255, and an error where it could not be run at all."""

    code: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One line (or part of a line) of output: ``stream`` 1 or 2, ``time`` in ns since the epoch."""

    stream: int
    time: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a prune removed and how many bytes that gave back."""

    ids: tuple[str, ...]
    reclaimed: int
