"""Storage properties: what a layer hides of its parents, and what it takes from them (ST-37, ST-42, ST-57)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tare.errors import Invalid

from .archives import Item, directory, file, hard, layer, symlink
from .conftest import Bench


def test_st57_whiteouts_in_any_order(bench: Bench) -> None:
    base = layer(
        directory("d"),
        file("d/old", b"old"),
        directory("d/sub"),
        file("d/sub/x", b"x"),
        file("gone"),
        directory("e"),
        file("e/o"),
    )
    bench.driver.apply("a", None, base)
    bench.driver.apply(
        "b",
        "a",
        layer(
            directory("d"),
            file("d/new", b"new"),
            directory("d/sub"),
            file("d/sub/y", b"y"),
            file("d/.wh..wh..opq"),
            file(".wh.gone"),
            file(".wh.never-was"),
            file("nowhere/.wh.x"),
            file(".wh.e"),
            directory("e"),
            file("e/n", b"n"),
            file("d/.wh..wh.plnk"),
        ),
    )
    with bench.layer("b") as path:
        assert sorted(os.listdir(path)) == ["d", "e"]
        assert sorted(os.listdir(path / "d")) == ["new", "sub"]
        assert os.listdir(path / "d" / "sub") == ["y"]
        assert os.listdir(path / "e") == ["n"]


def test_st57_a_layer_s_own_file_outlives_a_later_whiteout_of_its_name(bench: Bench) -> None:
    bench.driver.apply("a", None, layer(file("f", b"old"), directory("d"), file("d/old")))
    bench.driver.apply("b", "a", layer(file("f", b"new"), file(".wh.f"), directory("d"), file("d/new"), file(".wh.d")))
    with bench.layer("b") as path:
        assert (path / "f").read_bytes() == b"new"
        assert os.listdir(path / "d") == ["new"]


def test_st57_opaque_root(bench: Bench) -> None:
    bench.driver.apply("a", None, layer(file("f"), directory("d"), file("d/old")))
    bench.driver.apply("b", "a", layer(directory("d"), file("d/new"), file(".wh..wh..opq"), file("g")))
    with bench.layer("b") as path:
        assert sorted(os.listdir(path)) == ["d", "g"]
        assert os.listdir(path / "d") == ["new"]


SECRET = (directory("a", mode=0o700), file("a/secret"), directory("a/sub"), file("a/sub/secret"), file("b"))
ALL = {"a", "a/secret", "a/sub", "a/sub/secret", "b"}
HIDING: dict[str, tuple[tuple[Item, ...], set[str]]] = {
    "hidden, then marked inside": ((file(".wh.a"), file("a/.wh.secret")), {"b"}),
    "marked inside, then hidden": ((file("a/.wh.secret"), file(".wh.a")), {"b"}),
    "hidden, then opaque": ((file(".wh.a"), file("a/.wh..wh..opq")), {"b"}),
    "opaque, then hidden": ((file("a/.wh..wh..opq"), file(".wh.a")), {"b"}),
    "deep mark, then hidden": ((file("a/sub/.wh.secret"), file(".wh.a")), {"b"}),
    "deep mark, then opaque": ((file("a/sub/.wh.secret"), file("a/.wh..wh..opq")), {"a", "b"}),
    "opaque alone": ((file("a/.wh..wh..opq"),), {"a", "b"}),
    "opaque where nothing is": ((file("n/.wh..wh..opq"), file("b/.wh..wh..opq"), file("n/.wh.x")), ALL),
    "hidden, then on the way": ((file(".wh.a"), file("a/new")), {"a", "a/new", "b"}),
    "on the way, then hidden": ((file("a/new"), file(".wh.a")), {"a", "a/new", "b"}),
    "opaque root between": ((file("a/new"), file(".wh..wh..opq"), file("c")), {"a", "a/new", "c"}),
    "opaque root first": ((file(".wh..wh..opq"), file("a/new"), file("a/.wh.secret")), {"a", "a/new"}),
    "opaque root and all others": ((file(".wh.a"), file("a/.wh..wh..opq"), file(".wh..wh..opq")), set()),
    "a file in its place": ((file("a", b"x"), file("a/.wh.secret"), file("a/.wh..wh..opq")), {"a", "b"}),
    "a link in its place": ((symlink("a", "/etc"), file("a/.wh.passwd"), file("a/.wh..wh..opq")), {"a", "b"}),
    "a file, then a directory": ((file("a"), directory("a"), file("a/new")), {"a", "a/new", "b"}),
    "marks of AUFS": ((directory(".wh..wh.plnk"), file(".wh..wh.plnk/1.2"), file(".wh..wh.aufs")), ALL),
}  # fmt: skip


def below(root: Path) -> list[str]:
    return [os.path.join(top, name) for top, names, files in os.walk(root) for name in names + files]


@pytest.mark.parametrize("kind", HIDING)
def test_st57_what_is_hidden_stays_hidden(bench: Bench, kind: str) -> None:
    items, shown = HIDING[kind]
    bench.driver.apply("lower", None, layer(*SECRET))
    bench.driver.apply("upper", "lower", layer(*items))
    bench.driver.apply("top", "upper", layer(directory("z")))
    for id in ("upper", "top"):
        with bench.layer(id) as path:
            assert {os.path.relpath(name, path) for name in below(path)} - {"z"} == shown
            if kind.endswith("way") or ("then hidden" in kind and "a/new" in shown):
                assert os.stat(path / "a").st_mode & 0o7777 == 0o755


def test_st37_a_hard_link_to_a_file_of_the_parents(bench: Bench) -> None:
    bench.driver.apply("lower", None, layer(directory("d", mode=0o711), file("d/f", b"f", mode=0o4755, uid=3), file("gone")))
    bench.driver.apply("upper", "lower", layer(hard("e/g", "d/f")))
    with bench.layer("upper") as path:
        assert os.stat(path / "d" / "f").st_ino == os.stat(path / "e" / "g").st_ino
        assert (path / "e" / "g").read_bytes() == b"f"
        assert (os.stat(path / "d").st_mode & 0o7777, os.stat(path / "d" / "f").st_mode & 0o7777) == (0o711, 0o4755)
    bench.driver.apply("hidden", "lower", layer(hard("e/g", "d/f"), file("d/.wh.f")))
    with bench.layer("hidden") as path:
        assert os.listdir(path / "d") == []
        assert (path / "e" / "g").read_bytes() == b"f"
    for items in ((file(".wh.gone"), hard("x", "gone")), (hard("x", "x"),), (hard("x", "d"),), (hard("gone", "gone"),)):
        with pytest.raises(Invalid, match="hard link"):
            bench.driver.apply("bad", "lower", layer(*items))


def test_st42_a_default_acl_is_kept_and_inherited_by_nothing_of_the_layer(bench: Bench) -> None:
    acl = bytes.fromhex("0200000001000600ffffffff020004002200000004000400ffffffff10000400ffffffff20000000ffffffff")
    headers = {"SCHILY.xattr.system.posix_acl_default": acl.decode("utf-8", "surrogateescape")}
    bench.driver.apply("lower", None, layer(directory("d", pax_headers=headers), file("d/f", mode=0o666), directory("d/s")))
    bench.driver.apply("upper", "lower", layer(file("d/g", mode=0o666), file("d/s/h", mode=0o666)))
    with bench.layer("upper") as path:
        if not os.listxattr(path / "d"):
            pytest.skip("no ACLs here")
        assert os.getxattr(path / "d", "system.posix_acl_default") == acl
        for name in ("d/f", "d/g", "d/s/h"):
            assert (os.listxattr(path / name), os.stat(path / name).st_mode & 0o777) == ([], 0o666), name
        assert os.listxattr(path / "d" / "s") == []
