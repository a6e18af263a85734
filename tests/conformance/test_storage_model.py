"""Storage properties: random stacks of layers show what a plain model says, on both drivers (ST-07, ST-32 to ST-57)."""

from __future__ import annotations

import contextlib
import io
import os
import random
import shutil
from pathlib import Path

import pytest

from .archives import layer
from .conftest import Bench, describe
from .model import Layers, expected, found


@pytest.mark.parametrize("seed", [*range(60), 853])
def test_st57_random_layers_show_what_the_model_says(bench: Bench, seed: int) -> None:
    made = Layers(seed)
    parent = None
    for number in range(2 + seed % 4):
        items = made.layer()
        archive = layer(*items)
        bench.driver.apply(f"l{number}", parent, archive)
        said = [getattr(item[0] if isinstance(item, tuple) else item, "name", "") for item in items]
        with bench.layer(f"l{number}") as path:
            assert found(path, made.tree) == expected(made.tree), f"layer {number} of seed {seed}: {said}"
        out = io.BytesIO()
        bench.driver.diff(f"l{number}", out)
        out.seek(0)
        bench.driver.apply(f"copy{number}", parent, out)
        with bench.layer(f"copy{number}") as path:
            assert found(path, made.tree) == expected(made.tree), f"the diff of layer {number} of seed {seed}"
        parent = f"l{number}"
    bench.driver.prepare("c", parent, {})
    assert bench.driver.changes("c") == []


def disturb(root: Path, dice: random.Random) -> None:
    """What programs do to a tree, at random, but the same on any file system: no directory is renamed (EXDEV)."""
    for turn in range(12):
        known = sorted(Path(top, name) for top, names, files in os.walk(root) for name in names + files)
        path = root.joinpath(*(dice.choice("abcd") for _ in range(dice.choice((1, 2, 3)))))
        old = dice.choice(known) if known else path
        what = dice.choice("write append remove remove mkdir move link symlink chmod chown attribute".split())
        with contextlib.suppress(OSError):
            if what == "write" and not os.path.lexists(path):
                path.write_bytes(b"%d" % turn)
            elif what == "append" and old.is_file() and not old.is_symlink():
                with open(old, "ab") as file:
                    file.write(b"+%d" % turn)
            elif what == "remove":
                shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
            elif what == "mkdir":
                path.mkdir()
            elif what == "move" and (old.is_symlink() or not old.is_dir()):
                os.rename(old, path)
            elif what == "link" and (old.is_symlink() or not old.is_dir()):
                os.link(old, path, follow_symlinks=False)
            elif what == "symlink":
                path.symlink_to(f"to-{turn}")
            elif what == "chmod" and not old.is_symlink():
                os.chmod(old, 0o700 + turn)
            elif what == "chown":
                os.chown(old, 100 + turn, 3, follow_symlinks=False)
            elif what == "attribute" and not old.is_symlink():
                os.setxattr(old, "trusted.turn", b"%d" % turn)


@pytest.mark.parametrize("seed", range(40))
def test_st54_st55_random_changes_are_told_alike_and_come_back_whole(tmp_path: Path, seed: int) -> None:
    told: list[list[tuple[str, int]]] = []
    for name in ("overlay2", "vfs"):
        (tmp_path / name).mkdir()
        bench = Bench(name, tmp_path / name, tmp_path / "mount")
        made = Layers(seed, links=False)  # which overlayfs separates when one of them is written to
        bench.driver.apply("a", None, layer(*made.layer()))
        bench.driver.apply("b", "a", layer(*made.layer()))
        bench.driver.prepare("c", "b", {})
        with bench.snapshot("c") as path:
            disturb(path, random.Random(seed))
            after = describe(path)
        told.append([(change.path, change.kind) for change in bench.driver.changes("c")])
        out = io.BytesIO()
        bench.driver.diff("c", out)
        out.seek(0)
        bench.driver.apply("copy", "b", out)
        with bench.layer("copy") as path:
            assert describe(path) == after, name
    touched = set(told[0]) - set(told[1])  # overlayfs copies a file up before a change that leaves it as it was
    assert [change for change in told[0] if change not in touched] == told[1]
    assert all(kind == 0 for _, kind in touched)
