"""What a daemon has put on this host, so that a test can say: nothing more than before."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tare.linux.cgroups import hierarchies

from .conftest import Daemon, descendants, wait_for

KEPT = ("container ", "image ", "content/blobs")
"""What does not go by itself; the rest may have been on its way out when the list was made."""


def traces(daemon: Daemon) -> set[str]:
    """Containers, images, blobs, layers, snapshots, records, links, cgroups, temporary files: a name for each."""
    found = {f"container {id}" for id in daemon.tare("ps", "-aq", "--no-trunc").stdout.split()}
    found |= {f"image {id}" for id in daemon.tare("images", "-aq", "--no-trunc").stdout.split()}
    for place in ("containers", "content/blobs/sha256", "content/ingest", "tmp", "storage/overlay2/*"):
        for folder in daemon.data_root.glob(place):
            found.update(f"{folder.relative_to(daemon.data_root)}/{name}" for name in os.listdir(folder))
    found.update(f"process {name}" for name in os.listdir(daemon.exec_root / "processes"))
    for id in {trace.split()[1] for trace in found if trace.startswith("container ")} | set(_records(daemon)):
        for tree in hierarchies():
            found.update(str(path) for path in Path(tree.path).glob(f"tare*/{id}"))
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    found.update(f"link {line.split(': ')[1]}" for line in links.splitlines() if ": tv" in line)
    return found


def _records(daemon: Daemon) -> list[str]:
    return os.listdir(daemon.data_root / "containers")


def descriptors(daemon: Daemon) -> dict[str, int]:
    """How many descriptors the daemon and its supervisor hold."""
    assert daemon.process is not None
    pids = {"tared": daemon.process.pid, "supervisor": int((daemon.exec_root / "supervisor.pid").read_text())}
    return {name: len(os.listdir(f"/proc/{pid}/fd")) for name, pid in pids.items()}


def children(daemon: Daemon) -> list[str]:
    """The state letters of everything below the daemon and the supervisor (proc(5): Z is a zombie)."""
    assert daemon.process is not None
    pids = [*descendants(daemon.process.pid), *descendants(int((daemon.exec_root / "supervisor.pid").read_text()))]
    states = []
    for pid in pids:
        try:
            states.append(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0])
        except OSError:
            continue
    return states


def resident(pid: int) -> int:
    """Bytes of a process's memory that are its own and in use."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no Private_Dirty")


@contextmanager
def nothing_more(daemon: Daemon) -> Iterator[None]:
    """When the block ends there is what there was before, and the daemon is well."""
    before = traces(daemon)
    yield
    wait_for(lambda: not traces(daemon) - before, f"nothing left behind but {sorted(traces(daemon) - before)}")
    lost = before - traces(daemon)
    assert not {trace for trace in lost if trace.startswith(KEPT)}, lost
    assert daemon.tare("version").returncode == 0
