"""Storage properties: removal beside creation, and death in the middle of a commit (ST-10, ST-12, ST-70, ST-71, ST-77)."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from tare.errors import InUse, TareError

from .archives import directory, file, layer
from .conftest import DRIVERS, Bench


class Meddling(io.BytesIO):
    """A tar during whose reading something happens, once."""

    def __init__(self, whole: bytes, meddle: Callable[[], None]) -> None:
        super().__init__(whole)
        self._meddle: Callable[[], None] | None = meddle

    def read(self, size: int | None = -1, /) -> bytes:
        meddle, self._meddle = self._meddle, None
        if meddle is not None:
            meddle()
        return super().read(size)


def together(*works: Callable[[], None]) -> None:
    """Run all at once; the first failure of any is raised."""
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def nothing_unfinished(bench: Bench) -> None:
    assert os.listdir(bench.root / "staging") == []
    for id in bench.driver.list():
        assert bench.reopened().check(id) == "", id


def test_st10_a_layer_stays_while_another_is_made_on_it(bench: Bench) -> None:
    bench.driver.apply("base", None, layer(file("base")))

    def meddle() -> None:
        with pytest.raises(InUse, match="unfinished"):
            bench.reopened().remove("base")
        assert bench.reopened().reconcile([]) == []

    bench.driver.apply("top", "base", Meddling(layer(file("top")).getvalue(), meddle))
    nothing_unfinished(bench)
    assert sorted(bench.driver.list()) == ["base", "top"]


def test_st71_what_a_dead_maker_left_keeps_no_layer_and_goes_with_the_next_one(bench: Bench) -> None:
    bench.driver.apply("base", None, layer(file("base")))
    (bench.root / "staging" / "left").mkdir()
    (bench.root / "staging" / "left" / "parent").symlink_to("base")
    bench.driver.remove("base")
    bench.driver.apply("other", None, layer(file("other")))
    nothing_unfinished(bench)
    assert list(bench.driver.list()) == ["other"]


def test_st10_st77_layers_go_beside_snapshots_that_come(bench: Bench) -> None:
    """Whoever got a snapshot has all of its layers, whoever got none is told that the layer is not there."""
    base, top = layer(directory("d"), file("d/x", b"x")).getvalue(), layer(file("d/y", b"y")).getvalue()
    stop = threading.Event()

    def creates(number: int) -> None:
        driver = bench.reopened()
        made = 0
        while made < 15:
            id = f"c{number}-{made}"
            try:
                driver.prepare(id, "top", {})
            except TareError as error:
                assert error.kind == "not_found", error
                continue
            assert driver.check(id) == ""
            driver.remove(id)
            made += 1

    def removes() -> None:
        driver = bench.reopened()
        while not stop.is_set():
            driver.apply("base", None, io.BytesIO(base))
            try:
                driver.apply("top", "base", io.BytesIO(top))
            except TareError as error:
                assert error.kind == "not_found", error
            for id in ("top", "base"):
                try:
                    driver.remove(id)
                except TareError as error:
                    assert error.kind == "in_use", error

    def reconciles() -> None:
        driver = bench.reopened()
        while not stop.is_set():
            driver.reconcile(["top", *(f"c{number}-{turn}" for number in range(4) for turn in range(60))])

    def all_creates() -> None:
        try:
            together(*(lambda number=number: creates(number) for number in range(4)))  # type: ignore[misc]
        finally:
            stop.set()

    together(all_creates, removes, removes, reconciles)
    nothing_unfinished(bench)


def test_st77_one_layer_is_made_and_removed_by_many(bench: Bench) -> None:
    whole = layer(directory("d"), file("d/x", b"x")).getvalue()

    def work() -> None:
        driver = bench.reopened()
        for _ in range(40):
            driver.apply("same", None, io.BytesIO(whole))
            driver.remove("same")

    together(work, work, work)
    assert list(bench.driver.list()) == []
    bench.driver.apply("same", None, io.BytesIO(whole))
    nothing_unfinished(bench)


DYING = """
import importlib, os, sys
from pathlib import Path
from tare.drivers.registration import DriverContext
from tare_storage import shelf
module, _, name = sys.argv[1].partition(":")
driver = getattr(importlib.import_module(module), name)(DriverContext(Path(sys.argv[2]), Path(sys.argv[2]), "", {}, print))
if sys.argv[3] == "before":
    shelf.sync = lambda descriptor: os._exit(9)
else:
    shelf.Shelf._sync_directory = lambda *_: os._exit(9)
driver.commit("c", "b")
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_st70_a_commit_that_dies_leaves_the_snapshot_or_the_layer(bench: Bench, moment: str) -> None:
    bench.driver.apply("a", None, layer(directory("d"), file("d/one", b"1")))
    bench.driver.prepare("c", "a", {})
    with bench.snapshot("c") as path:
        (path / "d" / "two").write_bytes(b"2")
    command = [sys.executable, "-c", DYING, DRIVERS[bench.name].factory, str(bench.root), moment]
    assert subprocess.run(command, check=False).returncode == 9
    left = "c" if moment == "before" else "b"
    assert sorted(bench.driver.list()) == ["a", left]
    assert len(bench.driver.reconcile(["a", left])) == (bench.name == "overlay2" and moment == "before")
    if moment == "before":
        with bench.snapshot("c") as path:
            assert sorted(os.listdir(path / "d")) == ["one", "two"]
        bench.driver.commit("c", "b")
    nothing_unfinished(bench)
    with bench.layer("b") as path:
        assert sorted(os.listdir(path / "d")) == ["one", "two"]
