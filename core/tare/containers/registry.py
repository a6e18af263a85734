"""Every container the engine knows: by id, by name, with what only matters while the daemon lives."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tare.containers import names
from tare.containers.container import Container
from tare.errors import Conflict


@dataclass(slots=True)
class Waiter:
    """Somebody who waits for a container: ``condition`` is not-running, next-exit or removed."""

    condition: str
    future: asyncio.Future[tuple[int, str]]


@dataclass(slots=True)
class Entry:
    """A container with its lock (held by start, remove and the settling of an exit) and those who wait for it.

    ``restarting`` keeps a container with ``--rm`` from going when it stops only to be started again. ``damage`` says why its
    record cannot be read; then ``container`` is what could be made out, and it can only be looked at and removed.
    """

    container: Container
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiters: list[Waiter] = field(default_factory=list)
    restarting: bool = False
    damage: str = ""


class Registry:
    """The containers in memory. Persisting them is the engine's business."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._names: dict[str, str] = {}

    @property
    def taken(self) -> Mapping[str, str]:
        """Names in use, with the ids of their owners."""
        return self._names

    def claim(self, name: str, id: str) -> None:
        """Take a name. Raises Conflict in Docker's words."""
        owner = self._names.get(name)
        if owner is not None and owner != id:
            raise Conflict(
                f'Conflict. The container name "/{name}" is already in use by container "{owner}". '
                "You have to remove (or rename) that container to be able to reuse that name.",
                subject=name,
            )
        self._names[name] = id

    def disclaim(self, name: str) -> None:
        self._names.pop(name, None)

    def add(self, container: Container, damage: str = "") -> Entry:
        """Add a container whose name is claimed or free."""
        self.claim(container.name, container.id)
        entry = self._entries[container.id] = Entry(container, damage=damage)
        return entry

    def drop(self, id: str) -> None:
        entry = self._entries.pop(id, None)
        if entry is not None and self._names.get(entry.container.name) == id:
            del self._names[entry.container.name]

    def get(self, id: str) -> Entry | None:
        """By full id."""
        return self._entries.get(id)

    def find(self, ref: str) -> Entry:
        """By name, id or unambiguous prefix. Raises NotFound, Invalid, and Conflict for one whose record cannot be read."""
        entry = self.look_up(ref)
        if entry.damage:
            raise Conflict(
                f"the record of container {ref} cannot be read: {entry.damage}",
                subject=ref,
                hint="restore state.db from a copy, or remove the container with rm -f",
            )
        return entry

    def look_up(self, ref: str) -> Entry:
        """Like ``find``, but also one whose record cannot be read."""
        entry = self._entries.get(ref)
        return entry if entry is not None else self._entries[names.resolve(ref, self._entries, self._names)]

    def entries(self) -> Iterable[Entry]:
        return list(self._entries.values())

    def containers(self) -> list[Container]:
        """Newest first."""
        return [entry.container for entry in reversed(self._entries.values())]

    def __len__(self) -> int:
        return len(self._entries)
