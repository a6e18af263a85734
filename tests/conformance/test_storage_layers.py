"""Storage properties: contract and life of layers and snapshots (ST-01 to ST-18), apply (ST-57 to ST-61)."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from tare.errors import Conflict, InUse, Invalid, NotFound, TareError, Unsupported
from tare.linux import tar

from .archives import Item, device, directory, fifo, file, hard, layer, symlink
from .conftest import Bench


def everything(root: Path) -> set[str]:
    return {os.path.join(top, name) for top, names, files in os.walk(root) for name in names + files}


def test_st01_probe_says_ok_and_leaves_nothing(bench: Bench) -> None:
    if bench.name == "overlay2":
        (bench.root / "probe-killed" / "work").mkdir(parents=True)
    probe = bench.driver.probe()
    assert (probe.state, everything(bench.root)) == ("ok", set())
    assert probe.reason


def test_st03_layer_without_parent_is_empty_and_0755_whatever_the_umask(bench: Bench) -> None:
    mask = os.umask(0o077)
    try:
        bench.driver.apply("base", None, layer(directory("d")))
        bench.driver.prepare("c", "base", {})
        bench.driver.prepare("bare", None, {})
    finally:
        os.umask(mask)
    for id in ("c", "bare"):
        with bench.snapshot(id) as path:
            assert os.stat(path).st_mode & 0o7777 == 0o755
            assert os.listdir(path) == (["d"] if id == "c" else [])


def test_st03_root_keeps_the_image_s_mode_and_owner(bench: Bench) -> None:
    bench.driver.apply("base", None, layer(directory("./", mode=0o1711, uid=7, gid=8), file("a")))
    bench.driver.apply("upper", "base", layer(file("b")))
    bench.driver.prepare("c", "upper", {})
    with bench.snapshot("c") as path:
        status = os.stat(path)
        assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o1711, 7, 8)


def test_st04_missing_and_uncommitted_parents(bench: Bench) -> None:
    with pytest.raises(NotFound):
        bench.driver.apply("a", "nowhere", layer(file("a")))
    with pytest.raises(NotFound):
        bench.driver.prepare("c", "nowhere", {})
    bench.driver.prepare("active", None, {})
    with pytest.raises(Conflict):
        bench.driver.apply("a", "active", layer(file("a")))
    assert list(bench.driver.list()) == ["active"]


def test_st05_same_id_again(bench: Bench) -> None:
    first = bench.driver.apply("a", None, layer(file("a", b"123")))
    assert bench.driver.apply("a", None, io.BytesIO(b"never read")) == first
    bench.driver.apply("b", None, layer(file("b")))
    with pytest.raises(Conflict):
        bench.driver.apply("a", "b", layer(file("a")))
    bench.driver.prepare("c", "a", {})
    for id in ("a", "c"):
        with pytest.raises(Conflict):
            bench.driver.prepare(id, "a", {})
    with pytest.raises(Conflict):
        bench.driver.apply("c", "a", layer(file("a")))


@pytest.mark.parametrize("id", ["", ".", "..", "../x", "a/b", "A", "a" * 129, "a\0b", "ü", "-/../..", ".hidden"])
def test_st06_odd_ids_are_refused(bench: Bench, id: str) -> None:
    with pytest.raises(Invalid):
        bench.driver.prepare(id, None, {})
    with pytest.raises(Invalid):
        bench.driver.remove(id)
    assert list(bench.driver.list()) == []


def test_st07_st32_children_see_the_chain_and_what_was_hidden_in_it(bench: Bench) -> None:
    bench.driver.apply("a", None, layer(directory("d"), file("d/one", b"1"), file("d/two", b"2"), file("top", b"a")))
    bench.driver.apply("b", "a", layer(file("d/.wh.one"), file("d/three", b"3")))
    bench.driver.apply("c", "b", layer(file("top", b"c")))
    with bench.layer("c") as path:
        assert sorted(os.listdir(path / "d")) == ["three", "two"]
        assert (path / "top").read_bytes() == b"c"
    with bench.layer("a") as path:
        assert sorted(os.listdir(path / "d")) == ["one", "two"]
        assert (path / "top").read_bytes() == b"a"


def test_st08_st12_commit_freezes(bench: Bench) -> None:
    bench.driver.apply("a", None, layer(directory("d"), file("d/one", b"1"), file("x", b"x")))
    bench.driver.prepare("c", "a", {})
    with bench.snapshot("c") as path:
        (path / "d" / "one").unlink()
        (path / "d" / "two").write_bytes(b"2")
        os.chmod(path / "x", 0o4711)
    bench.driver.commit("c", "b")
    assert sorted(bench.driver.list()) == ["a", "b"]
    with pytest.raises(NotFound):
        bench.driver.mounts("c")
    bench.driver.prepare("c", "b", {})
    with bench.snapshot("c") as path:
        assert os.listdir(path / "d") == ["two"]
        assert os.stat(path / "x").st_mode & 0o7777 == 0o4711
    with pytest.raises(NotFound):
        bench.driver.commit("nothing", "z")
    with pytest.raises(Conflict):
        bench.driver.commit("c", "a")
    assert bench.driver.check("b") == ""
    assert os.listdir(bench.root / "trash") == os.listdir(bench.root / "staging") == []


def test_st10_st11_remove(bench: Bench) -> None:
    bench.driver.apply("a", None, layer(file("a")))
    bench.driver.apply("b", "a", layer(file("b")))
    with pytest.raises(InUse):
        bench.driver.remove("a")
    bench.driver.prepare("c", "b", {})
    with pytest.raises(InUse):
        bench.driver.remove("b")
    assert bench.driver.remove("nothing") == ()
    paths = [*bench.driver.remove("c"), *bench.driver.remove("b"), *bench.driver.remove("a")]
    assert list(bench.driver.list()) == []
    assert len(paths) == 3 and all(os.path.isdir(path) for path in paths)
    bench.driver.prepare("c", None, {})


def test_st13_st15_st18_list_is_exact_also_for_a_second_instance(bench: Bench) -> None:
    bench.driver.apply("a", None, layer(file("a")))
    bench.driver.prepare("c", "a", {})
    bench.driver.close()
    bench.driver.close()
    again = bench.reopened()
    assert sorted(again.list()) == ["a", "c"]
    assert [m.options for m in again.mounts("c")] == [m.options for m in bench.driver.mounts("c")]


def test_st26_a_chain_of_128_layers(bench: Bench) -> None:
    parent = None
    for number in range(128):
        bench.driver.apply(
            f"{'layer':x<50}-{number}", parent, layer(file(f"f{number}", b"%d" % number), file("same", b"%d" % number))
        )
        parent = f"{'layer':x<50}-{number}"
    bench.driver.prepare("c" * 64, parent, {})
    with bench.snapshot("c" * 64) as path:
        assert len(os.listdir(path)) == 129
        assert (path / "same").read_bytes() == b"127"
        assert (path / "f0").read_bytes() == b"0"
    if bench.name == "overlay2":
        with pytest.raises(Unsupported, match="at most 128 layers"):
            bench.driver.apply("one-more", parent, layer(file("a")))
        assert "one-more" not in bench.driver.list()


def test_directories_that_a_layer_does_not_name_stay_as_they_are(bench: Bench) -> None:
    bench.driver.apply("a", None, layer(directory("d", mode=0o2750, uid=3, gid=4, mtime=77), file("d/x")))
    bench.driver.apply("b", "a", layer(file("d/y"), file("fresh/deep/z")))
    with bench.layer("b") as path:
        status = os.stat(path / "d")
        assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o2750, 3, 4)
        assert sorted(os.listdir(path / "d")) == ["x", "y"]
        assert os.stat(path / "fresh" / "deep").st_mode & 0o7777 == 0o755
        assert status.st_mtime == 77


def test_st34_other_types_take_the_place(bench: Bench) -> None:
    bench.driver.apply("a", None, layer(directory("d"), file("d/x"), file("f"), symlink("s", "f"), directory("t"), file("t/x")))
    bench.driver.apply(
        "b", "a", layer(file("d", b"now a file"), directory("f"), file("f/in"), directory("s"), file("s/in"), symlink("t", "f"))
    )
    with bench.layer("b") as path:
        assert (path / "d").read_bytes() == b"now a file"
        assert os.listdir(path / "f") == os.listdir(path / "s") == ["in"]
        assert os.readlink(path / "t") == "f"
    bench.driver.apply("c", "b", layer(directory("d")))
    with bench.layer("c") as path:
        assert os.listdir(path / "d") == []


HOSTILE: dict[str, tuple[Item, ...]] = {
    "climbing": (file("../escaped", b"x"),),
    "climbing inside": (directory("a"), file("a/../../escaped", b"x")),
    "absolute": (file("/escaped", b"x"),),
    "hard link out": (hard("passwd", "../../../../etc/passwd"),),
    "absolute hard link": (hard("passwd", "/etc/passwd"),),
    "hard link through a link": (symlink("etc", "/etc"), hard("passwd", "etc/passwd")),
    "through a link": (symlink("out", "/tmp"), file("out/escaped", b"x")),
    "through a link to the parent": (symlink("out", ".."), file("out/escaped", b"x")),
    "through a link, deep": (symlink("out", "/tmp"), file("out/a/b/escaped", b"x")),
    "deep": (file("d/" * 10_000 + "x"),),
    "long part": (file("x" * 256),),
    "whiteout of the parent": (file(".wh..."),),
    "whiteout of nothing": (file(".wh."),),
    "whiteout of itself": (file(".wh.."),),
    "inside a whiteout": (file(".wh.a/b"),),
    "inside a whiteout of the parent": (directory("a"), file("a/.wh.../x"),),
    "attribute that is none": (file("x", b"x", pax_headers={"SCHILY.xattr.security.capability": "junk"}),),
    "root as a file": (file("./", b"x"),),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_st59_hostile_archives_leave_nothing(bench: Bench, kind: str, tmp_path: Path) -> None:
    outside = everything(tmp_path)
    with pytest.raises(Invalid, match="layer evil"):
        bench.driver.apply("evil", None, layer(file("good"), *HOSTILE[kind]))
    assert list(bench.driver.list()) == []
    assert os.listdir(bench.root / "staging") == []
    assert {path for path in everything(tmp_path) - outside if "/root/" not in path} <= {str(tmp_path / "root")}
    assert not os.path.exists("/tmp/escaped")


def test_st43_devices_and_fifos(bench: Bench) -> None:
    bench.driver.apply("a", None, layer(device("null", devmajor=1, devminor=3, mode=0o666), fifo("pipe"), file("f")))
    with bench.layer("a") as path:
        assert os.stat(path / "null").st_rdev == os.makedev(1, 3)
        assert (path / "pipe").is_fifo()
    whiteout = layer(device("f", devmajor=0, devminor=0))
    if bench.name == "overlay2":
        with pytest.raises(Invalid, match="0:0"):
            bench.driver.apply("b", "a", whiteout)
    else:
        bench.driver.apply("b", "a", whiteout)
        with bench.layer("b") as path:
            assert os.lstat(path / "f").st_rdev == 0


def test_overlay_s_own_attributes_in_an_image_mean_nothing(bench: Bench) -> None:
    bench.driver.apply("a", None, layer(directory("d"), file("d/x"), directory("e"), file("e/secret")))
    headers = {"SCHILY.xattr.trusted.overlay.opaque": "y", "SCHILY.xattr.trusted.overlay.redirect": "/e"}
    bench.driver.apply("b", "a", layer(directory("d", pax_headers=headers)))
    with bench.layer("b") as path:
        assert os.listdir(path / "d") == ["x"]


@pytest.mark.parametrize("junk", [b"", b"junk" * 500, os.urandom(4096), b"\x1f\x8b" + bytes(600)])
def test_st60_junk_is_refused(bench: Bench, junk: bytes) -> None:
    with pytest.raises(Invalid, match="broken tar"):
        bench.driver.apply("a", None, io.BytesIO(junk))
    assert list(bench.driver.list()) == []


def test_st58_a_source_that_is_not_what_it_should_be_at_its_very_end_leaves_nothing(bench: Bench) -> None:
    class Changed(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            if not data:
                raise Invalid("another digest")
            return data

    with pytest.raises(Invalid, match="another digest"):
        bench.driver.apply("a", None, Changed(layer(file("f")).getvalue() + bytes(3 << 20)))
    assert list(bench.driver.list()) == []


def test_st58_st60_a_tar_cut_anywhere_leaves_nothing(bench: Bench) -> None:
    whole = layer(directory("d"), file("d/a" + "x" * 120, os.urandom(3000)), symlink("s" * 99, "t" * 150)).getvalue()
    end = len(whole.rstrip(b"\0"))
    for cut in range(100, end, 487):
        if cut % 512 == 0:
            continue
        with pytest.raises(Invalid):
            bench.driver.apply("a", None, io.BytesIO(whole[:cut]))
    assert list(bench.driver.list()) == []
    assert os.listdir(bench.root / "staging") == []


def test_st60_flipped_bits_never_raise_anything_but_tare_s_errors(bench: Bench) -> None:
    whole = bytearray(layer(directory("d"), file("d/a", b"content"), hard("h", "d/a"), symlink("s", "d")).getvalue())
    for position in range(0, 2048, 37):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        for start in range(0, len(damaged) - 511, 512):
            block = damaged[start : start + 512]
            if start // 512 == position // 512:
                block[148:156] = b" " * 8
                damaged[start + 148 : start + 156] = b"%06o\0 " % sum(block)
        try:
            bench.driver.apply(f"l{position}", None, io.BytesIO(bytes(damaged)))
        except TareError as error:
            assert error.kind in ("invalid", "exhausted", "unavailable"), error
    assert os.listdir(bench.root / "staging") == []


def test_st61_size_is_the_sum_of_the_files(bench: Bench) -> None:
    applied = bench.driver.apply("a", None, layer(directory("d"), file("d/a", b"12345"), hard("h", "d/a"), file("b", b"678")))
    assert (applied.size, applied.entries) == (8, 4)


def test_st45_odd_names(bench: Bench) -> None:
    long = "/".join("n" * 200 for _ in range(25)) + "/leaf"
    names = ["\udcff\udc80bad", "x" * 255, "with space", 'quo"te,:\\', "new\nline", "-rf", long]
    bench.driver.apply("a", None, layer(*(file(name, b"here") for name in names)))
    bench.driver.apply(
        "b", "a", layer(file(long[: -len("/leaf")] + "/.wh.leaf"), file("many/0"), *(file(f"many/{n}") for n in range(3000)))
    )
    with bench.layer("b") as path:
        for name in names[:-1]:
            assert (path / name).read_bytes() == b"here"
        assert len(os.listdir(path / "many")) == 3000
        here = os.open(path, os.O_RDONLY)
        for part in long.split("/")[:-1]:
            deeper = os.open(part, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = deeper
        assert os.listdir(here) == []
        os.close(here)


def test_gnu_tar_s_own_formats(bench: Bench, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / ("long" * 50)).write_bytes(b"long")
    os.symlink("t" * 300, source / "link")
    with open(source / "sparse", "wb") as file_:
        for at in (0, 300_000, 1_000_000):
            file_.seek(at)
            file_.write(b"data%d" % at)
        file_.truncate(2_000_000)
    for number, options in enumerate(
        (
            "--format=gnu",
            "--format=gnu --sparse",
            *(f"--format=posix --sparse --sparse-version={v}" for v in ("0.0", "0.1", "1.0")),
        )
    ):
        archive = tmp_path / f"{number}.tar"
        assert os.system(f"tar -C {source} {options} -cf {archive} .") == 0
        with open(archive, "rb") as opened:
            bench.driver.apply(f"l{number}", None, opened)
        with bench.layer(f"l{number}") as path:
            assert (path / "sparse").read_bytes() == (source / "sparse").read_bytes()
            assert os.stat(path / "sparse").st_blocks * 512 < 1_000_000
            assert (path / ("long" * 50)).read_bytes() == b"long"
            assert os.readlink(path / "link") == "t" * 300


def test_written_headers_are_read_by_python_s_tarfile() -> None:
    out = io.BytesIO()
    names = [b"short", b"d/" * 60 + b"split", b"x" * 180, b"\xff\xfe", b"p" * 100]
    for name in names:
        entry = tar.Entry(name, tar.FILE)
        entry.mode, entry.uid, entry.gid, entry.mtime = 0o4755, 3_000_000, 5, -1_000_000_000
        entry.xattrs = {"user.a": b"\x00\n=", "security.capability": b"cap"}
        out.write(tar.header(entry))
    out.write(tar.END)
    out.seek(0)
    with tarfile.open(fileobj=out) as archive:
        read = archive.getmembers()
    assert [os.fsencode(info.name) for info in read] == names
    assert {(info.mode, info.uid, info.gid, info.mtime) for info in read} == {(0o4755, 3_000_000, 5, -1)}
    out.seek(0)
    ours = list(tar.Reader(out))
    assert [(e.name, e.uid, e.mtime, e.xattrs["user.a"]) for e in ours] == [
        (n, 3_000_000, -1_000_000_000, b"\x00\n=") for n in names
    ]
