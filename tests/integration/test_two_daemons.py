"""Two daemons with different roots live beside each other and do not touch what is the other's."""

from __future__ import annotations

import grp
import os
import shutil
import stat
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import BIN, Daemon, new_daemon

SERVE = "echo {} > /index.html; exec httpd -f -p 80"


@pytest.fixture
def first(engine: Daemon) -> Iterator[Daemon]:
    """The suite's daemon with a container that answers on port 8480."""
    engine.tare("run", "-d", "--name", "web", "-p", "8480:80", "busybox", "sh", "-c", SERVE.format("first"))
    yield engine
    engine.tare("rm", "-f", "web")


def own(daemon: Daemon) -> dict[str, str]:
    """What a daemon has on the host besides its roots: its bridge, its rules without their counters, its cgroups."""
    network = daemon.inspect("web")["NetworkSettings"]
    gateway = network["Gateway"]  # type: ignore[index]
    routes = shown("ip", "-4", "-o", "addr").splitlines()
    device = next(line.split()[1] for line in routes if f" {gateway}/" in line)
    instance = device.removeprefix("tare")
    directories = [root for root, _, _ in os.walk("/sys/fs/cgroup") if f"tare-{instance}" in root]
    return {
        "device": device,
        "address": shown("ip", "-o", "addr", "show", device).split("valid_lft")[0],
        "ports": " ".join(sorted(line.split()[1] for line in shown("ip", "-o", "link", "show", "master", device).splitlines())),
        "rules": shown("nft", "-s", "list", "table", "inet", f"tare_{instance}"),
        "cgroups": "\n".join(sorted(directories)),
    }


def shown(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def fetch(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
        return str(answer.read().decode().strip())


def test_neither_touches_the_others(first: Daemon, daemon: Daemon) -> None:
    before = own(first)
    daemon.tare("run", "-d", "--name", "web", "-p", "8481:80", "busybox", "sh", "-c", SERVE.format("second"))
    second = own(daemon)
    for what in ("device", "address", "ports", "rules", "cgroups"):
        assert second[what] and second[what] != before[what], what
    assert first.tare("ps", "-q").stdout != daemon.tare("ps", "-q").stdout
    assert (fetch(8480), fetch(8481)) == ("first", "second")

    clash = daemon.tare("run", "--rm", "-p", "8480:80", "busybox", "true", check=False)
    assert (clash.returncode, "address already in use" in clash.stderr) == (125, True)

    daemon.kill()
    daemon.start()
    assert fetch(8481) == "second"
    daemon.tare("rm", "-f", "web")
    assert own(first) == before
    daemon.stop()
    assert own(first) == before
    assert fetch(8480) == "first"
    daemon.start()


def test_who_may_use_the_socket(suite_directory: Path) -> None:
    """The socket's group is the configured one, and nobody else may use it."""
    daemon = new_daemon(suite_directory, "grouped", "--group", "daemon")
    daemon.start()
    try:
        found = daemon.socket.stat()
        assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o660, 0, grp.getgrnam("daemon").gr_gid)
        assert as_nobody(daemon, "daemon").returncode == 0
        refused = as_nobody(daemon, "bin")
        assert refused.returncode == 1
        assert refused.stderr.startswith(f"tare: permission denied at {daemon.host}\n  become root, or join its group with")
        assert "-aG daemon $USER" in refused.stderr
    finally:
        daemon.stop()
        shutil.rmtree(daemon.directory)


def as_nobody(daemon: Daemon, group: str) -> subprocess.CompletedProcess[str]:
    """``tare ps`` by somebody in one group. They may search every directory, or they would not even find the socket here."""
    search = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    person = ["setpriv", "--reuid", "65534", "--regid", "65534", "--groups", group, *search]
    return daemon.run([*person, str(BIN / "tare"), "ps", "-q"], check=False, input=None, timeout=60)
