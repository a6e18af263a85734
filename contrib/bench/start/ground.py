"""Where the engines are measured: a file system, network namespaces and cgroups of our own, and their removal.

Everything lives in a private mount namespace, so the mounts go when the last process has gone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

HIDDEN = ("/run/containerd", "/run/docker", "/run/netns", "/run/cni", "/var/lib/cni", "/dev/shm")
"""Paths that an engine writes whatever it is told; each gets a tmpfs that only we see."""

PRIVATE = "TARE_BENCH_PRIVATE"
NAME = "tarebench"


def enter_private_mounts() -> None:
    """Run this very command again in a mount namespace of its own."""
    if os.environ.get(PRIVATE):
        return
    os.environ[PRIVATE] = "1"
    os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv])


def check(*argv: str, **options) -> str:
    """The output of a command, which must succeed."""
    done = subprocess.run(argv, capture_output=True, text=True, **options)
    if done.returncode:
        raise SystemExit(f"bench: {' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


class Ground:
    """A context manager; ``path`` is on an ext4 file system of its own."""

    def __init__(self, work: Path, size: str) -> None:
        self.work = work
        self.size = size
        self.path = work / "disk"
        self._undo = contextlib.ExitStack()

    def __enter__(self) -> Ground:
        try:
            self._prepare()
        except BaseException:
            self._undo.close()
            raise
        return self

    def __exit__(self, *what) -> None:
        self._undo.close()

    def _prepare(self) -> None:
        if self.work.exists():
            raise SystemExit(f"bench: {self.work} exists already: another run, or remove it")
        self.work.mkdir(parents=True)
        self._undo.callback(shutil.rmtree, self.work, ignore_errors=True)
        image = self.work / "disk.img"
        check("truncate", "-s", self.size, str(image))
        check("mkfs.ext4", "-q", "-F", str(image))
        self.path.mkdir()
        check("mount", "-o", "loop", str(image), str(self.path))
        self._undo.callback(_unmount, self.path)
        for hidden in HIDDEN:
            if not os.path.isdir(hidden):
                os.makedirs(hidden)
                self._undo.callback(_remove_empty, hidden)
            check("mount", "-t", "tmpfs", "none", hidden)
            self._undo.callback(_unmount, hidden)
        self._undo.callback(_remove_cgroups)

    def network(self) -> str:
        """The path of a fresh network namespace with its loopback up."""
        holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "ip link set lo up && echo && exec sleep infinity"], stdout=-1)
        self._undo.callback(_end, holder)
        assert holder.stdout is not None
        holder.stdout.readline()
        return f"/proc/{holder.pid}/ns/net"


def _end(process: subprocess.Popen) -> None:
    process.terminate()
    process.wait()


def _unmount(path: Path | str) -> None:
    """Whatever lies below comes with it."""
    with open("/proc/self/mountinfo") as mounts:
        points = [line.split()[4] for line in mounts]
    for point in reversed([point for point in points if point == str(path) or point.startswith(f"{path}/")]):
        subprocess.run(["umount", "--lazy", point], capture_output=True)


def _remove_empty(path: str) -> None:
    with contextlib.suppress(OSError):
        os.rmdir(path)


# cgroups ---------------------------------------------------------------------------------------------------------


def hierarchies() -> dict[str, Path]:
    """Mount point by controller (v1), or ``unified`` alone (v2)."""
    found = {}
    with open("/proc/self/mountinfo") as mounts:
        for line in mounts:
            left, _, right = line.partition(" - ")
            kind, _, options = right.split()[:3]
            if kind == "cgroup":
                for controller in options.split(","):
                    found.setdefault(controller, Path(left.split()[4]))
            elif kind == "cgroup2":
                found["unified"] = Path(left.split()[4])
    return found


class Account:
    """The CPU time that one engine, its containers and its clients take: a cgroup over all of them."""

    def __init__(self, peer: str) -> None:
        places = hierarchies()
        self._old = places.get("cpuacct")
        root = self._old or places["unified"]
        self._home = root / _own("cpuacct" if self._old else "")
        self.path = root / NAME / peer
        self.engine = self.path / "engine"
        self.parent = f"/{NAME}/{peer}/containers"
        self.engine.mkdir(parents=True, exist_ok=True)

    def usage(self) -> float:
        """Seconds of CPU so far."""
        if self._old:
            return int((self.path / "cpuacct.usage").read_text()) / 1e9
        for line in (self.path / "cpu.stat").read_text().splitlines():
            if line.startswith("usage_usec"):
                return int(line.split()[1]) / 1e6
        return 0.0

    def enter(self) -> None:
        """This process, and what it starts, is charged here from now on."""
        (self.engine / "cgroup.procs").write_text("0")

    def leave(self) -> None:
        (self._home / "cgroup.procs").write_text("0")

    def processes(self) -> list[int]:
        """The engine's processes; containers are elsewhere."""
        return [int(pid) for pid in (self.engine / "cgroup.procs").read_text().split()]

    def settle(self, quiet: float = 0.01, window: float = 0.5, deadline: float = 20.0) -> None:
        """Return when less than ``quiet`` CPUs are used over a window: what was left to clean is cleaned."""
        end = time.monotonic() + deadline
        before = self.usage()
        while time.monotonic() < end:
            time.sleep(window)
            after = self.usage()
            if after - before < quiet * window:
                return
            before = after


def _own(controller: str) -> str:
    """The cgroup that this process came in, relative to the hierarchy of a v1 controller or, for an empty name, of v2."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            return path.lstrip("/")
    return ""


def _remove_cgroups() -> None:
    """Every cgroup below our name in every hierarchy, and the processes left in them."""
    tops = {root / NAME for root in hierarchies().values() if (root / NAME).is_dir()}
    for _ in range(50):
        busy = False
        for top in tops:
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    for pid in Path(folder, "cgroup.procs").read_text().split():
                        os.kill(int(pid), signal.SIGKILL)
                try:
                    os.rmdir(folder)
                except OSError:
                    busy = busy or os.path.isdir(folder)
        if not busy:
            return
        time.sleep(0.1)
