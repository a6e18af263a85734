"""A storage driver that copies. Layout: ``root/ID/{tree/, parent}``; what is not finished has a name that begins with a dot."""

from __future__ import annotations

import filecmp
import os
import shutil
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from tare.drivers.registration import DriverContext
from tare.drivers.storage import Applied
from tare.errors import Conflict, InUse, Invalid, NotFound, Unsupported
from tare.model.mount import Mount
from tare.model.probe import Change, Probe, Usage

OK = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-")


class Flat:
    """See tare.drivers.storage.StorageDriver; layers and snapshots differ only in the file ``parent``'s neighbour ``layer``."""

    def __init__(self, context: DriverContext) -> None:
        self.root = context.root

    def probe(self) -> Probe:
        return Probe("ok", "needs nothing of the host")

    def status(self) -> Sequence[tuple[str, str]]:
        return [("Directory", str(self.root)), ("Free Space", str(shutil.disk_usage(self.root).free))]

    def apply(self, layer: str, parent: str | None, tar: BinaryIO) -> Applied:
        if self._path(layer).exists():
            return Applied(self.usage(layer).bytes, 0)
        with self._making(layer, parent) as tree:
            size = entries = 0
            try:
                with tarfile.open(fileobj=tar, mode="r|") as archive:
                    archive.extraction_filter = as_it_is
                    for member in archive:
                        entries += 1
                        size += member.size if member.isfile() else 0
                        self._extract(archive, member, tree)
            except (tarfile.TarError, OSError) as error:
                raise Invalid(f"layer {layer} cannot be unpacked: {error}", subject=layer) from error
            (tree.parent / "layer").touch()
        return Applied(size, entries)

    def _extract(self, archive: tarfile.TarFile, member: tarfile.TarInfo, tree: Path) -> None:
        member.name = os.path.normpath(member.name).lstrip("/")
        directory, name = os.path.split(member.name)
        for way in (directory, os.path.dirname(member.linkname) if member.islnk() else ""):
            if not (tree / way).resolve().is_relative_to(tree.resolve()):
                raise Invalid(f"{member.name} leads out of the layer", subject=member.name)
        if name == ".wh..wh..opq":
            for child in (tree / directory).iterdir():
                delete(child)
        elif name.startswith(".wh."):
            delete(tree / directory / name.removeprefix(".wh."))
        else:
            target = tree / directory / name
            if target.is_symlink() or (target.exists() and not (member.isdir() and target.is_dir())):
                delete(target)
            archive.extract(member, tree, numeric_owner=True)

    def prepare(self, snapshot: str, parent: str | None, options: Mapping[str, str]) -> None:
        if options:
            raise Unsupported(f"the storage driver flat has no option {next(iter(options))}", subject=next(iter(options)))
        if self._path(snapshot).exists():
            raise Conflict(f"{snapshot} exists already", subject=snapshot)
        with self._making(snapshot, parent):
            pass

    def mounts(self, snapshot: str, *, volatile: bool = False) -> tuple[Mount, ...]:
        return (Mount("bind", str(self._existing(snapshot) / "tree"), "/", ("rbind",)),)

    def view(self, layer: str) -> tuple[Mount, ...]:
        return (Mount("bind", str(self._existing(layer) / "tree"), "/", ("rbind", "ro")),)

    def commit(self, snapshot: str, layer: str) -> None:
        if self._path(layer).exists():
            raise Conflict(f"{layer} exists already", subject=layer)
        self._existing(snapshot).rename(self._path(layer))
        (self._path(layer) / "layer").touch()

    def changes(self, snapshot: str) -> Sequence[Change]:
        own = self._existing(snapshot) / "tree"
        parent = self._parent(snapshot)
        base = self._path(parent) / "tree" if parent else None
        found: list[Change] = []
        mine = set(walk(own))
        theirs = set(walk(base)) if base else set()
        for path in sorted(mine | theirs):
            if path not in theirs:
                found.append(Change(f"/{path}", 1))
            elif path not in mine:
                found.append(Change(f"/{path}", 2))
            elif base and differ(own / path, base / path):
                found.append(Change(f"/{path}", 0))
        return found

    def diff(self, snapshot: str, out: BinaryIO) -> int:
        size = 0
        tree = self._existing(snapshot) / "tree"
        with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            for change in self.changes(snapshot):
                path = change.path.lstrip("/")
                if change.kind == 2:
                    directory, name = os.path.split(path)
                    archive.addfile(tarfile.TarInfo(os.path.join(directory, f".wh.{name}")))
                else:
                    archive.add(tree / path, path, recursive=False)
                    size += (tree / path).lstat().st_size if (tree / path).is_file() else 0
        return size

    def usage(self, id: str) -> Usage:
        tree = self._existing(id) / "tree"
        paths = list(walk(tree))
        return Usage(sum((tree / path).lstat().st_size for path in paths if not (tree / path).is_dir()), len(paths))

    def remove(self, id: str) -> tuple[str, ...]:
        path = self._path(id)
        if not path.exists():
            return ()
        if any(self._parent(other) == id for other in self.list()):
            raise InUse(f"layer {id} has children", subject=id)
        trash = self.root / f".trash-{id}-{os.urandom(4).hex()}"
        path.rename(trash)
        return (str(trash),)

    def list(self) -> Iterable[str]:
        return sorted(entry.name for entry in self.root.iterdir() if not entry.name.startswith("."))

    def check(self, id: str) -> str:
        return "" if (self._path(id) / "tree").is_dir() else f"{id} has no tree"

    def reconcile(self, valid: Iterable[str]) -> Sequence[str]:
        wanted = set(valid)
        done = []
        for entry in self.root.iterdir():
            if entry.name not in wanted:
                delete(entry)
                done.append(f"removed {entry.name}")
        return done

    def close(self) -> None:
        pass

    def _path(self, id: str) -> Path:
        if not id or len(id) > 128 or not OK.issuperset(id) or id.startswith("."):
            raise Invalid(f"not an id: {id}", subject=id)
        return self.root / id

    def _existing(self, id: str) -> Path:
        path = self._path(id)
        if not path.exists():
            raise NotFound(f"there is no layer or snapshot {id}", subject=id)
        return path

    def _parent(self, id: str) -> str | None:
        return (self._existing(id) / "parent").read_text() or None

    def _making(self, id: str, parent: str | None) -> Making:
        if parent is not None and not (self._existing(parent) / "layer").exists():
            raise Conflict(f"{parent} is a snapshot, not a layer", subject=parent)
        return Making(self.root, self._path(id), self._path(parent) if parent else None, parent or "")


