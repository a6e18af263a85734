"""The engines side by side: how each is started, given the image, and asked for the same things."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path

from ground import Account, Ground, check
from wire import Wire

IMAGE = "bench"
IDLE = ("sleep", "100000")


class Peer:
    """An engine. ``networks`` are those on which it can run; ``socket`` is its API, if it has one of Docker's kind."""

    name = ""
    networks: tuple[str, ...] = ()
    socket = ""

    def __init__(self, ground: Ground) -> None:
        self.path = ground.path / self.name
        self.path.mkdir()
        self.account = Account(self.name)
        self.network = ground.network()
        self.environment = dict(os.environ)

    def versions(self) -> list[str]:
        raise NotImplementedError

    def start(self, archive: Path) -> None:
        """Bring the engine up and give it the image of ``archive``, a tar of a root file system."""
        raise NotImplementedError

    def stop(self) -> None:
        """Remove every container and end the engine."""

    def run(self, network: str, *command: str) -> list[str]:
        raise NotImplementedError

    def within(self, *argv: str) -> list[str]:
        return ["nsenter", f"--net={self.network}", "--", *argv]

    def ask(self, *argv: str) -> str:
        """A client's output, charged to nobody."""
        return check(*argv, env=self.environment)


class Daemon(Peer):
    """An engine with a daemon that speaks Docker's API, and a client of docker's manners."""

    networks = ("bridge", "none", "host")
    client: Sequence[str] = ()

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self.socket = str(self.path / "api.sock")
        self._daemon: subprocess.Popen | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self, archive: Path) -> None:
        log = open(self.path / "log", "wb")  # noqa: SIM115 - the daemon keeps it
        self.account.enter()
        try:
            self._daemon = subprocess.Popen(
                self.within(*self.command()), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment
            )
        finally:
            self.account.leave()
            log.close()
        self._await()
        self.ask(*self.client, "import", str(archive), IMAGE)

    def _await(self) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end and self._daemon is not None and self._daemon.poll() is None:
            with contextlib.suppress(OSError, SystemExit):
                Wire(self.socket)._exchange("GET", "/_ping", None)
                return
            time.sleep(0.05)
        raise SystemExit(f"bench: {self.name} did not start:\n{(self.path / 'log').read_text()[-2000:]}")

    def containers(self) -> list[str]:
        return self.ask(*self.client, "ps", "-aq").split()

    def clear(self) -> None:
        ids = self.containers()
        for start in range(0, len(ids), 20):
            subprocess.run([*self.client, "rm", "-f", *ids[start : start + 20]], env=self.environment, capture_output=True)

    def stop(self) -> None:
        if self._daemon is None:
            return
        if self._daemon.poll() is None:
            with contextlib.suppress(SystemExit):
                self.clear()
            self._daemon.send_signal(signal.SIGTERM)
            try:
                self._daemon.wait(30)
            except subprocess.TimeoutExpired:
                self._daemon.kill()
        self._daemon.wait()

    def run(self, network: str, *command: str) -> list[str]:
        return [*self.client, "run", "--rm", "--network", network, IMAGE, *command]

    def background(self, name: str, network: str) -> list[str]:
        return [*self.client, "run", "-d", "--name", name, "--network", network, IMAGE, *IDLE]

    def execute(self, name: str, *command: str) -> list[str]:
        return [*self.client, "exec", name, *command]

    def list(self) -> list[str]:
        return [*self.client, "ps"]


class Docker(Daemon):
    name = "docker"

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        binary = shutil.which("docker", path="/usr/bin") or shutil.which("docker")
        if not binary or not shutil.which("dockerd"):
            raise SystemExit("bench: docker is not installed (apt install docker.io), or leave it out with --peers")
        self.client = (binary, "--host", f"unix://{self.socket}")

    def versions(self) -> list[str]:
        return [
            f"docker client: {self.ask(self.client[0], '--version').strip()}",
            f"docker daemon: {self.ask('dockerd', '--version').strip()}",
            f"containerd: {self.ask('containerd', '--version').strip()}",
            f"runc: {self.ask('runc', '--version').splitlines()[0]}",
        ]

    def command(self) -> list[str]:
        return [
            "dockerd",
            f"--host=unix://{self.socket}",
            f"--data-root={self.path}/data",
            f"--exec-root={self.path}/exec",
            f"--pidfile={self.path}/pid",
            f"--cgroup-parent={self.account.parent}",
            "--exec-opt=native.cgroupdriver=cgroupfs",
            "--storage-driver=overlay2",
        ]

    def shims(self) -> list[int]:
        return [pid for pid in self.account.processes() if _comm(pid).startswith("containerd-shim")]


