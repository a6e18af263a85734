"""A data-root without a byte to spare: errors that say so, containers that go on, removal that still works."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.images.conftest import config, docker_archive, pack, tree

from .conftest import Daemon, new_daemon, wait_for
from .traces import traces

NONE = ("--network", "none")


class Disk:
    """A small file system of its own, with a filler in it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.image = place.with_suffix(".img")

    def mount(self) -> None:
        self.place.mkdir()
        with open(self.image, "wb") as file:
            file.truncate(96 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(self.image)], check=True, capture_output=True)
        done = subprocess.run(["mount", "-o", "loop", str(self.image), str(self.place)], capture_output=True, text=True, check=False)  # noqa: E501
        if done.returncode:
            pytest.skip(f"no loop devices: {done.stderr}")

    def unmount(self) -> None:
        subprocess.run(["umount", str(self.place)], check=True, capture_output=True)
        self.place.rmdir()
        wait_for(lambda: not self.loops(), "the end of the loop device")
        self.image.unlink()

    def loops(self) -> str:
        return subprocess.run(["losetup", "-j", str(self.image)], capture_output=True, text=True, check=True).stdout

    def fill(self) -> None:
        """To the last block: first in large pieces, then in small ones."""
        with open(self.place / "filler", "ab", buffering=0) as file:
            for size in (1 << 20, 4096, 512):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    pass
                os.fsync(file.fileno())

    def free(self) -> None:
        (self.place / "filler").unlink()


@pytest.fixture
def disk(suite_directory: Path) -> Iterator[Disk]:
    made = Disk(suite_directory / "disk")
    made.mount()
    try:
        yield made
    finally:
        made.unmount()


@pytest.fixture
def crowded(disk: Disk, suite_directory: Path, busybox_tar: Path) -> Iterator[Daemon]:
    """A daemon on the small disk, with a container that runs, one that writes and one that was never started."""
    daemon = new_daemon(suite_directory, "crowded")
    daemon.data_root.symlink_to(disk.place)
    daemon.start()
    try:
        daemon.tare("import", str(busybox_tar), "busybox")
        daemon.tare("run", "-d", "--name", "idle", *NONE, "busybox", "sleep", "1000")
        daemon.tare("run", "-d", "--name", "writer", *NONE, "busybox", "sh", "-c", "while read line; do echo $line; done; sleep 1000")  # noqa: E501
        daemon.tare("create", "--name", "made", *NONE, "busybox", "echo", "hello")
        yield daemon
    finally:
        (disk.place / "filler").unlink(missing_ok=True)
        daemon.stop()
        wait_for(lambda: not mounted_users(disk.place), "nobody on the disk")
        shutil.rmtree(daemon.directory, ignore_errors=True)


def mounted_users(place: Path) -> list[str]:
    found = []
    for fd in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(fd).startswith(f"{place}/"):
                found.append(str(fd))
        except OSError:
            continue
    return found


def status(daemon: Daemon, name: str) -> str:
    return daemon.tare("inspect", "-f", "{{.State.Status}}", name).stdout.strip()


FULL = ("no space left", "free some space")


def says_full(stderr: str) -> bool:
    return any(words in stderr.lower() for words in FULL)


