"""What became of each plugin, and of each driver that it offers."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class DriverStatus:
    """``state``: ``ok`` (on offer), ``refused`` (by the core, see ``reason``), and after a probe ``skip`` or ``error``."""

    kind: str
    name: str
    state: str
    reason: str = ""
    summary: str = ""


@dataclass(frozen=True, slots=True)
class PluginStatus:
    """``state``: ``ok``, ``skipped`` (on purpose) or ``failed``, the latter two with a reason.

    ``dist`` and ``version`` name the distribution it came with; ``value`` is its entry point's object reference. ``hooks``
    are the hooks that it implements. A plugin with a refused driver is ``failed`` though its other drivers work.
    """

    name: str
    dist: str
    version: str
    value: str
    state: str
    reason: str = ""
    drivers: tuple[DriverStatus, ...] = field(default=())
    hooks: tuple[str, ...] = field(default=())
