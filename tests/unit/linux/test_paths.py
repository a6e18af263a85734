"""Paths that stay below a directory."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tare.linux.paths import make_directory, make_file, open_beneath, open_in_root


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "root").mkdir()
    (tmp_path / "outside").mkdir()
    fd = os.open(tmp_path / "root", os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def where(fd: int, base: Path) -> str:
    try:
        return os.path.relpath(os.readlink(f"/proc/self/fd/{fd}"), base)
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("target", "made"),
    [("/outside", "root/outside/a/b"), ("../../outside", "root/outside/a/b"), ("/", "root/a/b"), ("missing/../x", "root/x/a/b")],
)
def test_directories_are_made_inside_whatever_links_say(root: int, tmp_path: Path, target: str, made: str) -> None:
    (tmp_path / "root/link").symlink_to(target)
    assert where(make_directory(root, "/link/a/b"), tmp_path) == made
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_file_at_the_far_end_of_a_dangling_link(root: int, tmp_path: Path) -> None:
    (tmp_path / "root/link").symlink_to("/etc/real")
    assert where(make_file(root, "/link"), tmp_path) == "root/etc/real"
    assert stat.S_ISREG((tmp_path / "root/etc/real").stat().st_mode)


def test_what_exists_is_opened(root: int, tmp_path: Path) -> None:
    (tmp_path / "root/etc").mkdir()
    (tmp_path / "root/etc/hosts").write_text("kept")
    assert where(make_file(root, "/etc/hosts"), tmp_path) == "root/etc/hosts"
    assert (tmp_path / "root/etc/hosts").read_text() == "kept"
    assert where(make_directory(root, "etc/"), tmp_path) == "root/etc"
    assert where(make_directory(root, "new/"), tmp_path) == "root/new"


def test_links_that_chase_each_other(root: int, tmp_path: Path) -> None:
    (tmp_path / "root/a").symlink_to("b")
    (tmp_path / "root/b").symlink_to("a")
    with pytest.raises(OSError, match="Too many levels"):
        make_directory(root, "/a/x")


def test_a_file_in_the_way(root: int, tmp_path: Path) -> None:
    (tmp_path / "root/f").write_text("")
    with pytest.raises(NotADirectoryError):
        make_directory(root, "/f/x")


def test_links_of_procfs_are_not_followed(tmp_path: Path) -> None:
    host = os.open("/", os.O_PATH | os.O_DIRECTORY)
    try:
        with pytest.raises(OSError, match="Too many levels"):
            open_in_root(host, f"/proc/self/fd/{host}/etc")
    finally:
        os.close(host)


def test_beneath_refuses_every_link_and_climb(root: int, tmp_path: Path) -> None:
    (tmp_path / "root/link").symlink_to("/")
    for path in ("link", "../outside", "/etc"):
        with pytest.raises(OSError):
            open_beneath(root, path)


def test_a_nul_is_refused(root: int) -> None:
    with pytest.raises(OSError, match="NUL"):
        make_directory(root, "/a\0b")
