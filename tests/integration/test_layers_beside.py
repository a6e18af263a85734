"""Images and containers beside each other: whoever got a container has all of it, nothing is left, and where things lie is told
as Docker does."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.images.conftest import config, docker_archive, pack, tree

from .conftest import Daemon, descendants, new_daemon, wait_for

GONE = ("No such image", "Unable to find image", "No such container")
BUSY = ("is using its referenced image", "image is being used by")


@pytest.fixture(params=["overlay2", "vfs"])
def shop(request: pytest.FixtureRequest, suite_directory: Path) -> Iterator[Daemon]:
    daemon = new_daemon(suite_directory, f"shop-{request.param}", "--storage-driver", request.param)
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.stop()
        shutil.rmtree(daemon.directory, ignore_errors=True)


@pytest.fixture
def archives(suite_directory: Path, busybox_tar: Path) -> Iterator[list[Path]]:
    """Two images of three layers, of which they share two."""
    base = busybox_tar.read_bytes()
    middle = tree({f"many/{number}": b"x" for number in range(300)})
    paths = []
    for name in ("red", "blue"):
        top = tree({"colour": name.encode()})
        path = suite_directory / f"beside-{name}.tar"
        path.write_bytes(pack(docker_archive(([f"{name}:1"], config(base, middle, top), [base, middle, top]))))
        paths.append(path)
    yield paths
    for path in paths:
        path.unlink()


def together(stop: threading.Event, *works: Callable[[], None]) -> None:
    """Run all at once. The first failure of any is raised, and sets ``stop``."""
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)
            stop.set()

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def fine(done: subprocess.CompletedProcess[str], *texts: str) -> bool:
    """Whether a command did it. Not having done it is right for these reasons alone."""
    assert done.returncode == 0 or any(text in done.stderr for text in texts), done.stderr
    return done.returncode == 0


def test_st10_images_go_beside_containers_that_come(shop: Daemon, archives: list[Path]) -> None:
    stop = threading.Event()
    one_at_a_time = threading.Lock()

    def comes_and_goes(name: str, path: Path) -> None:
        while not stop.is_set():
            with one_at_a_time:
                shop.tare("load", "-i", str(path))
            with one_at_a_time:
                fine(shop.tare("rmi", f"{name}:1", check=False), *GONE, *BUSY)

    def creates(name: str) -> None:
        made = 0
        while made < 4 and not stop.is_set():
            done = shop.tare("create", "--network", "none", f"{name}:1", "cat", "/colour", "/many/299", check=False)
            if not fine(done, *GONE):
                continue
            made += 1
            id = done.stdout.strip()
            assert shop.tare("start", "-a", id).stdout == f"{name}x"
            shop.tare("rm", id)

    def prunes() -> None:
        while not stop.is_set():
            with one_at_a_time:
                shop.tare("image", "prune", "-af")

    def all_creates() -> None:
        try:
            together(stop, *(lambda name=name: creates(name) for name in ("red", "blue")))  # type: ignore[misc]
        finally:
            stop.set()

    names = ("red", "blue")
    together(stop, all_creates, prunes, *(lambda n=n, p=p: comes_and_goes(n, p) for n, p in zip(names, archives, strict=True)))  # type: ignore[misc]
    for path in archives:
        shop.tare("load", "-i", str(path))
    assert shop.tare("run", "--rm", "--network", "none", "red:1", "cat", "/colour").stdout == "red"
    shop.tare("image", "prune", "-af")
    storage = shop.data_root / "storage" / shop.extra[1]
    for place in ("layers", "snapshots", "staging", "trash"):
        wait_for(lambda place=place: not os.listdir(storage / place), f"nothing in {place}")  # type: ignore[misc]
    assert "Traceback" not in shop.log()


def test_inspect_tells_where_things_lie(engine: Daemon) -> None:
    engine.tare("run", "-d", "--name", "placed", "--network", "none", "busybox", "sh", "-c", "echo 12345 >/note; sleep 1000")
    try:
        wait_for(lambda: engine.tare("exec", "placed", "cat", "/note").stdout == "12345\n", "the note")
        data = engine.inspect("placed")["GraphDriver"]["Data"]  # type: ignore[index]
        assert (Path(data["UpperDir"]) / "note").read_text() == (Path(data["MergedDir"]) / "note").read_text() == "12345\n"
        assert (Path(data["LowerDir"]) / "bin" / "busybox").exists()
        assert engine.docker("ps", "-s", "--filter", "name=placed", "--format", "{{.Size}}").stdout.startswith("6B (virtual")
        place = engine.tare("image", "inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", "busybox").stdout.strip()
        assert place == data["LowerDir"]
        engine.tare("kill", "placed")
        wait_for(lambda: "MergedDir" not in engine.inspect("placed")["GraphDriver"]["Data"], "the end of it")  # type: ignore[index]
    finally:
        engine.tare("rm", "-f", "placed")


def test_st73_one_damaged_container_keeps_nobody_from_being_listed(daemon: Daemon) -> None:
    good, bad = (daemon.tare("create", "--network", "none", "busybox", "true").stdout.strip() for _ in range(2))
    shutil.rmtree(daemon.data_root / "storage" / "overlay2" / "snapshots" / bad)
    assert sorted(daemon.tare("ps", "-asq", "--no-trunc").stdout.split()) == sorted([good, bad])
    assert "Containers" in daemon.docker("system", "df").stdout
    assert sorted(daemon.tare("container", "prune", "-f").stdout.split()[2:4]) == sorted([good, bad])


@pytest.mark.parametrize("driver", ["overlay2", "vfs"])
def test_st70_an_interrupted_unpacking_is_begun_again_and_leaves_nothing(daemon: Daemon, driver: str, busybox_tar: Path) -> None:
    base, many = busybox_tar.read_bytes(), tree({f"many/{number}": b"x" for number in range(20_000)})
    archive = daemon.directory / "many.tar"
    archive.write_bytes(pack(docker_archive((["many:1"], config(base, many), [base, many]))))
    daemon.tare("load", "-i", str(archive))
    storage = daemon.data_root / "storage" / driver
    create = ("create", "--storage-driver", driver, "--network", "none", "many:1", "ls", "/many")

    def inside() -> bool:
        return any(storage.glob("staging/*/*/many/9*"))

    def interrupt() -> None:
        wait_for(inside, "the second layer half done")
        assert daemon.process is not None
        for pid in descendants(daemon.process.pid):
            if b"tare.images.worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=interrupt)
    killer.start()
    done = daemon.tare(*create, check=False)
    killer.join()
    assert done.returncode and "the worker for unpack died" in done.stderr
    assert len(os.listdir(storage / "layers")) == 1
    id = daemon.tare(*create).stdout.strip()
    assert os.listdir(storage / "staging") == []
    assert len(daemon.tare("start", "-a", id).stdout.split()) == 20_000
