"""The janitor: trees however deep, links never followed, mounts never entered, cgroups in the right order."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tare.supervisor import janitor

from .conftest import Peer, eventually

CGROUP = Path("/sys/fs/cgroup/pids" if Path("/sys/fs/cgroup/pids").is_dir() else "/sys/fs/cgroup")
FREEZER = Path("/sys/fs/cgroup/freezer")


def remove(path: Path) -> None:
    for _ in janitor.remove_tree(str(path)):
        pass


@pytest.fixture
def cgroup() -> Iterator[Path]:
    path = CGROUP / f"tare-janitor-{os.getpid()}"
    path.mkdir()
    yield path
    for folder in sorted(path.glob("**/"), reverse=True):
        folder.rmdir()


def test_a_tree_goes_and_what_it_links_to_stays(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("keep me")
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "file").write_text("x")
    (tree / "a" / "link").symlink_to(outside)
    (tree / "loop").symlink_to(".")
    os.mkfifo(tree / "a" / "b" / "fifo")
    os.mknod(tree / "whiteout", 0o20000 | 0o600, 0)
    (tree / "locked").mkdir(0)
    remove(tree)
    assert not tree.exists()
    assert (outside / "precious").read_text() == "keep me"
    remove(tree)
    (tmp_path / "link").symlink_to(outside)
    remove(tmp_path / "link")
    assert (outside / "precious").exists() and not (tmp_path / "link").is_symlink()


def test_a_tree_of_any_depth(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    here = os.open(tree, os.O_RDONLY)
    for level in range(3000):
        name = "d" * (1 + level % 200)
        os.mkdir(name, dir_fd=here)
        deeper = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    remove(tree)
    assert not tree.exists()


def test_a_mount_inside_is_not_entered(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "mounted").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tree / "mounted"], check=True)
    try:
        (tree / "mounted" / "precious").write_text("keep me")
        with pytest.raises(OSError, match="something is mounted there"):
            remove(tree)
        assert (tree / "mounted" / "precious").exists()
    finally:
        subprocess.run(["umount", tree / "mounted"], check=True)
    remove(tree)
    assert not tree.exists()


def test_cgroups_go_from_the_inside_out_and_busy_ones_wait(cgroup: Path) -> None:
    inner = cgroup / "x" / "inner"
    inner.mkdir(parents=True)
    process = subprocess.Popen(["sleep", "1000"])
    (inner / "cgroup.procs").write_text(str(process.pid))
    assert not janitor.remove_cgroup(str(cgroup / "x"))
    process.kill()
    process.wait()
    eventually(lambda: janitor.remove_cgroup(str(cgroup / "x")))
    assert not (cgroup / "x").exists()
    assert janitor.remove_cgroup(str(cgroup / "x"))


def test_who_is_left_in_a_cgroup_is_ended_with_all_that_it_forks(cgroup: Path) -> None:
    inner = cgroup / "x" / "inner"
    inner.mkdir(parents=True)
    script = f"echo 0 > {inner}/cgroup.procs; while true; do sleep 0 & done"
    process = subprocess.Popen(["sh", "-c", script])
    outside = subprocess.Popen(["sleep", "1000"])
    eventually(lambda: (inner / "cgroup.procs").read_text())
    janitor.end_members(str(cgroup / "x"))
    assert process.wait(30) == -9
    eventually(lambda: janitor.remove_cgroup(str(cgroup / "x")))
    assert outside.poll() is None
    outside.kill()
    outside.wait()
    janitor.end_members(str(cgroup / "x"))


def test_who_is_frozen_in_a_cgroup_is_ended() -> None:
    if not FREEZER.is_dir():
        pytest.skip("no version 1 freezer")
    cgroup = FREEZER / f"tare-janitor-{os.getpid()}"
    cgroup.mkdir()
    process = subprocess.Popen(["sleep", "1000"])
    try:
        (cgroup / "cgroup.procs").write_text(str(process.pid))
        (cgroup / "freezer.state").write_text("FROZEN")
        janitor.end_members(str(cgroup))
        assert process.wait(30) == -9
    finally:
        (cgroup / "freezer.state").write_text("THAWED")
        process.kill()
        process.wait()
        eventually(lambda: janitor.remove_cgroup(str(cgroup)))


def test_clean_works_in_the_background(peer: Peer, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "deep").mkdir(parents=True)
    peer.ask("clean", paths=[str(tmp_path / "one"), str(tmp_path / "absent"), str(tmp_path / "two")])
    eventually(lambda: not (tmp_path / "one").exists() and not (tmp_path / "two").exists())


def test_cgroups_of_an_ended_process_go_before_the_next_start_makes_them(peer: Peer, cgroup: Path) -> None:
    ours = cgroup / "c"
    for _ in range(30):
        with suppress(FileExistsError):
            os.mkdir(ours)
        script = f"mkdir -p {ours} && echo 0 > {ours}/cgroup.procs"
        peer.start("c", "sh", "-c", script, launch={"cgroups": (str(ours),)})
        assert peer.exit("c")["code"] == 0, "the cgroup went away under the new process"
    eventually(lambda: not ours.exists())
