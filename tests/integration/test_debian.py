"""A whole distribution as an image: Debian, made by debootstrap, with its own libc, shell, users and package manager."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Daemon, new_daemon

CACHE = Path("/var/cache/tare-tests")
ORIGINAL_NETWORK = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
"""The host's network, opened before the suite leaves it: the packages come from there."""


def mirror() -> str:
    """Where this host's own packages come from (sources.list(5), both forms)."""
    for path in (*sorted(Path("/etc/apt/sources.list.d").glob("*.sources")), Path("/etc/apt/sources.list")):
        if path.exists():
            found = re.search(r"^(?:URIs:|deb(?: \[[^\]]*\])?)\s+(\S+)", path.read_text(), re.MULTILINE)
            if found:
                return found[1]
    pytest.skip("apt has no sources on this host")


@pytest.fixture(scope="module")
def debian_tar(suite_directory: Path) -> Path:
    """A minimal bookworm as a tar; made once for this host, since that takes a minute and needs the packages' mirror."""
    if shutil.which("debootstrap") is None:
        pytest.skip("debootstrap is not installed")
    cached = CACHE / "debian-bookworm.tar"
    if not cached.exists():
        source = mirror()
        root = suite_directory / "debian"
        command = [
            "nsenter",
            f"--net=/proc/{os.getpid()}/fd/{ORIGINAL_NETWORK}",
            "debootstrap",
            "--variant=minbase",
            "bookworm",
            str(root),
            source,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode:
            pytest.skip(f"debootstrap cannot make an image here: {done.stdout.strip().splitlines()[-1:]}")
        CACHE.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(root / "var/cache/apt", ignore_errors=True)
        part = CACHE / f"part-{os.getpid()}"
        subprocess.run(["tar", "-C", str(root), "--numeric-owner", "--xattrs", "-cf", str(part), "."], check=True)
        part.rename(cached)
        shutil.rmtree(root)
    return cached


@pytest.fixture(scope="module")
def debian(suite_directory: Path, debian_tar: Path) -> Iterator[Daemon]:
    daemon = new_daemon(suite_directory, "debian")
    daemon.start()
    try:
        daemon.tare("import", "-c", 'CMD ["bash"]', str(debian_tar), "debian:bookworm", timeout=180)
        yield daemon
    finally:
        daemon.stop()


def run(daemon: Daemon, *words: str) -> str:
    return daemon.tare("run", "--rm", "debian:bookworm", *words).stdout


def test_it_is_debian(debian: Daemon) -> None:
    assert "bookworm" in run(debian, "cat", "/etc/os-release")
    assert run(debian, "bash", "-c", "echo ${BASH_VERSION%%.*}; id -u; getent passwd nobody | cut -d: -f3").split() == [
        "5",
        "0",
        "65534",
    ]


def test_its_package_manager_works_on_the_layered_root(debian: Daemon) -> None:
    """dpkg renames, links and syncs more than most; a removal becomes whiteouts."""
    out = run(
        debian,
        "bash",
        "-ec",
        "dpkg --audit; dpkg -P --force-all tzdata >/dev/null 2>&1; "
        "ls /usr/share/zoneinfo 2>&1 | head -n 1; dpkg -l base-files | tail -n 1 | cut -c1-2",
    )
    assert out.splitlines()[-1] == "ii"
    assert "No such file" in out.splitlines()[0]
    assert "ii" in run(debian, "bash", "-c", "dpkg -l tzdata | tail -n 1")


def test_users_of_the_image(debian: Daemon) -> None:
    done = debian.tare(
        "run", "--rm", "-u", "www-data:mail", "debian:bookworm", "bash", "-c", "id; touch /x; cd ~; pwd", check=False
    )
    assert done.stdout.splitlines()[0] == "uid=33(www-data) gid=8(mail) groups=8(mail)"
    assert "Permission denied" in done.stderr


def test_setuid_programs_and_capabilities(debian: Daemon) -> None:
    out = debian.tare(
        "run",
        "--rm",
        "-u",
        "nobody",
        "debian:bookworm",
        "bash",
        "-c",
        "stat -c %a /usr/bin/passwd; su -c true root </dev/null; echo $?",
        check=False,
    ).stdout
    assert out.splitlines()[0] == "4755"


def test_the_whole_image_survives_save_and_load(debian: Daemon, suite_directory: Path) -> None:
    archive = suite_directory / "debian-saved.tar"
    debian.tare("save", "debian:bookworm", "-o", str(archive), timeout=180)
    before = debian.tare("images", "-q", "--no-trunc", "debian:bookworm").stdout
    debian.tare("rmi", "debian:bookworm")
    debian.tare("load", "-i", str(archive), timeout=180)
    archive.unlink()
    assert debian.tare("images", "-q", "--no-trunc", "debian:bookworm").stdout == before
    assert "bookworm" in run(debian, "cat", "/etc/os-release")
