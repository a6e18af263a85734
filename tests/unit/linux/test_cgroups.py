"""Cgroup trees as this host has them, and as others have."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tare.linux import cgroups, device_filter, process
from tare.linux.mounts import MountInfo, mount_table

HYBRID = """\
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
42 31 0:29 / /elsewhere rw - cgroup cgroup rw,cpu,cpuacct
"""


def test_a_hybrid_host_is_version_1() -> None:
    found = cgroups.hierarchies([MountInfo(line) for line in HYBRID.splitlines()])
    assert [(tree.version, tree.path, tree.title) for tree in found] == [
        (1, "/sys/fs/cgroup/cpu,cpuacct", "cpu,cpuacct"),
        (1, "/sys/fs/cgroup/systemd", "systemd"),
    ]


def test_this_host_has_trees_and_this_process_is_in_them() -> None:
    places = cgroups.membership("self")
    for tree in cgroups.hierarchies():
        assert ("" if tree.version == 2 else tree.title) in places


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_device_filter_decides_by_the_last_rule_that_matches() -> None:
    unified = next((mount.target for mount in mount_table() if mount.type == "cgroup2"), "")
    if not unified:
        pytest.skip("no cgroup2 tree is mounted")
    directory = f"{unified}/tare-device-filter-{os.getpid()}"
    os.mkdir(directory)
    rules = [
        (False, "a", -1, -1, "rwm"),
        (True, "c", 1, 3, "rw"),
        (True, "c", 1, 5, "r"),
        (True, "c", 1, 8, "rwm"),
        (False, "c", 1, 8, "w"),
    ]
    try:
        device_filter.attach(directory, device_filter.assemble(rules))
        read, write = os.pipe()
        pid, fd = process.clone3(0, pidfd=True)
        if pid == 0:
            cgroups.enter_v2(directory)
            asked = [("null", os.O_RDWR), ("zero", os.O_RDONLY), ("zero", os.O_RDWR), ("full", os.O_RDONLY)]
            asked += [("random", os.O_RDONLY), ("random", os.O_WRONLY)]
            for name, flags in asked:
                try:
                    os.close(os.open(f"/dev/{name}", flags))
                    os.write(write, b"y")
                except PermissionError:
                    os.write(write, b"n")
            os._exit(0)
        process.wait(fd)
        os.close(fd)
        assert os.read(read, 16) == b"yynnyn"
        os.close(read)
        os.close(write)
    finally:
        os.rmdir(directory)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_missing_parent_hands_cpuset_down() -> None:
    tree = next((tree for tree in cgroups.hierarchies() if "cpuset" in tree.controllers and tree.version == 1), None)
    if tree is None:
        pytest.skip("no version 1 cpuset tree")
    parent = f"{tree.path}/tare-cpuset-{os.getpid()}"
    try:
        cgroups.make_v1(f"{parent}/inner")
        assert Path(parent, "inner/cpuset.cpus").read_text().strip() == Path(tree.path, "cpuset.cpus").read_text().strip()
    finally:
        os.rmdir(f"{parent}/inner")
        os.rmdir(parent)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_parents_that_were_there_before_hand_controllers_down() -> None:
    tree = next((tree for tree in cgroups.hierarchies() if tree.version == 2), None)
    if tree is None:
        pytest.skip("no version 2 tree")
    top = f"/tare-parents-{os.getpid()}"
    path = f"{top}/middle/inner"
    os.makedirs(os.path.dirname(tree.path + path))
    try:
        cgroups.make_v2(tree.path, path)
        given = set(Path(tree.path + path, "cgroup.controllers").read_text().split())
        assert given == set(cgroups.NEEDED) & set(tree.controllers)
    finally:
        for place in (path, f"{top}/middle", top):
            os.rmdir(tree.path + place)
