"""Storage properties: mounts, copy-on-write and differences (ST-19 to ST-57, ST-66, ST-67)."""

from __future__ import annotations

import errno
import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tare.drivers.storage import SupportsDetails
from tare.errors import Invalid, Unsupported

from .archives import directory, file, hard, layer, symlink
from .conftest import Bench, describe

BASE = (
    directory("./"),
    directory("etc"),
    file("etc/passwd", b"root\n"),
    file("etc/group", b"root\n", mode=0o600, uid=5, gid=6),
    directory("dir"),
    directory("dir/sub"),
    file("dir/sub/deep", b"deep"),
    file("dir/a", b"a"),
    file("one", b"linked"),
    hard("two", "one"),
    symlink("link", "etc/passwd"),
    symlink("dangling", "nowhere" * 40),
    file("setuid", b"#!", mode=0o4755),
    file("big", b"x" * 200_000),
)


@pytest.fixture
def base(bench: Bench) -> Bench:
    bench.driver.apply("base", None, layer(*BASE))
    bench.driver.prepare("c", "base", {})
    return bench


def change(path: Path) -> None:
    """What a program may do to a tree."""
    (path / "etc" / "passwd").write_bytes(b"changed\n")
    (path / "etc" / "new").write_bytes(b"new")
    try:
        os.setxattr(path / "etc" / "new", "user.mime", b"text/\0plain")
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        os.setxattr(path / "etc" / "new", "trusted.mime", b"text/\0plain")  # a tmpfs before Linux 6.6 has only these
    shutil.rmtree(path / "dir")
    (path / "dir").mkdir()
    (path / "dir" / "fresh").write_bytes(b"fresh")
    os.chmod(path / "setuid", 0o2711)
    os.chown(path / "etc" / "group", 77, 88)
    os.link(path / "etc" / "new", path / "again")
    os.mkfifo(path / "fifo", 0o640)
    os.mknod(path / "zero", 0o20666, os.makedev(1, 5))
    (path / "dangling").unlink()
    os.symlink("x" * 300, path / "dangling")
    with open(path / "sparse", "wb") as out:
        out.truncate(3_000_000)
        out.seek(1_500_000)
        out.write(b"middle")
    os.utime(path / "etc" / "new", ns=(1, 1_234_567_890_987_654_321))
    (path / "link").unlink()
    (path / "link").mkdir()
    os.chmod(path / "link", 0o1777)
    os.rename(path / "big", path / "etc" / "moved")


def test_st19_mounting_twice_gives_the_same(base: Bench) -> None:
    with base.snapshot("c") as path:
        (path / "kept").write_bytes(b"kept")
        first = describe(path)
    with base.mounted(base.reopened().mounts("c")) as path:
        assert describe(path) == first


def test_st19_a_volatile_snapshot_can_be_mounted_again(base: Bench) -> None:
    for volatile in (True, True, False):
        with base.mounted(base.driver.mounts("c", volatile=volatile)) as path, open(path / "log", "ab") as log:
            log.write(b".")
            os.fsync(log.fileno())
    with base.snapshot("c") as path:
        assert (path / "log").read_bytes() == b"..."


def test_st20_snapshots_do_not_see_each_other(base: Bench, tmp_path: Path) -> None:
    base.driver.prepare("other", "base", {})
    with base.snapshot("c") as one, base.mounted(base.driver.mounts("other"), tmp_path / "second") as two:
        (one / "etc" / "passwd").write_bytes(b"mine")
        (one / "dir" / "a").unlink()
        assert (two / "etc" / "passwd").read_bytes() == b"root\n"
        assert (two / "dir" / "a").exists()


def test_st22_a_view_refuses_every_write(base: Bench) -> None:
    base.driver.apply("top", "base", layer(file("more")))
    for id in ("base", "top"):
        with base.layer(id) as path:
            for attempt in (
                lambda: (path / "etc" / "passwd").write_bytes(b"x"),
                lambda: (path / "new").mkdir(),
                lambda: os.chmod(path / "etc", 0o700),
                lambda: os.setxattr(path / "one", "user.x", b"1"),
                lambda: os.utime(path / "one"),
                lambda: (path / "one").unlink(),
            ):
                with pytest.raises(OSError) as raised:
                    attempt()
                assert raised.value.errno == errno.EROFS