class Tare(Daemon):
    name = "tare"

    def __init__(self, ground: Ground, client: str, daemon: str) -> None:
        super().__init__(ground)
        self.client = (client, "-H", f"unix://{self.socket}")
        self._binary = daemon
        self.environment["TARE_NO_AUTOSTART"] = "1"

    def versions(self) -> list[str]:
        return [f"tare: {self.ask(self._binary, '--version').strip()}"]

    def command(self) -> list[str]:
        config = self.path / "daemon.toml"
        config.touch()
        return [
            self._binary,
            f"--config-file={config}",
            f"--host=unix://{self.socket}",
            f"--data-root={self.path}/data",
            f"--exec-root={self.path}/exec",
            f"--pidfile={self.path}/pid",
            f"--cgroup-parent={self.account.parent}",
            "--storage-driver=overlay2",
        ]

    def stop(self) -> None:
        super().stop()
        # the supervisor outlives the daemon by design
        for pid in self.account.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)


class Podman(Peer):
    name = "podman"
    networks = ("bridge", "none", "host")

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        if not shutil.which("podman"):
            raise SystemExit("bench: podman is not installed (apt install podman), or leave it out with --peers")
        self._client = self.within(
            "podman",
            f"--root={self.path}/root",
            f"--runroot={self.path}/run",
            f"--tmpdir={self.path}/tmp",
            f"--network-config-dir={self.path}/net",
            "--cgroup-manager=cgroupfs",
            "--events-backend=file",
            "--storage-driver=overlay",
            "--runtime=runc",
        )

    def versions(self) -> list[str]:
        return [f"podman: {self.ask('podman', '--version').strip()}, {self.ask('conmon', '--version').splitlines()[0]}"]

    def start(self, archive: Path) -> None:
        (self.path / "net").mkdir()
        self.ask(*self._client, "import", str(archive), IMAGE)

    def stop(self) -> None:
        subprocess.run([*self._client, "rm", "-af", "-t", "0"], capture_output=True)

    def run(self, network: str, *command: str) -> list[str]:
        return [*self._run(network), "--rm", IMAGE, *command]

    def background(self, name: str, network: str) -> list[str]:
        return [*self._run(network), "-d", "--name", name, IMAGE, *IDLE]

    def _run(self, network: str) -> list[str]:
        chosen = "podman" if network == "bridge" else network
        # left alone podman raises limits, for which root needs CAP_SYS_RESOURCE
        limits = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")
        return [*self._client, "run", f"--cgroup-parent={self.account.parent}", f"--network={chosen}", *limits]

    def execute(self, name: str, *command: str) -> list[str]:
        return [*self._client, "exec", name, *command]

    def list(self) -> list[str]:
        return [*self._client, "ps"]

    def clear(self) -> None:
        self.stop()


class Bubblewrap(Peer):
    """No engine: namespaces and a bind mount, as the floor."""

    name = "bwrap"
    networks = ("none",)

    def versions(self) -> list[str]:
        return [self.ask("bwrap", "--version").strip()]

    def start(self, archive: Path) -> None:
        root = self.path / "root"
        root.mkdir(parents=True, exist_ok=True)
        subprocess.run(["tar", "-xf", archive, "-C", root], check=True)  # Debian 12's tarfile does not know filters yet

    def run(self, network: str, *command: str) -> list[str]:
        return ["bwrap", "--unshare-all", "--bind", f"{self.path}/root", "/", "--proc", "/proc", "--dev", "/dev", *command]


def archive(path: Path) -> Path:
    """A root file system of Debian's busybox-static alone, as a tar."""
    target = path / "busybox.tar"
    applets = ("sh", "true", "sleep", "echo", "cat", "ls")
    with tarfile.open(target, "w") as tar:
        for folder in ("bin", "dev", "etc", "proc", "sys", "tmp"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        try:
            tar.add("/bin/busybox", "bin/busybox")
        except FileNotFoundError:
            raise SystemExit("bench: no /bin/busybox (apt install busybox-static)") from None
        for applet in applets:
            entry = tarfile.TarInfo(f"bin/{applet}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
    return target


def _comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
