"""How a driver makes itself known: metadata that can be read without importing the driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

API_VERSION = 1
"""The version of the contracts in tare.drivers. A driver declares the range it was written for."""


@dataclass(frozen=True, slots=True)
class Driver:
    """What a plugin returns from ``tare_register_*_drivers``.

    ``factory`` is ``module:callable``; it is imported only when the driver is used, and called with a DriverContext.
    ``options`` maps each key that ``[storage.NAME]`` (or network, runtime) may hold to its type:
    ``string``, ``bool``, ``int``, ``bytes`` (a size such as ``10g``), ``list``, ``table``.
    ``api`` is the inclusive range of API_VERSION values that the driver supports.
    """

    kind: str
    name: str
    factory: str
    summary: str = ""
    api: tuple[int, int] = (API_VERSION, API_VERSION)
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DriverContext:
    """What the core gives to a driver's factory.

    ``root`` is a directory under data-root for this driver alone (exists, mode 0700, survives a reboot); ``run`` one
    under exec-root (dies with the host). ``instance`` is ``""`` for the default data-root, else eight hex digits that
    must be part of every name the driver gives to a host-wide thing (device, table, group). ``log`` takes one line.
    """

    root: Path
    run: Path
    instance: str
    options: Mapping[str, object]
    log: Callable[[str], None]


@runtime_checkable
class SupportsPrompt(Protocol):
    """A driver of any kind that knows which of its calls never wait: those need not change threads, which costs more than
    most of them."""

    def prompt(self, method: str, *args: object) -> bool:
        """Whether this very call only computes, or touches nothing slower than the metadata of a local file system. Then
        the engine makes it in its own thread, never at the same time as another. Asked before every call; must be prompt
        itself, and may raise what the call would raise."""