def test_st25_a_root_with_odd_characters(tmp_path: Path) -> None:
    root = tmp_path / "a:b,c \\d\u00fc=e"
    root.mkdir()
    for name in ("overlay2", "vfs"):
        (root / name).mkdir()
        bench = Bench(name, root / name, tmp_path / "mount, here")
        assert bench.driver.probe().state == "ok"
        bench.driver.apply("a", None, layer(file("a")))
        bench.driver.apply("b", "a", layer(file("b")))
        bench.driver.prepare("c", "b", {})
        with bench.snapshot("c") as path:
            assert sorted(os.listdir(path)) == ["a", "b"]
        with bench.layer("b") as path:
            assert sorted(os.listdir(path)) == ["a", "b"]


def test_st30_to_st40_changes_persist_and_the_parent_stays(base: Bench) -> None:
    with base.layer("base") as path:
        before = describe(path)
    with base.snapshot("c") as path:
        change(path)
        after = describe(path)
    with base.snapshot("c") as path:
        assert describe(path) == after
        assert sorted(os.listdir(path / "dir")) == ["fresh"]
    with base.layer("base") as path:
        assert describe(path) == before


def test_st31_st35_st36_files_of_the_parent_are_written_and_renamed(base: Bench) -> None:
    with base.snapshot("c") as path:
        with open(path / "etc" / "passwd", "ab") as appended:
            appended.write(b"more\n")
        os.truncate(path / "big", 3)
        (path / "one").unlink()
        os.close(os.open(path / "one", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        os.rename(path / "etc" / "group", path / "dir" / "a")
        try:
            os.rename(path / "dir" / "sub", path / "moved")
        except OSError as error:
            assert error.errno == errno.EXDEV
            assert subprocess.run(["mv", "dir/sub", "moved"], cwd=path).returncode == 0
    with base.snapshot("c") as path:
        assert (path / "etc" / "passwd").read_bytes() == b"root\nmore\n"
        assert ((path / "big").read_bytes(), (path / "one").read_bytes(), (path / "two").read_bytes()) == (b"xxx", b"", b"linked")
        assert (path / "dir" / "a").read_bytes() == b"root\n" and not (path / "etc" / "group").exists()
        assert (path / "moved" / "deep").read_bytes() == b"deep" and not (path / "dir" / "sub").exists()
        assert os.statvfs(path).f_blocks == os.statvfs(base.root).f_blocks  # ST-52


def test_st37_hard_links_inside_a_layer(base: Bench) -> None:
    with base.layer("base") as path:
        one, two = os.stat(path / "one"), os.stat(path / "two")
        assert (one.st_ino, one.st_nlink) == (two.st_ino, 2)


def test_st54_changes_are_exactly_these(base: Bench) -> None:
    assert base.driver.changes("c") == []
    with base.snapshot("c") as path:
        change(path)
    kinds = {"C": 0, "A": 1, "D": 2}
    expected = """A /again
        D /big
        C /dangling
        C /dir
        D /dir/a
        A /dir/fresh
        D /dir/sub
        C /etc
        C /etc/group
        A /etc/moved
        A /etc/new
        C /etc/passwd
        A /fifo
        C /link
        C /setuid
        A /sparse
        A /zero"""
    wanted = [(line.split()[1], kinds[line.split()[0]]) for line in expected.splitlines()]
    assert [(change.path, change.kind) for change in base.driver.changes("c")] == wanted


def test_st54_what_was_made_and_removed_again_is_no_change(base: Bench) -> None:
    with base.snapshot("c") as path:
        keep = os.stat(path / "dir")
        (path / "dir" / "tmp").write_bytes(b"x")
        (path / "dir" / "tmp").unlink()
        os.utime(path / "dir", ns=(keep.st_atime_ns, keep.st_mtime_ns))
    assert base.driver.changes("c") == []


def test_st54_equal_size_and_time_do_not_hide_a_change(base: Bench) -> None:
    with base.snapshot("c") as path:
        keep = os.stat(path / "etc" / "passwd")
        with open(path / "etc" / "passwd", "r+b") as opened:
            opened.write(b"ROOT\n")
        os.utime(path / "etc" / "passwd", ns=(keep.st_atime_ns, keep.st_mtime_ns))
    assert "/etc/passwd" in [change.path for change in base.driver.changes("c")]


def test_st54_an_attribute_of_a_directory_is_a_change(base: Bench) -> None:
    with base.snapshot("c") as path:
        keep = os.stat(path / "dir")
        os.setxattr(path / "dir", "trusted.note", b"x")
        os.utime(path / "dir", ns=(keep.st_atime_ns, keep.st_mtime_ns))
    assert [(change.path, change.kind) for change in base.driver.changes("c")] == [("/dir", 0)]


def test_st37_a_link_to_what_the_parent_has_is_one_file_in_the_diff(base: Bench) -> None:
    with base.snapshot("c") as path:
        os.link(path / "big", path / "dir" / "big too")
    out = io.BytesIO()
    assert base.driver.diff("c", out) == 200_000
    out.seek(0)
    base.driver.apply("copy", "base", out)
    with base.layer("copy") as path:
        assert os.stat(path / "big").st_ino == os.stat(path / "dir" / "big too").st_ino


def test_st54_a_directory_moved_over_another_is_seen(bench: Bench) -> None:
    bench.driver.apply("base", None, layer(directory("x"), file("x/f", b"1"), directory("y"), file("y/f", b"2")))
    bench.driver.prepare("c", "base", {})
    with bench.snapshot("c") as path:
        assert subprocess.run(["mv", "y", "z"], cwd=path).returncode == 0
        shutil.rmtree(path / "x")
        assert subprocess.run(["mv", "z", "x"], cwd=path).returncode == 0
        assert (path / "x" / "f").read_bytes() == b"2"
    assert [(c.path, c.kind) for c in bench.driver.changes("c")] == [("/x", 0), ("/x/f", 0), ("/y", 2)]


def test_st55_st41_diff_applied_to_the_same_parent_gives_the_same_tree(base: Bench) -> None:
    with base.snapshot("c") as path:
        change(path)
        after = describe(path)
    out = io.BytesIO()
    size = base.driver.diff("c", out)
    out.seek(0)
    applied = base.driver.apply("copy", "base", out)
    assert applied.size == size
    base.driver.prepare("d", "copy", {})
    with base.snapshot("d") as path:
        copied = describe(path)
        assert copied == after
        assert os.stat(path / "sparse").st_blocks * 512 < 300_000
        assert os.stat(path / "again").st_ino == os.stat(path / "etc" / "new").st_ino
    assert base.driver.changes("d") == []
    out = io.BytesIO()
    assert base.driver.diff("d", out) == 0 and not out.getvalue().strip(b"\0")


def test_st55_a_diff_of_one_driver_is_read_by_the_other(base: Bench, tmp_path: Path) -> None:
    with base.snapshot("c") as path:
        change(path)
        after = describe(path)
    out = io.BytesIO()
    base.driver.diff("c", out)
    root = tmp_path / "other"
    root.mkdir()
    other = Bench("vfs" if base.name == "overlay2" else "overlay2", root, tmp_path / "othermount")
    other.driver.apply("base", None, layer(*BASE))
    out.seek(0)
    other.driver.apply("copy", "base", out)
    with other.layer("copy") as path:
        assert describe(path) == after


def test_st56_diff_is_byte_stable_and_any_tar_reads_it(base: Bench) -> None:
    with base.snapshot("c") as path:
        change(path)
    first, second = io.BytesIO(), io.BytesIO()
    base.driver.diff("c", first)
    base.reopened().diff("c", second)
    assert first.getvalue() == second.getvalue()
    first.seek(0)
    with tarfile.open(fileobj=first) as archive:
        names = archive.getnames()
    assert names == sorted(names, key=lambda name: name.replace(".wh.", "").split("/"))
    assert {".wh.big", "dir/.wh.a", "dir/.wh.sub", "etc/new", "dir/fresh"} <= set(names)


def test_st44_a_file_named_like_a_whiteout_is_refused(base: Bench) -> None:
    with base.snapshot("c") as path:
        (path / ".wh.etc").write_bytes(b"user data")
    with pytest.raises(Invalid, match=r"\.wh\.etc"):
        base.driver.diff("c", io.BytesIO())


def test_st42_acls_are_kept(base: Bench) -> None:
    entry = bytes.fromhex("0200000001000600ffffffff020004002200000004000400ffffffff10000400ffffffff20000000ffffffff")
    with base.snapshot("c") as path:
        try:
            os.setxattr(path / "one", "system.posix_acl_access", entry)
        except OSError as error:
            pytest.skip(f"no ACLs here: {error.strerror}")
        os.setxattr(path / "setuid", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
        after = describe(path)
    out = io.BytesIO()
    base.driver.diff("c", out)
    out.seek(0)
    base.driver.apply("copy", "base", out)
    with base.layer("copy") as path:
        copied = describe(path)
    assert copied["one"][5] == after["one"][5] and "system.posix_acl_access" in copied["one"][5]
    assert copied["setuid"][5] == after["setuid"][5] and "security.capability" in copied["setuid"][5]


def test_a_very_deep_tree_can_be_removed_and_is_refused_by_diff(base: Bench) -> None:
    with base.snapshot("c") as path:
        here = os.open(path, os.O_RDONLY)
        for _ in range(600):
            os.mkdir("deep", dir_fd=here)
            below = os.open("deep", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(here)
    try:
        with pytest.raises(Invalid, match="levels deep"):
            base.driver.diff("c", io.BytesIO())
        assert base.driver.reconcile(["base"]) == ["removed snapshot c"]
        assert os.listdir(base.root / "trash") == []
    finally:
        subprocess.run(["rm", "-rf", base.root / "snapshots" / "c", base.root / "trash"], check=True)


def test_st66_unknown_options_are_refused(base: Bench) -> None:
    with pytest.raises(Unsupported, match="size"):
        base.driver.prepare("q", "base", {"size": "10000000"})
    assert "q" not in base.driver.list()


def test_st67_usage_is_what_was_written_without_directories_and_parents(base: Bench) -> None:
    assert base.driver.usage("c").bytes == 0
    with base.snapshot("c") as path:
        (path / "data").write_bytes(os.urandom(1_000_000))
        os.link(path / "data", path / "same")
        (path / "new" / "empty").mkdir(parents=True)
        (path / "dir" / "a").unlink()
        with open(path / "sparse", "wb") as out:
            out.truncate(5_000_000)
    assert base.driver.usage("c").bytes == 6_000_000
    with base.snapshot("c") as path:
        assert base.driver.usage("c").bytes == 6_000_000
        os.utime(path / "big")
    assert base.driver.usage("c").bytes == 6_200_000
    files = sum(len(item[1]) for item in BASE if isinstance(item, tuple))
    assert base.driver.usage("base").bytes == files + len("etc/passwd" + "nowhere" * 40)


def test_where_things_lie_is_true(base: Bench) -> None:
    if not isinstance(base.driver, SupportsDetails):
        pytest.skip("a matter of overlay2")
    base.driver.apply("top", "base", layer(file("more", b"more")))
    base.driver.prepare("d", "top", {})
    with base.snapshot("d") as path:
        (path / "mine").write_bytes(b"mine")
    details = base.driver.details("d")
    assert set(details) == {"LowerDir", "UpperDir", "WorkDir"}
    assert os.listdir(details["UpperDir"]) == ["mine"]
    top, lowest = details["LowerDir"].split(":")
    assert os.listdir(top) == ["more"] and "dangling" in os.listdir(lowest)
    assert base.driver.details("top") == {"LowerDir": lowest, "UpperDir": top}
    assert base.driver.details("base") == {"UpperDir": lowest}


def test_st82_status_names_the_disk(bench: Bench) -> None:
    status = dict(bench.driver.status())
    kind = subprocess.run(["stat", "-f", "-c", "%T", bench.root], capture_output=True, text=True, check=True).stdout
    assert status["Backing Filesystem"][:3] == kind[:3]
    assert status["Free Space"]


def test_overlay_on_overlay_is_skipped_with_its_reason(bench: Bench) -> None:
    if bench.name != "overlay2":
        pytest.skip("a matter of overlay2")
    bench.driver.apply("a", None, layer(file("a")))
    bench.driver.prepare("c", "a", {})
    with bench.snapshot("c") as path:
        (path / "nested").mkdir()
        nested = Bench("overlay2", path / "nested", path / "mount")
        probe = nested.driver.probe()
        assert probe.state == "skip" and "overlay" in probe.reason
        assert os.listdir(path / "nested") == []
