"""Storage properties: full disks, death at any moment, leftovers, many at once (ST-17, ST-68 to ST-79)."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tare.errors import Exhausted, TareError
from tare.linux import mounts

from .archives import directory, file, layer
from .conftest import DRIVERS, Bench

WORKER = """
import importlib, sys
from pathlib import Path
from tare.drivers.registration import DriverContext
module, _, name = sys.argv[1].partition(":")
driver = getattr(importlib.import_module(module), name)(DriverContext(Path(sys.argv[2]), Path(sys.argv[2]), "", {}, print))
sys.stdout.write("ready\\n"); sys.stdout.flush()
driver.apply(sys.argv[3], sys.argv[4] or None, sys.stdin.buffer)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
sys.stdout.write("done " + peak.split()[1] + "\\n")
"""


def worker(bench: Bench, id: str, parent: str = "") -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WORKER, DRIVERS[bench.name].factory, str(bench.root), id, parent]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    return process


@pytest.fixture
def small(bench: Bench, tmp_path: Path) -> Iterator[Bench]:
    """The same driver on a disk of 8 MiB."""
    root = tmp_path / "small"
    root.mkdir()
    mounts.mount("tmpfs", str(root), "tmpfs", 0, "size=8m,mode=700")
    try:
        yield Bench(bench.name, root, tmp_path / "mount")
    finally:
        mounts.unmount(str(root))


def test_st68_st58_a_full_disk_leaves_nothing_half_made(small: Bench) -> None:
    small.driver.apply("base", None, layer(file("a", os.urandom(1 << 20))))
    free = os.statvfs(small.root).f_bfree
    with pytest.raises(Exhausted, match="no space left"):
        small.driver.apply("big", "base", layer(*(file(f"f{n}", os.urandom(1 << 20)) for n in range(10))))
    assert list(small.driver.list()) == ["base"]
    assert os.listdir(small.root / "staging") == []
    assert os.statvfs(small.root).f_bfree == free


def test_st68_removing_works_on_a_full_disk(small: Bench) -> None:
    small.driver.apply("base", None, layer(file("a", os.urandom(1 << 20))))
    small.driver.prepare("c", "base", {})
    with small.snapshot("c") as path, pytest.raises(OSError):
        (path / "fill").write_bytes(os.urandom(16 << 20))
    paths = small.driver.remove("c")
    assert "c" not in small.driver.list()
    assert len(paths) == 1
    small.driver.reconcile(["base"])
    assert os.listdir(small.root / "trash") == []
    small.driver.prepare("c", "base", {})


def test_st69_the_disk_has_its_room_again(small: Bench) -> None:
    small.driver.apply("base", None, layer(file("a", b"a")))
    small.driver.prepare("c", "base", {})
    small.driver.remove("c")
    small.driver.reconcile(["base"])
    free = os.statvfs(small.root).f_bfree
    small.driver.apply("top", "base", layer(*(file(f"d/{n}", os.urandom(5000)) for n in range(200))))
    small.driver.prepare("c", "top", {})
    assert os.statvfs(small.root).f_bfree < free
    for id in ("c", "top"):
        for trash in small.driver.remove(id):
            subprocess.run(["rm", "-r", trash], check=True)
    assert os.statvfs(small.root).f_bfree == free


def test_st70_st71_a_worker_killed_at_any_moment_leaves_the_old_state(bench: Bench) -> None:
    bench.driver.apply("base", None, layer(directory("d"), file("d/x")))
    whole = layer(*(file(f"f{n}", os.urandom(100)) for n in range(200))).getvalue()
    for part in (0, 512, 100_000, len(whole) - 20_000):
        process = worker(bench, "new", "base")
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(whole[:part])
        process.stdin.flush()
        deadline = threading.Event()
        while part and not os.listdir(bench.root / "staging"):
            assert not deadline.wait(0.01)
        assert bench.driver.reconcile(["base"]) == []
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()
        assert list(bench.driver.list()) == ["base"]
        bench.driver.reconcile(["base"])
        assert os.listdir(bench.root / "staging") == []
    bench.driver.apply("new", "base", io.BytesIO(whole))
    assert bench.driver.check("new") == ""


def test_st71_reconcile_takes_what_is_not_valid_and_nothing_else(bench: Bench) -> None:
    for id, parent in (("a", None), ("b", "a"), ("x", "a"), ("y", "x")):
        bench.driver.apply(id, parent, layer(file(id)))
    bench.driver.prepare("c", "b", {})
    bench.driver.prepare("lost", "b", {})
    (bench.root / "staging" / "left").mkdir()
    (bench.root / "trash" / "left").mkdir()
    (bench.root / "trash" / "left" / "file").touch()
    report = bench.driver.reconcile(["c"])
    assert sorted(report) == ["removed layer x", "removed layer y", "removed snapshot lost", "removed unfinished left"]
    assert sorted(bench.driver.list()) == ["a", "b", "c"]
    assert os.listdir(bench.root / "staging") == os.listdir(bench.root / "trash") == []
    with bench.snapshot("c") as path:
        assert sorted(os.listdir(path)) == ["a", "b"]
    assert bench.driver.reconcile(["a", "b", "c"]) == []
    assert sorted(bench.driver.reconcile([])) == ["removed layer a", "removed layer b", "removed snapshot c"]
    bench.driver.apply("a", None, layer(file("again")))
    with bench.layer("a") as path:
        assert os.listdir(path) == ["again"]


def test_st71_what_cannot_be_deleted_is_told_and_stops_nothing_else(bench: Bench) -> None:
    bench.driver.apply("a", None, layer(file("a")))
    stuck = bench.root / "trash" / "a-stuck"
    stuck.mkdir()
    (bench.root / "trash" / "z").mkdir()
    mounts.mount("tmpfs", str(stuck), "tmpfs", 0, "size=1m")
    try:
        told = bench.driver.reconcile([])
        assert [line for line in told if "a-stuck" in line and "busy" in line] and "removed layer a" in told
        assert os.listdir(bench.root / "trash") == ["a-stuck"]
    finally:
        mounts.unmount(str(stuck))
    bench.driver.reconcile([])
    assert os.listdir(bench.root / "trash") == []


def test_st73_a_damaged_layer_stops_no_other(bench: Bench) -> None:
    bench.driver.apply("a", None, layer(file("a")))
    bench.driver.apply("b", None, layer(file("b")))
    bench.driver.prepare("c", "b", {})
    os.system(f"rm -r {bench.root}/layers/b/*")
    assert bench.driver.check("a") == ""
    assert bench.driver.check("b") != ""
    again = bench.reopened()
    again.prepare("ok", "a", {})
    with bench.mounted(again.mounts("ok")) as path:
        assert os.listdir(path) == ["a"]
    again.remove("c")
    again.remove("b")
    assert sorted(again.list()) == ["a", "ok"]


def test_st74_check_sees_what_changed(bench: Bench) -> None:
    bench.driver.apply("a", None, layer(directory("d"), file("d/x", b"x"), file("d/y", b"y")))
    assert bench.driver.check("a") == ""
    assert "no such" in bench.driver.check("nothing")
    (inside,) = (bench.root / "layers" / "a").glob("*/d/x")
    made = inside.parent.stat().st_ctime_ns
    inside.unlink()
    while inside.parent.stat().st_ctime_ns <= made + 10_000_000:
        inside.parent.chmod(0o755)
    assert "changed" in bench.driver.check("a")


def test_st76_a_disk_that_refuses_is_a_typed_error(small: Bench) -> None:
    small.driver.apply("a", None, layer(file("a")))
    mounts.mount("", str(small.root), "", mounts.MS_REMOUNT | mounts.MS_RDONLY)
    try:
        for attempt in (
            lambda: small.driver.prepare("c", "a", {}),
            lambda: small.driver.apply("b", "a", layer(file("b"))),
            lambda: small.driver.remove("a"),
        ):
            with pytest.raises(TareError) as raised:
                attempt()
            assert raised.value.kind == "unavailable"
            assert "read-only" in str(raised.value)
    finally:
        mounts.mount("", str(small.root), "", mounts.MS_REMOUNT)


def test_st77_many_at_once(bench: Bench) -> None:
    bench.driver.apply("base", None, layer(directory("d"), file("d/x", b"x")))
    failures: list[BaseException] = []
    winners: list[str] = []

    def live(number: int) -> None:
        driver = bench.reopened()
        try:
            for turn in range(5):
                driver.prepare(f"c{number}-{turn}", "base", {})
                assert driver.mounts(f"c{number}-{turn}")
                driver.remove(f"c{number}-{turn}")
            try:
                driver.prepare("contested", "base", {})
                winners.append("contested")
            except TareError as error:
                assert error.kind == "conflict", error
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=live, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert winners == ["contested"]
    assert sorted(bench.driver.list()) == ["base", "contested"]


def test_st77_two_workers_unpack_one_layer(bench: Bench) -> None:
    bench.driver.apply("base", None, layer(file("base")))
    whole = layer(*(file(f"f{n}", b"x") for n in range(50))).getvalue()
    processes = [worker(bench, "same", "base") for _ in range(2)]
    for process in processes:
        out, _ = process.communicate(whole)
        assert (out[:5], process.returncode) == (b"done ", 0)
    with bench.layer("same") as path:
        assert len(os.listdir(path)) == 51
    assert os.listdir(bench.root / "staging") == []


def test_st78_nothing_leaks_over_many_cycles(bench: Bench) -> None:
    bench.driver.apply("base", None, layer(directory("d"), file("d/x", b"x")))
    descriptors = os.listdir("/proc/self/fd")
    table = len(mounts.mount_table())
    for number in range(100):
        bench.driver.prepare("c", "base", {})
        bench.driver.mounts("c")
        bench.driver.changes("c")
        bench.driver.diff("c", io.BytesIO())
        bench.driver.remove("c")
        if number % 10 == 0:
            bench.driver.reconcile(["base"])
            with pytest.raises(TareError):
                bench.driver.apply("bad", "base", layer(file("../x")))
    assert len(os.listdir("/proc/self/fd")) == len(descriptors)
    assert len(mounts.mount_table()) == table


def test_st63_memory_stays_flat_for_large_layers(bench: Bench, tmp_path: Path) -> None:
    archive = tmp_path / "large.tar"
    with tarfile.open(archive, "w") as out:
        info = tarfile.TarInfo("large")
        info.size = 300 << 20
        out.addfile(info, open("/dev/zero", "rb"))  # noqa: SIM115 - endless
    process = worker(bench, "large")
    with open(archive, "rb") as source:
        assert process.stdin is not None and process.stdout is not None
        while data := source.read(1 << 20):
            process.stdin.write(data)
    process.stdin.close()
    done, kilobytes = process.stdout.read().split()
    process.wait()
    process.stdout.close()
    assert done == b"done" and int(kilobytes) < 64 << 10
    (made,) = (bench.root / "layers" / "large").glob("*/large")
    assert made.stat().st_size == 300 << 20
    assert made.stat().st_blocks < 1000
