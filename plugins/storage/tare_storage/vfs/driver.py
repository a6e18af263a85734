"""The driver ``vfs``.

    root/
      layers/ID/       tree/  copied  size  parent
      snapshots/ID/    tree/  copied  parent
      staging/ trash/

``copied`` is an empty file made when the copy of the parent was complete; its ctime tells later changes from the copying.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import BinaryIO

from tare.drivers.registration import DriverContext
from tare.drivers.storage import Applied
from tare.errors import Conflict, Invalid, TareError, Unsupported
from tare.linux.filesystems import filesystem_type
from tare.model.mount import Mount
from tare.model.probe import Change, Probe, Usage
from tare_storage.copy import copy_tree
from tare_storage.delta import Delta, as_changes
from tare_storage.faults import translated
from tare_storage.pack import pack
from tare_storage.shelf import LAYERS, SNAPSHOTS, Shelf
from tare_storage.space import free_space
from tare_storage.unpack import unpack
from tare_storage.usage import changed_since, usage
from tare_storage.vfs.compare import deltas
from tare_storage.vfs.erase import Erase


class Vfs:
    """See tare.drivers.storage.StorageDriver."""

    def __init__(self, context: DriverContext) -> None:
        self._shelf = Shelf(context.root)
        self._root = os.fspath(context.root)

    def probe(self) -> Probe:
        if not os.access(self._root, os.W_OK):
            return Probe("error", f"cannot write to {self._root}")
        return Probe("ok", f"full copies on {filesystem_type(self._root)}")

    def status(self) -> Sequence[tuple[str, str]]:
        with translated("cannot look at the disk"):
            return (("Backing Filesystem", filesystem_type(self._root)), ("Free Space", free_space(self._root)))

    # layers ------------------------------------------------------------------------------------------------------------

    def apply(self, layer: str, parent: str | None, tar: BinaryIO) -> Applied:
        shelf = self._shelf
        with translated(f"cannot unpack layer {layer}", layer):
            known = shelf.applied(layer, parent)
            if known is not None:
                return Applied(*known)
            if shelf.has(SNAPSHOTS, layer):
                raise Conflict(f"{layer} is a snapshot", subject=layer)
            shelf.sweep()
            try:
                with shelf.staged(parent) as staged:
                    self._copy(parent, staged)
                    applied = unpack(tar, f"{staged}/tree", Erase())
                    self._finish(staged, layer, applied)
            except Invalid as error:
                raise Invalid(f"layer {layer[:12]}: {error.message}", subject=layer, hint=error.hint) from None
            return applied

    def commit(self, snapshot: str, layer: str) -> None:
        """One rename turns the snapshot into the layer, so that a crash leaves one of the two."""
        shelf = self._shelf
        with translated(f"cannot commit {snapshot}", snapshot):
            source = shelf.snapshot(snapshot)
            taken = shelf.has(LAYERS, layer) or (layer != snapshot and shelf.has(SNAPSHOTS, layer))
            if taken or not self._finish(source, layer, Applied(0, 0)):
                raise Conflict(f"layer {layer} exists already", subject=layer)

    def view(self, layer: str) -> tuple[Mount, ...]:
        with translated(f"cannot show layer {layer}", layer):
            return (Mount("bind", f"{self._shelf.layer(layer)}/tree", "/", ("bind", "ro")),)

    def _copy(self, parent: str | None, staged: str) -> None:
        if parent is None:
            os.mkdir(f"{staged}/tree", 0o755)
            os.chmod(f"{staged}/tree", 0o755)
        else:
            copy_tree(f"{self._shelf.layer(parent)}/tree", f"{staged}/tree")
        with open(f"{staged}/copied", "x", encoding="ascii"):
            pass

    def _finish(self, staged: str, layer: str, applied: Applied) -> bool:
        with open(f"{staged}/size", "w", encoding="ascii") as file:
            file.write(f"{applied.size} {applied.entries}\n")
        return self._shelf.place(staged, LAYERS, layer, durable=True)

    # snapshots ---------------------------------------------------------------------------------------------------------

    def prepare(self, snapshot: str, parent: str | None, options: Mapping[str, str]) -> None:
        if options:
            name = next(iter(options))
            raise Unsupported(f"vfs has no storage option {name!r}", subject=name)
        shelf = self._shelf
        with translated(f"cannot prepare {snapshot}", snapshot):
            if shelf.has(SNAPSHOTS, snapshot) or shelf.has(LAYERS, snapshot):
                raise Conflict(f"{snapshot} exists already", subject=snapshot)
            with shelf.staged(parent) as staged:
                self._copy(parent, staged)
                if not shelf.place(staged, SNAPSHOTS, snapshot, durable=False):
                    raise Conflict(f"{snapshot} exists already", subject=snapshot)

    def mounts(self, snapshot: str, *, volatile: bool = False) -> tuple[Mount, ...]:
        with translated(f"cannot show {snapshot}", snapshot):
            return (Mount("bind", f"{self._shelf.snapshot(snapshot)}/tree", "/", ("bind",)),)

    # what is there -----------------------------------------------------------------------------------------------------

    def changes(self, snapshot: str) -> Sequence[Change]:
        with translated(f"cannot compare {snapshot}", snapshot):
            return as_changes(self._deltas(snapshot)[1])

    def diff(self, snapshot: str, out: BinaryIO) -> int:
        with translated(f"cannot pack {snapshot}", snapshot):
            tree, differences = self._deltas(snapshot)
            return pack(differences, tree, out)

    def _deltas(self, id: str) -> tuple[str, list[Delta]]:
        _, path = self._shelf.find(id)
        parent = self._shelf.parent(path)
        base = None if parent is None else f"{self._shelf.layer(parent)}/tree"
        return f"{path}/tree", deltas(f"{path}/tree", base, os.lstat(f"{path}/copied").st_ctime_ns)

    def usage(self, id: str) -> Usage:
        """The root and what differs from the parent, although the copy of the rest takes room as well: callers ask what
        somebody wrote, and both drivers answer the same question."""
        with translated(f"cannot measure {id}", id):
            tree, differences = self._deltas(id)
            return usage([os.lstat(tree), *(delta.status for delta in differences if delta.status is not None)])

    def remove(self, id: str) -> tuple[str, ...]:
        with translated(f"cannot remove {id}", id):
            return self._shelf.discard(id)

    def list(self) -> Iterable[str]:
        with translated("cannot list layers"):
            return [id for _, id in self._shelf.everything()]

    def check(self, id: str) -> str:
        try:
            with translated(f"cannot check {id}", id):
                kind, path = self._shelf.find(id)
                self._shelf.chain(self._shelf.parent(path))
                for part in ("tree", "copied"):
                    if not os.path.exists(f"{path}/{part}"):
                        return f"{path}/{part} is missing"
                if kind == SNAPSHOTS:
                    return ""
                changed = changed_since(f"{path}/tree", os.lstat(f"{path}/size").st_ctime_ns)
                return f"changed since it was made: {changed}" if changed else ""
        except TareError as error:
            return error.message

    def reconcile(self, valid: Iterable[str]) -> Sequence[str]:
        with translated("cannot reconcile vfs"):
            return self._shelf.reconcile(valid)

    def close(self) -> None:
        """Nothing is held."""
