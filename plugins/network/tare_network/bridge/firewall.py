"""Our table in the kernel: made once, filled by elements, looked after when somebody else changes the host's rules."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from tare.errors import Unavailable, Unsupported
from tare.linux.nft import INET, Changes, Element, Elements, Nftables, chains
from tare_network.bridge import foreign, rules
from tare_network.bridge.segment import Segment

MAPS = ("published", "everywhere")


class Firewall:
    """What we want of the table is kept here, so that it can be put back. Safe to use from two threads."""

    def __init__(self, instance: str, settings: Mapping[str, Any]) -> None:
        self.table = rules.table_name(instance)
        self.versions = rules.families(settings)
        self._mark = f"tare/{instance}"
        self._form, self._text = rules.ruleset(self.table, settings)
        self._lock = threading.RLock()
        self._members: dict[str, list[str]] = {}
        self._wanted: dict[str, dict[bytes, bytes]] = {f"{name}{v}": {} for name in MAPS for v in self.versions}
        self._kept: set[bytes] = set()
        self._versions_used: set[int] = set()
        self._elements: Elements | None = None
        self._changes: Changes | None = None
        self._nft: Nftables | None = None
        self._rules = 0
        self.obstacles: tuple[str, ...] = ()
        """What of others stood in the way when we last looked around, each with its cure."""

    @property
    def active(self) -> bool:
        """False when the configuration forbids rules."""
        return bool(self.versions)

    def arrange(self, segments: Collection[Segment], outer: Iterable[str]) -> None:
        """Have the table there, with these networks. Raises Unsupported without nftables, Unavailable when it refuses."""
        if not self.active:
            return
        with self._lock:
            self._versions_used = {subnet.version for made in segments for subnet in made.subnets}
            neighbours = foreign.neighbours(self._library(), {made.device for made in segments}, chains())
            self._members = rules.members(segments, outer, neighbours, self.versions)
            if not self._whole():
                self._make()
            else:
                self._run(rules.membership(self.table, self._members))

    def want(self, elements: Iterable[Element]) -> None:
        """These belong to us; ``synchronize`` puts them there."""
        with self._lock:
            for name, key, data in elements:
                self._wanted[name][key] = data

    def keep(self, address: str, *, kept: bool = True) -> None:
        """Whatever is published at this address of a container stays, though we do not know what it is."""
        with self._lock:
            (self._kept.add if kept else self._kept.discard)(ip_address(address).packed)

    def publish(self, elements: Sequence[Element]) -> None:
        """Add elements in one transaction."""
        if not elements:
            return
        with self._lock:
            self.want(elements)
            try:
                self._open().change((), elements)
            except OSError:
                self._repair(elements)

    def unpublish(self, elements: Sequence[Element]) -> None:
        """Remove elements in one transaction; what has gone already is success."""
        if not elements:
            return
        with self._lock:
            for name, key, _data in elements:
                self._wanted[name].pop(key, None)
            try:
                self._open().change(elements, ())
            except OSError:
                self.synchronize()

    def synchronize(self) -> int:
        """Give table and maps exactly what they should hold; the number of repairs."""
        if not self.active:
            return 0
        with self._lock:
            if not self._whole():
                self._make()
                return 1 + sum(map(len, self._wanted.values()))
            kernel = self._open()
            remove: list[Element] = []
            add: list[Element] = []
            for name, wanted in self._wanted.items():
                present = kernel.dump(name)
                for key, data in present.items():
                    if key in wanted or data[: 4 if name.endswith("4") else 16] not in self._kept:
                        remove += [(name, key, data)] if wanted.get(key) != data else []
                add += [(name, key, data) for key, data in wanted.items() if present.get(key) != data]
            if remove or add:
                kernel.change(remove, add)
            return len(remove) + len(add)

    def missing(self, elements: Iterable[Element]) -> str:
        """What of an endpoint's share is not in the kernel, "" when all is there."""
        if not self.active:
            return ""
        with self._lock:
            if not self._whole():
                return f"table inet {self.table}"
            for name in self._wanted:
                mine = {key: data for element, key, data in elements if element == name}
                if mine:
                    present = self._open().dump(name)
                    if any(present.get(key) != data for key, data in mine.items()):
                        return f"an element of map {name} in table inet {self.table}"
        return ""

    def look_around(self) -> list[str]:
        """See what others have made of the host: ask for passage where they drop forwarded packets, keep off their
        containers, note what stands in the way nevertheless. Returns what of that is new."""
        if not self.active:
            return []
        with self._lock:
            present = chains()
            mine = [name.strip('"') for name in self._members.get("bridges", ())]
            self._keep_off(foreign.neighbours(self._library(), mine, present))
            permitted = foreign.permit(self._library(), self._mark, mine, present)
            found = foreign.obstacles(self._library(), self.table, mine, self._versions_used, present, permitted=permitted)
            fresh = [line for line in found if line not in self.obstacles]
            self.obstacles = tuple(found)
            return fresh

    def _keep_off(self, neighbours: Iterable[str]) -> None:
        members = {"neighbours": rules.names(neighbours)}
        if self._members.get("neighbours") != members["neighbours"]:
            self._members |= members
            self._run(rules.membership(self.table, members))

    def withdraw(self) -> None:
        """Take back what was put into tables of others."""
        if self.active:
            with self._lock, contextlib.suppress(OSError):
                foreign.withdraw(self._library(), self._mark)

    def watch(self) -> int:
        """A descriptor that is readable when the host's rules have changed."""
        if self._changes is None:
            self._changes = Changes()
        return self._changes.fileno()

    def disturbed(self) -> bool:
        """Has anybody but us changed rules since the last call?"""
        if self._changes is None:
            return False
        # The kernel names the thread, and drivers have threads of their own.
        return any(not os.path.exists(f"/proc/self/task/{thread}") for thread, _name in self._changes.since_last_time())

    def describe(self) -> str:
        """The table as nft lists it."""
        if not self.active:
            return ""
        with self._lock, contextlib.suppress(OSError):
            return self._library().run(f"list table inet {self.table}")
        return ""

    def remove(self) -> None:
        """Take the whole table away."""
        if self.active:
            with self._lock, contextlib.suppress(OSError):
                self._library().run(f"delete table inet {self.table}")

    def close(self) -> None:
        """Safe twice; the rules stay."""
        with self._lock:
            if self._elements is not None:
                self._elements.close()
            if self._changes is not None:
                self._changes.close()
            if self._nft is not None:
                self._nft.close()
            self._elements = self._changes = self._nft = None

    def _repair(self, elements: Sequence[Element]) -> None:
        try:
            self.synchronize()
        except OSError as error:
            for name, key, _data in elements:
                self._wanted[name].pop(key, None)
            raise Unavailable(f"the packet filter refuses to publish: {error.strerror}") from error

    def _library(self) -> Nftables:
        if self._nft is None:
            try:
                self._nft = Nftables()
            except FileNotFoundError as error:
                raise Unsupported(
                    "nftables is not installed", subject="libnftables.so.1", hint="apt-get install nftables"
                ) from error
        return self._nft

    def _open(self) -> Elements:
        if self._elements is None:
            self._elements = Elements(INET, self.table)
        return self._elements

    def _whole(self) -> bool:
        """Is the table there, made from the same text, with all of its rules?"""
        kernel = self._open()
        comment = kernel.comment()
        if comment is None or self._form.encode() not in comment:
            return False
        if not self._rules:
            self._rules = rule_count(self._text)
        return kernel.rules() == self._rules

    def _make(self) -> None:
        self._run(self._text + rules.membership(self.table, self._members))
        add = [(name, key, data) for name, wanted in self._wanted.items() for key, data in wanted.items()]
        if add:
            self._open().change((), add)

    def _run(self, commands: str) -> None:
        try:
            self._library().run(commands)
        except OSError as error:
            raise Unavailable(f"the packet filter cannot be set up: {error.strerror}", subject=self.table) from error


def rule_count(text: str) -> int:
    """How many rules the text of a table has: the lines of its chains that are neither their head nor their hook."""
    inside = False
    count = 0
    for line in map(str.strip, text.splitlines()):
        if line.startswith("chain "):
            inside = True
        elif line == "}":
            inside = False
        elif inside and not line.startswith("type "):
            count += 1
    return count
