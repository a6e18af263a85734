"""The driver ``overlay2``.

    root/
      layers/ID/       diff/  link  chain  parent      link: this layer's short name; chain: those of its whole stack
      snapshots/ID/    diff/  work/  parent                 (the upper directory and overlayfs' own)
      l/NAME           -> ../layers/ID/diff
      empty/           beneath a snapshot without a parent
      staging/ trash/

mount(2) takes at most 4095 bytes of options. Every path in them is relative to root, and layers go by ten-letter names in
``l``: the longest stack of MAX_LAYERS takes half of that, wherever root is and whatever characters are in its path.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import BinaryIO

from tare.drivers.registration import DriverContext
from tare.drivers.storage import Applied
from tare.errors import Conflict, Invalid, NotFound, TareError, Unsupported
from tare.linux.filesystems import filesystem_type
from tare.model.mount import Mount
from tare.model.probe import Change, Probe, Usage
from tare_storage.delta import as_changes
from tare_storage.faults import translated
from tare_storage.overlay2.lowers import Lowers
from tare_storage.overlay2.marks import Marks, dress_like
from tare_storage.overlay2.probe import probe
from tare_storage.overlay2.upper import deltas
from tare_storage.pack import pack
from tare_storage.shelf import LAYERS, SNAPSHOTS, Shelf
from tare_storage.space import free_space
from tare_storage.unpack import unpack
from tare_storage.usage import changed_since, tree, usage

MAX_LAYERS = 128
OPTIONS = ("index=off", "redirect_dir=off", "metacopy=off")
"""The kernel's defaults, said aloud: a distribution may have turned the module's the other way, and with any of the three
an upper directory no longer says by itself what was changed."""


class Overlay2:
    """See tare.drivers.storage.StorageDriver."""

    def __init__(self, context: DriverContext) -> None:
        self._shelf = Shelf(context.root)
        self._root = os.fspath(context.root)
        self._chains: dict[str, str] = {}
        self._roots: dict[str, tuple[int, int, int]] = {}

    def probe(self) -> Probe:
        return probe(self._root)

    def status(self) -> Sequence[tuple[str, str]]:
        with translated("cannot look at the disk"):
            return (
                ("Backing Filesystem", filesystem_type(self._root)),
                ("Free Space", free_space(self._root)),
                ("Supports d_type", "true"),
                ("Native Overlay Diff", "true"),
                ("Most Layers", str(MAX_LAYERS)),
            )

    def prompt(self, method: str, *args: object) -> bool:
        """A snapshot is a few directories, made, named or renamed (overlayfs takes no upper directory over a network)."""
        return method in ("prepare", "mounts", "details") or (method == "remove" and self._shelf.has(SNAPSHOTS, str(args[0])))

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
            directories = self._directories(parent)
            lowers = Lowers(directories)
            try:
                with shelf.staged(parent) as staged:
                    root = f"{staged}/diff"
                    self._make_root(root, parent)
                    applied = unpack(tar, root, Marks(lowers))
                    self._finish(staged, layer, parent, applied)
            except Invalid as error:
                raise Invalid(f"layer {layer[:12]}: {error.message}", subject=layer, hint=error.hint) from None
            finally:
                lowers.close()
            return applied

    def commit(self, snapshot: str, layer: str) -> None:
        """One rename turns the snapshot into the layer, so that a crash leaves one of the two."""
        shelf = self._shelf
        with translated(f"cannot commit {snapshot}", snapshot):
            source = shelf.snapshot(snapshot)
            if shelf.has(LAYERS, layer) or (layer != snapshot and shelf.has(SNAPSHOTS, layer)):
                raise Conflict(f"layer {layer} exists already", subject=layer)
            parent = shelf.parent(source)
            self._directories(parent)
            path = shelf.path(LAYERS, layer)
            if not self._finish(source, layer, parent, Applied(0, 0)):
                raise Conflict(f"layer {layer} exists already", subject=layer)
            shelf.delete(f"{path}/work")

    def view(self, layer: str) -> tuple[Mount, ...]:
        with translated(f"cannot show layer {layer}", layer):
            chain = self._chain(layer)
            if ":" not in chain:
                return (Mount("bind", f"{self._shelf.layer(layer)}/diff", "/", ("bind", "ro")),)
            return (Mount("overlay", "overlay", "/", ("ro", f"lowerdir={chain}", *OPTIONS), cwd=self._root),)

    def _make_root(self, path: str, parent: str | None) -> None:
        """A layer's root directory, by default as the parent's, since overlayfs shows the topmost one's owner and mode."""
        os.mkdir(path, 0o755)
        os.chmod(path, 0o755)
        if parent is not None:
            below = f"{self._shelf.layer(parent)}/diff"
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                dress_like(descriptor, below, os.lstat(below))
            finally:
                os.close(descriptor)

    def _finish(self, staged: str, layer: str, parent: str | None, applied: Applied) -> bool:
        """Name a finished directory and put it in its place. Another of that id may have come first: it is the same."""
        chain = self._chain(parent) if parent is not None else ""
        link = self._name(layer)
        _write(f"{staged}/size", f"{applied.size} {applied.entries}\n")
        _write(f"{staged}/link", link)
        _write(f"{staged}/chain", f"l/{link}:{chain}" if chain else f"l/{link}")
        return self._shelf.place(staged, LAYERS, layer, durable=True, named=lambda: self._name(layer))

    def _name(self, layer: str) -> str:
        """A short name for a layer, as a link in ``l``. Two layers never share one."""
        os.makedirs(f"{self._root}/l", mode=0o700, exist_ok=True)
        target = f"../layers/{layer}/diff"
        turn = 0
        while True:
            name = hashlib.blake2s(f"{layer}/{turn}".encode() if turn else layer.encode(), digest_size=5).hexdigest()
            try:
                os.symlink(target, f"{self._root}/l/{name}")
            except FileExistsError:
                try:
                    taken = os.readlink(f"{self._root}/l/{name}")
                except FileNotFoundError:
                    continue
                if taken != target:
                    turn += 1
                    continue
            return name

    def _chain(self, layer: str) -> str:
        """``l/A:l/B…`` for mount(2), the layer itself first. Layers never change, so what was read once stays true."""
        chain = self._chains.get(layer)
        if chain is None:
            path = self._shelf.layer(layer)
            try:
                with open(f"{path}/chain", encoding="ascii") as file:
                    chain = file.read()
            except FileNotFoundError:
                raise NotFound(f"layer {layer} is damaged: it has no chain", subject=layer) from None
            self._chains[layer] = chain
        return chain

    def _directories(self, parent: str | None) -> list[str]:
        """The directories of a parent's stack, highest first. NotFound, Conflict; Unsupported when nothing fits on it."""
        ids = self._shelf.chain(parent)
        if len(ids) >= MAX_LAYERS:
            raise Unsupported(f"overlay2 stacks at most {MAX_LAYERS} layers", hint="flatten the image, or use vfs")
        return [f"{self._root}/layers/{id}/diff" for id in ids]

    # snapshots ---------------------------------------------------------------------------------------------------------

    def prepare(self, snapshot: str, parent: str | None, options: Mapping[str, str]) -> None:
        if options:
            name = next(iter(options))
            raise Unsupported(f"overlay2 has no storage option {name!r}", subject=name)
        shelf = self._shelf
        with translated(f"cannot prepare {snapshot}", snapshot):
            path = shelf.path(SNAPSHOTS, snapshot)
            if shelf.has(LAYERS, snapshot):
                raise Conflict(f"{snapshot} is a layer", subject=snapshot)
            mode, uid, gid = self._root_of(parent)
            if parent is None:
                os.makedirs(f"{self._root}/empty", mode=0o755, exist_ok=True)
            with shelf.staged(parent) as staged:
                os.mkdir(f"{staged}/diff", 0o700)
                if uid or gid:
                    os.chown(f"{staged}/diff", uid, gid)
                os.chmod(f"{staged}/diff", mode)
                os.mkdir(f"{staged}/work", 0o700)
                if not shelf.place(staged, SNAPSHOTS, snapshot, durable=False):
                    raise Conflict(f"snapshot {snapshot} exists already", subject=path)

    def mounts(self, snapshot: str, *, volatile: bool = False) -> tuple[Mount, ...]:
        with translated(f"cannot show {snapshot}", snapshot):
            path = self._shelf.snapshot(snapshot)
            parent = self._shelf.parent(path)
            chain = "empty" if parent is None else self._chain(parent)
            try:
                os.unlink(f"{path}/work/work/incompat/volatile/dirty")
                os.rmdir(f"{path}/work/work/incompat/volatile")
            except FileNotFoundError:
                pass
            where = f"snapshots/{snapshot}"
            options = (f"lowerdir={chain}", f"upperdir={where}/diff", f"workdir={where}/work", *OPTIONS)
            return (Mount("overlay", "overlay", "/", (*options, "volatile") if volatile else options, cwd=self._root),)

    def _root_of(self, parent: str | None) -> tuple[int, int, int]:
        """Mode, owner and group for an upper directory on ``parent``."""
        if parent is None:
            return 0o755, 0, 0
        known = self._roots.get(parent)
        if known is None:
            self._chain(parent)
            try:
                status = os.stat(f"{self._shelf.layer(parent)}/diff")
            except FileNotFoundError:
                raise NotFound(f"layer {parent} is damaged or has just been removed", subject=parent) from None
            known = self._roots[parent] = (status.st_mode & 0o7777, status.st_uid, status.st_gid)
        return known

    # what is there -----------------------------------------------------------------------------------------------------

    def changes(self, snapshot: str) -> Sequence[Change]:
        with translated(f"cannot compare {snapshot}", snapshot):
            upper, lowers = self._pair(snapshot)
            try:
                return as_changes(deltas(upper, lowers))
            finally:
                lowers.close()

    def diff(self, snapshot: str, out: BinaryIO) -> int:
        with translated(f"cannot pack {snapshot}", snapshot):
            upper, lowers = self._pair(snapshot)
            try:
                return pack(deltas(upper, lowers), upper, out)
            finally:
                lowers.close()

    def _pair(self, id: str) -> tuple[str, Lowers]:
        _, path = self._shelf.find(id)
        return f"{path}/diff", Lowers([f"{self._root}/layers/{id}/diff" for id in self._shelf.chain(self._shelf.parent(path))])

    def usage(self, id: str) -> Usage:
        with translated(f"cannot measure {id}", id):
            _, path = self._shelf.find(id)
            return usage(tree(f"{path}/diff"))

    def details(self, id: str) -> Mapping[str, str]:
        with translated(f"cannot find {id}", id):
            kind, path = self._shelf.find(id)
            found = {"UpperDir": f"{path}/diff"}
            parents = self._shelf.chain(self._shelf.parent(path))
            if parents:
                found["LowerDir"] = ":".join(f"{self._root}/layers/{parent}/diff" for parent in parents)
            if kind == SNAPSHOTS:
                found["WorkDir"] = f"{path}/work"
            return found

    def remove(self, id: str) -> tuple[str, ...]:
        with translated(f"cannot remove {id}", id):
            return self._shelf.discard(id, self._forget)

    def _forget(self, path: str) -> None:
        """A layer has been moved to ``path`` in the trash: its short name goes too."""
        id = os.path.basename(path).rpartition(".")[0]
        self._chains.pop(id, None)
        self._roots.pop(id, None)
        try:
            with open(f"{path}/link", encoding="ascii") as file:
                os.unlink(f"{self._root}/l/{file.read()}")
        except FileNotFoundError:
            return

    def list(self) -> Iterable[str]:
        with translated("cannot list layers"):
            return [id for _, id in self._shelf.everything()]

    def check(self, id: str) -> str:
        try:
            with translated(f"cannot check {id}", id):
                kind, path = self._shelf.find(id)
                if kind == SNAPSHOTS:
                    missing = [part for part in ("diff", "work") if not os.path.isdir(f"{path}/{part}")]
                    parent = self._shelf.parent(path)
                    return f"{missing[0]} is missing" if missing else self._check_stack(parent)
                fault = self._check_stack(id)
                if fault:
                    return fault
                changed = changed_since(f"{path}/diff", os.lstat(f"{path}/chain").st_ctime_ns)
                return f"changed since it was made: {changed}" if changed else ""
        except TareError as error:
            return error.message

    def _check_stack(self, top: str | None) -> str:
        for id in self._shelf.chain(top):
            for name in self._chain(id).split(":"):
                if not os.path.isdir(f"{self._root}/{name}"):
                    return f"{self._root}/{name} leads nowhere"
        return ""

    def reconcile(self, valid: Iterable[str]) -> Sequence[str]:
        with translated("cannot reconcile overlay2"):
            report = list(self._shelf.reconcile(valid, self._forget))
            links = f"{self._root}/l"
            for name in os.listdir(links) if os.path.isdir(links) else ():
                if not os.path.isdir(f"{links}/{name}"):
                    os.unlink(f"{links}/{name}")
                    report.append(f"removed dangling link {name}")
            return report + [f"made the lost link of layer {id} again" for id in self._relinked()]

    def _relinked(self) -> Sequence[str]:
        """Give every layer its short name; which had lost it."""
        found = []
        for id in [id for kind, id in self._shelf.everything() if kind == LAYERS]:
            try:
                with open(f"{self._root}/layers/{id}/link", encoding="ascii") as file:
                    name = file.read()
                os.makedirs(f"{self._root}/l", mode=0o700, exist_ok=True)
                os.symlink(f"../layers/{id}/diff", f"{self._root}/l/{name}")
            except (FileExistsError, FileNotFoundError):
                continue
            found.append(id)
        return found

    def _delete(self, paths: Sequence[str]) -> None:
        for path in paths:
            self._shelf.delete(path)

    def close(self) -> None:
        self._chains.clear()
        self._roots.clear()


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
