"""Where a driver keeps what it has: one directory per layer and snapshot, made beside and renamed into place.

    root/
      layers/ID/       committed; never written to again
      snapshots/ID/    writable; ``commit`` renames it to layers/ID
      staging/         being made; each entry is locked by its maker
      trash/           renamed away; nobody looks at it but who deletes it

Each layer and snapshot holds a symbolic link ``parent`` whose text is the parent's id; none for no parent. What exists is
what lies under its final name, so a crash at any moment leaves the old state or the new one, and leftovers that
``reconcile`` can tell apart from work that is still going on by their lock.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tare.errors import Conflict, Internal, InUse, Invalid, NotFound
from tare.linux.filesystems import sync
from tare_storage.destroy import destroy

LAYERS, SNAPSHOTS, STAGING, TRASH = "layers", "snapshots", "staging", "trash"

_ID = re.compile(r"[a-z0-9_-][a-z0-9._-]{0,127}")


class Shelf:
    """The directories of one driver. Ids are checked here (ST-06); paths that go out are absolute strings."""

    def __init__(self, root: Path) -> None:
        self.root = os.fspath(root)
        self._made = False

    def path(self, kind: str, id: str) -> str:
        if not _ID.fullmatch(id):
            raise Invalid(f"invalid layer id {id!r}", subject=id)
        return f"{self.root}/{kind}/{id}"

    def layer(self, id: str) -> str:
        """The directory of a layer. NotFound; Conflict when the id is a snapshot's (ST-04)."""
        path = self.path(LAYERS, id)
        if not os.path.isdir(path):
            if os.path.isdir(self.path(SNAPSHOTS, id)):
                raise Conflict(f"{id} is a snapshot and not committed", subject=id)
            raise NotFound(f"no such layer: {id}", subject=id)
        return path

    def snapshot(self, id: str) -> str:
        """The directory of a snapshot. NotFound."""
        path = self.path(SNAPSHOTS, id)
        if not os.path.isdir(path):
            raise NotFound(f"no such snapshot: {id}", subject=id)
        return path

    def find(self, id: str) -> tuple[str, str]:
        """(kind, directory) of a layer or snapshot. NotFound."""
        for kind in (SNAPSHOTS, LAYERS):
            path = self.path(kind, id)
            if os.path.isdir(path):
                return kind, path
        raise NotFound(f"no such layer or snapshot: {id}", subject=id)

    def applied(self, id: str, parent: str | None) -> tuple[int, int] | None:
        """(size, entries) of a layer that is there already, None when it is not or has just gone. Conflict for another parent."""
        path = self.path(LAYERS, id)
        if not os.path.isdir(path):
            return None
        known = self.parent(path)
        try:
            with open(f"{path}/size", encoding="ascii") as file:
                size, entries = file.read().split()
        except FileNotFoundError:
            if os.path.isdir(path):
                raise
            return None
        if known != parent:
            raise Conflict(f"layer {id} exists with another parent", subject=id)
        return int(size), int(entries)

    def has(self, kind: str, id: str) -> bool:
        return os.path.isdir(self.path(kind, id))

    def parent(self, path: str) -> str | None:
        """The id of the parent of the layer or snapshot in directory ``path``."""
        try:
            return os.readlink(f"{path}/parent")
        except FileNotFoundError:
            return None

    def chain(self, id: str | None) -> list[str]:
        """The ids from a layer down to the lowest. NotFound when one is missing (ST-73)."""
        ids: list[str] = []
        while id is not None:
            if id in ids:
                raise Internal(f"layer {id} is its own ancestor", subject=id)
            ids.append(id)
            id = self.parent(self.layer(id))
        return ids

    def make(self) -> None:
        if not self._made:
            for kind in (LAYERS, SNAPSHOTS, STAGING, TRASH):
                os.makedirs(f"{self.root}/{kind}", mode=0o700, exist_ok=True)
            self._made = True

    @contextlib.contextmanager
    def staged(self, parent: str | None) -> Iterator[str]:
        """A locked directory in staging with its ``parent`` link, which from now on keeps that parent from being removed.
        It is destroyed unless ``place`` has renamed it. NotFound, Conflict as ``layer``."""
        self.make()
        path = f"{self.root}/{STAGING}/{secrets.token_hex(8)}"
        lock = -1
        try:
            with self._held(fcntl.LOCK_SH):
                if parent is not None:
                    self.layer(parent)
                os.mkdir(path, 0o700)
                lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                fcntl.flock(lock, fcntl.LOCK_EX)
                if parent is not None:
                    os.symlink(parent, f"{path}/parent")
            yield path
        finally:
            if lock >= 0:
                os.close(lock)
            self.delete(path)

    @contextlib.contextmanager
    def _held(self, how: int) -> Iterator[None]:
        """Hold the lock of staging itself: shared while an entry is made on a parent, exclusive while layers go and abandoned
        entries are looked for, so that neither finds the other half done."""
        descriptor = os.open(f"{self.root}/{STAGING}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, how)
            yield
        finally:
            os.close(descriptor)

    def place(self, source: str, kind: str, id: str, *, durable: bool, named: Callable[[], object] | None = None) -> bool:
        """Rename a staged directory (or a snapshot that becomes a layer) to its final name. False when there is one already
        (ST-05). ``named`` makes what else bears the name, while no layer can be removed."""
        if durable:
            descriptor = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                sync(descriptor)
            finally:
                os.close(descriptor)
        try:
            if named is None:
                os.rename(source, self.path(kind, id))
            else:
                with self._held(fcntl.LOCK_SH):
                    named()
                    os.rename(source, self.path(kind, id))
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return False
            raise
        if durable:
            self._sync_directory(kind)
        return True

    def _sync_directory(self, kind: str) -> None:
        directory = os.open(f"{self.root}/{kind}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _parents(self) -> list[tuple[str, str]]:
        """(parent, who stands on it) of all that exists or is being made. Read in the order in which things move: what leaves
        a place meanwhile is found in the next one."""
        found = []
        for name in self._names(STAGING):
            if not self._is_abandoned(name):
                found.append((self.parent(f"{self.root}/{STAGING}/{name}"), f"unfinished {name}"))
        for kind in (SNAPSHOTS, LAYERS):
            found += [(self.parent(f"{self.root}/{kind}/{id}"), id) for id in self._names(kind)]
        return [(parent, child) for parent, child in found if parent is not None]

    def discard(self, id: str, forget: Callable[[str], object] | None = None) -> tuple[str, ...]:
        """Rename a layer or snapshot into the trash; the path there, or nothing when there was none (ST-10, ST-11). ``forget``
        is called with a layer's new place, before anybody can make a layer of that id again."""
        if self.has(SNAPSHOTS, id):
            return self.discard_snapshot(id)
        if not self.has(LAYERS, id):
            return ()
        self.make()
        with self._held(fcntl.LOCK_EX):
            child = next((child for parent, child in self._parents() if parent == id), "")
            if child:
                raise InUse(f"layer {id} is the parent of {child}", subject=id, hint="remove what stands on it first")
            trash = f"{self.root}/{TRASH}/{id}.{secrets.token_hex(4)}"
            try:
                os.rename(self.path(LAYERS, id), trash)
            except FileNotFoundError:
                return ()
            if forget is not None:
                forget(trash)
        return (trash,)

    def discard_snapshot(self, id: str) -> tuple[str, ...]:
        """Rename a snapshot into the trash; the path there, or nothing when another has done so."""
        trash = f"{self.root}/{TRASH}/{id}.{secrets.token_hex(4)}"
        try:
            os.rename(self.path(SNAPSHOTS, id), trash)
        except FileNotFoundError:
            return ()
        return (trash,)

    def everything(self) -> list[tuple[str, str]]:
        """(kind, id) of all that exists, snapshots first."""
        return [(kind, id) for kind in (SNAPSHOTS, LAYERS) for id in sorted(self._names(kind))]

    def _names(self, kind: str) -> list[str]:
        try:
            return os.listdir(f"{self.root}/{kind}")
        except FileNotFoundError:
            return []

    def delete(self, path: str) -> None:
        """Delete a tree of this shelf; missing: nothing happens."""
        directory, name = os.path.split(path)
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            destroy(descriptor, name)
        finally:
            os.close(descriptor)

    def reconcile(self, valid: Iterable[str], forget: Callable[[str], object] | None = None) -> list[str]:
        """Delete what neither is valid nor carries something valid or unfinished, and all leftovers (ST-71). ``forget`` as in
        ``discard``."""
        wanted = set(valid)
        report = []
        if os.path.isdir(f"{self.root}/{LAYERS}"):
            self.make()
            with self._held(fcntl.LOCK_EX):
                wanted.update(parent for parent, child in self._parents() if child.startswith("unfinished "))
                everything = self.everything()
                for _, id in everything:
                    if id in wanted:
                        wanted.update(self._ancestors(id))
                for kind, id in everything:
                    if id not in wanted:
                        trash = f"{self.root}/{TRASH}/{id}.{secrets.token_hex(4)}"
                        os.rename(f"{self.root}/{kind}/{id}", trash)
                        if forget is not None and kind == LAYERS:
                            forget(trash)
                        report.append(f"removed {kind[:-1]} {id}")
                report += [f"removed unfinished {name}" for name, _ in self._abandon()]
        for name in self._names(TRASH):
            try:
                self.delete(f"{self.root}/{TRASH}/{name}")
            except OSError as error:
                report.append(f"cannot delete {self.root}/{TRASH}/{name}: {(error.strerror or str(error)).lower()}")
        return report

    def sweep(self) -> None:
        """Delete what makers left unfinished when they died: an interrupted layer takes as much room as a whole one."""
        self.make()
        with self._held(fcntl.LOCK_EX):
            abandoned = self._abandon()
        for _, trash in abandoned:
            self.delete(trash)

    def _abandon(self) -> list[tuple[str, str]]:
        """Move abandoned entries of staging to the trash; (name, path there) of each."""
        names = [name for name in self._names(STAGING) if self._is_abandoned(name)]
        found = [(name, f"{self.root}/{TRASH}/{name}.{secrets.token_hex(4)}") for name in names]
        for name, trash in found:
            with contextlib.suppress(FileNotFoundError):
                os.rename(f"{self.root}/{STAGING}/{name}", trash)
        return found

    def _ancestors(self, id: str) -> list[str]:
        found: list[str] = []
        path = f"{self.root}/{SNAPSHOTS}/{id}"
        parent = self.parent(path if os.path.isdir(path) else f"{self.root}/{LAYERS}/{id}")
        while parent is not None and parent not in found:
            found.append(parent)
            parent = self.parent(f"{self.root}/{LAYERS}/{parent}")
        return found

    def _is_abandoned(self, name: str) -> bool:
        try:
            lock = os.open(f"{self.root}/{STAGING}/{name}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(lock)
        return True
