"""Every storage property is examined on both drivers, on the real kernel."""

from __future__ import annotations

import importlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tare.drivers.registration import DriverContext
from tare.drivers.storage import StorageDriver
from tare.linux import mounts
from tare.model.mount import Mount
from tare_storage import tare_register_storage_drivers

DRIVERS = {driver.name: driver for driver in tare_register_storage_drivers()}


@pytest.fixture(autouse=True)
def own_umask() -> Iterator[None]:
    """Layers are unpacked with a umask of 0, in workers; here in threads of the suite's own process, which must not keep it."""
    mask = os.umask(0o022)
    yield
    os.umask(mask)


class Bench:
    """A driver on a root of its own, and a place to mount what it hands out."""

    def __init__(self, name: str, root: Path, target: Path) -> None:
        self.name = name
        self.root = root
        self.target = target
        self.driver = self.reopened()

    def reopened(self) -> StorageDriver:
        """A second instance on the same root, as a restarted daemon or a worker has."""
        module, _, factory = DRIVERS[self.name].factory.partition(":")
        context = DriverContext(self.root, self.root, "", {}, lambda line: None)
        driver: StorageDriver = getattr(importlib.import_module(module), factory)(context)
        return driver

    @contextmanager
    def mounted(self, plan: tuple[Mount, ...], target: Path | None = None) -> Iterator[Path]:
        """Perform a mount plan as a runtime does, and undo it."""
        target = target or self.target
        target.mkdir(exist_ok=True)
        done = 0
        before = os.getcwd()
        try:
            for mount in plan:
                flags, _, data = mounts.split_options(mount.options)
                if mount.cwd:
                    os.chdir(mount.cwd)
                bind = bool(flags & mounts.MS_BIND)
                mounts.mount(mount.source, str(target), "" if bind else mount.type, flags, data)
                done += 1
                if bind and flags & mounts.MS_RDONLY:
                    mounts.mount("", str(target), "", mounts.MS_REMOUNT | mounts.MS_BIND | mounts.MS_RDONLY)
            os.chdir(before)
            yield target
        finally:
            os.chdir(before)
            for _ in range(done):
                mounts.unmount(str(target))

    @contextmanager
    def snapshot(self, id: str) -> Iterator[Path]:
        with self.mounted(self.driver.mounts(id)) as path:
            yield path

    @contextmanager
    def layer(self, id: str) -> Iterator[Path]:
        with self.mounted(self.driver.view(id)) as path:
            yield path


@pytest.fixture(params=sorted(DRIVERS))
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    root = tmp_path / "root"
    root.mkdir(mode=0o700)
    made = Bench(request.param, root, tmp_path / "mount")
    yield made
    made.driver.close()


@pytest.fixture
def tree() -> Callable[[Path], dict[str, Any]]:
    return describe


def describe(root: Path) -> dict[str, Any]:
    """Everything that can be told of a tree: path → (mode, uid, gid, size or device, mtime, content or target, xattrs, inode
    group of hard links). Directory sizes and link counts, which file systems choose, are left out."""
    found: dict[str, Any] = {}
    groups: dict[tuple[int, int], str] = {}
    for top, names, files in os.walk(root):
        for name in sorted(names + files):
            path = os.path.join(top, name)
            relative = os.path.relpath(path, root)
            status = os.lstat(path)
            kind = stat.S_IFMT(status.st_mode)
            content: object = None
            if kind == stat.S_IFREG:
                with open(path, "rb") as file:
                    content = file.read()
            elif kind == stat.S_IFLNK:
                content = os.readlink(path)
            elif kind in (stat.S_IFCHR, stat.S_IFBLK):
                content = status.st_rdev
            group = groups.setdefault((status.st_dev, status.st_ino), relative) if kind != stat.S_IFDIR else ""
            attributes = {
                key: os.getxattr(path, key, follow_symlinks=False)
                for key in os.listxattr(path, follow_symlinks=False)
                if not key.startswith("trusted.overlay.")
            }
            found[relative] = (
                oct(status.st_mode),
                status.st_uid,
                status.st_gid,
                int(status.st_mtime),
                content,
                attributes,
                group,
            )
    return found