class Making:
    """A directory that appears under its name only when it is whole."""

    def __init__(self, root: Path, target: Path, base: Path | None, parent: str) -> None:
        self.staging = root / f".staging-{target.name}"
        self.target = target
        self.base = base
        self.parent = parent

    def __enter__(self) -> Path:
        delete(self.staging)
        self.staging.mkdir(mode=0o700)
        tree = self.staging / "tree"
        if self.base:
            copy(self.base / "tree", tree)
        else:
            tree.mkdir()
            tree.chmod(0o755)
        (self.staging / "parent").write_text(self.parent)
        return tree

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if error is not None:
            delete(self.staging)
            return
        os.sync()
        self.staging.rename(self.target)


def copy(source: Path, target: Path) -> None:
    """A tree with owners, modes, times, links and devices; cp(1) knows them all."""
    import subprocess

    subprocess.run(["cp", "-a", "--reflink=auto", "--", str(source), str(target)], check=True)


def as_it_is(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo:
    """Python's own filters, where they exist (3.11.4), take set-user-id and sticky bits away, which a layer needs."""
    return member


def delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def walk(tree: Path) -> Iterator[str]:
    for directory, directories, files in os.walk(tree):
        for name in (*directories, *files):
            yield os.path.relpath(os.path.join(directory, name), tree)


def differ(one: Path, other: Path) -> bool:
    a, b = one.lstat(), other.lstat()
    if (a.st_mode, a.st_uid, a.st_gid) != (b.st_mode, b.st_uid, b.st_gid):
        return True
    if one.is_symlink():
        return os.readlink(one) != os.readlink(other)
    return one.is_file() and ((a.st_size, a.st_mtime_ns) != (b.st_size, b.st_mtime_ns)) and not filecmp.cmp(one, other, False)