def test_what_needs_room_says_so_and_leaves_nothing(crowded: Daemon, disk: Disk, tmp_path: Path, busybox_tar: Path) -> None:
    layer = tree({"big": os.urandom(8 << 20)})
    archive = tmp_path / "archive.tar"
    archive.write_bytes(pack(docker_archive((["big:1"], config(layer), [layer]))))
    disk.fill()
    before = traces(crowded)
    for client in (crowded.tare, crowded.docker):
        for words, code in (
            (("load", "-i", str(archive)), 1),
            (("import", str(busybox_tar), "other"), 1),
            (("create", *NONE, "busybox", "true"), 1),
            (("run", "--rm", *NONE, "busybox", "true"), 125),
        ):
            done = client(*words, check=False)
            if done.returncode == 0 and words[0] in ("create", "run"):
                continue  # the state had a little room yet
            assert done.returncode in (code, 125), f"{words}: {done.stderr}"
            assert says_full(done.stderr) and str(crowded.data_root) in done.stderr, f"{words}: {done.stderr}"
            assert "Traceback" not in done.stderr and "in the daemon" not in done.stderr
    for id in set(crowded.tare("ps", "-aq", "--no-trunc").stdout.split()):
        if f"container {id}" not in before:
            crowded.tare("rm", "-f", id)
    wait_for(lambda: not traces(crowded) - before, f"nothing left behind but {sorted(traces(crowded) - before)}")
    disk.free()
    crowded.tare("load", "-i", str(archive))
    assert crowded.tare("run", "--rm", *NONE, "busybox", "echo", "again").stdout == "again\n"


def test_who_runs_goes_on(crowded: Daemon, disk: Disk) -> None:
    disk.fill()
    assert crowded.tare("exec", "idle", "echo", "inside").stdout == "inside\n"
    assert crowded.tare("ps", "-q").stdout.count("\n") == 2
    done = crowded.tare("exec", "idle", "sh", "-c", "head -c 9000000 /dev/zero > /big", check=False)
    assert done.returncode == 1
    assert status(crowded, "idle") == "running"
    started = crowded.tare("start", "-a", "made", check=False)
    assert (started.returncode, started.stdout) == (0, "hello\n") or says_full(started.stderr)
    assert status(crowded, "made") in ("created", "exited")
    assert crowded.tare("stop", "-t", "0", "idle").stdout == "idle\n"
    wait_for(lambda: status(crowded, "idle") == "exited", "the news of the end")
    assert crowded.tare("inspect", "-f", "{{.State.ExitCode}}", "idle").stdout == "137\n"


def test_output_is_lost_and_nobody_waits(crowded: Daemon, disk: Disk) -> None:
    """The container writes on, its attached client reads on; what the log lacks is said in the supervisor's log."""
    script = "i=0; while [ $i -lt 400 ]; do head -c 65536 /dev/zero | tr '\\0' x; echo; i=$((i+1)); done; echo last words"
    disk.fill()
    done = crowded.tare("exec", "idle", "sh", "-c", script)
    assert done.stdout.endswith("last words\n")
    disk.free()
    crowded.tare("create", "--name", "loud", *NONE, "busybox", "sh", "-c", script)
    disk.fill()
    done = crowded.tare("start", "-a", "loud", check=False)
    if done.returncode == 0:
        assert done.stdout.endswith("last words\n")
        assert status(crowded, "loud") == "exited"
    else:
        assert says_full(done.stderr)


@pytest.mark.parametrize("again", [False, True], ids=["at once", "after a restart of the daemon"])
def test_removal_makes_room(crowded: Daemon, disk: Disk, again: bool) -> None:
    disk.fill()
    if again:
        crowded.kill(signal.SIGKILL)
        crowded.start()
    for name in ("idle", "writer", "made"):
        assert crowded.tare("rm", "-f", name).stdout == f"{name}\n"
    assert crowded.tare("ps", "-aq").stdout == ""
    assert crowded.tare("rmi", "busybox").returncode == 0
    disk.free()
    crowded.kill(signal.SIGTERM)
    crowded.start()
    assert crowded.tare("ps", "-aq").stdout == crowded.tare("images", "-q").stdout == ""


def test_an_end_that_could_not_be_recorded_is_known_after_a_restart(crowded: Daemon, disk: Disk) -> None:
    disk.fill()
    crowded.tare("kill", "idle")
    wait_for(lambda: status(crowded, "idle") == "exited", "the news of the end")
    crowded.kill(signal.SIGKILL)
    disk.free()
    crowded.start()
    assert status(crowded, "idle") == "exited"
    assert crowded.tare("inspect", "-f", "{{.State.ExitCode}}", "idle").stdout == "137\n"
    assert status(crowded, "writer") == "running"
