"""What info says of the host."""

from __future__ import annotations

from pathlib import Path

from tare.engine.info import LIMITS, supported_limits
from tare.linux.cgroups import Hierarchy


def test_version_1_by_the_files_of_its_trees(tmp_path: Path) -> None:
    for controller, files in {
        "memory": ("memory.limit_in_bytes",),
        "cpu": ("cpu.cfs_quota_us", "cpu.shares"),
        "pids": (),
    }.items():
        (tmp_path / controller).mkdir()
        for name in files:
            (tmp_path / controller / name).touch()
    trees = tuple(Hierarchy(1, str(tmp_path / name), (name,)) for name in ("memory", "cpu", "pids"))
    there = {name for name, yes in supported_limits(trees).items() if yes}
    assert there == {"MemoryLimit", "CpuCfsQuota", "CPUShares", "PidsLimit"}


def test_version_2_by_its_controllers(tmp_path: Path) -> None:
    tree = Hierarchy(2, str(tmp_path), ("memory", "cpu"))
    there = {name for name, yes in supported_limits((tree,)).items() if yes}
    assert there == {"MemoryLimit", "CpuCfsPeriod", "CpuCfsQuota", "CPUShares"}
    (tmp_path / "init.scope").mkdir()
    (tmp_path / "init.scope/memory.swap.max").touch()
    assert supported_limits((tree,))["SwapLimit"]


def test_without_cgroups_there_is_nothing() -> None:
    assert not any(supported_limits(()).values()) and set(supported_limits(())) == set(LIMITS)
