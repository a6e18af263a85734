"""The house rules of the suite: everything runs in a network namespace of its own and leaves nothing behind."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

CLONE_NEWNET = 0x40000000
APPLETS = (
    "sh ash cat echo ls true false sleep id env hostname mount umount ps kill wc head tail grep sed awk test stat touch "
    "mkdir rm rmdir chmod chown ln cp mv dd ip ping nc wget httpd printf seq tr od hexdump md5sum sha256sum stty tty "
    "uname df du find sort uniq cut date readlink realpath mknod sync yes nslookup ifconfig route netstat nproc "
    "whoami setsid timeout vi xargs tee dmesg telnet usleep nohup getopt expr basename dirname which mktemp"
).split()


OURS = {str(os.getpid())}  # what the names of this session's cgroups, links and tables contain: several sessions may run at once
SUITE = Path(tempfile.mkdtemp(prefix="tare-suite-"))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes more than a few seconds")
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        # A shell that runs the suite in the background ignores it, and everything that we start would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.addaudithook(remember_daemons)


def pytest_unconfigure() -> None:
    shutil.rmtree(SUITE, ignore_errors=True)


def remember_daemons(event: str, details: tuple[Any, ...]) -> None:
    """A daemon names what it makes after its data root, so whoever is started with one is known by that."""
    if event == "subprocess.Popen":
        for word, root in pairwise(details[1]):
            if word == "--data-root":
                OURS.add(hashlib.sha256(str(root).encode()).hexdigest()[:8])


@pytest.fixture(scope="session", autouse=True)
def own_network() -> None:
    """The suite's bridges and rules live in a network namespace that dies with it. Without root there is none."""
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        pytest.exit(f"cannot make a network namespace: {os.strerror(ctypes.get_errno())}", 2)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def leftovers(directories: list[str]) -> set[str]:
    """What of this session is on the host: mounts, loop devices, cgroups, links, rules, processes."""
    found: set[str] = set()
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if any(directory in line for directory in directories):
            found.add(f"mount {line}")
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        if backing.read_text().startswith(tuple(directories)):
            found.add(f"loop {backing.read_text().strip()}")
    ours = re.compile(rf"tare.*(?:-|suite)(?:{'|'.join(OURS)})")
    for root, names, _files in os.walk("/sys/fs/cgroup"):
        found.update(f"cgroup {root}/{name}" for name in names if ours.fullmatch(name))
        if root.count("/") > 5:
            names.clear()
    # The network namespace is the session's own: whatever is there was made by it.
    for link in subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout.splitlines():
        found.add(f"link {link.split(': ')[1]}")
    rules = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False).stdout
    found.update(f"nft {line}" for line in rules.splitlines())
    network = os.readlink("/proc/self/ns/net")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if os.readlink(process / "ns/net") == network or any(directory in command for directory in directories):
                found.add(f"process {process.name} {command[:200]}")
        except OSError:
            continue
    return found


@pytest.fixture(scope="session", autouse=True)
def nothing_left(own_network: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The proof that the suite cleans up after itself."""
    if os.geteuid() != 0:
        yield
        return
    directories = [str(SUITE), str(tmp_path_factory.getbasetemp())]
    before = leftovers(directories)
    yield
    after = leftovers(directories) - before
    assert not after, "left behind by the suite:\n" + "\n".join(sorted(after))


@pytest.fixture(scope="session")
def suite_directory(nothing_left: None) -> Path:
    """A directory of the session's own, whose name the leftovers are known by."""
    return SUITE


@pytest.fixture(scope="session")
def busybox_tar(suite_directory: Path) -> Path:
    """A root file system with Debian's static busybox, as a plain tar for ``import``."""
    binary = shutil.which("busybox")
    if binary is None:
        pytest.skip("busybox-static is not installed")
    root = suite_directory / "busybox-root"
    for name in ("bin", "etc", "tmp", "root", "home", "var", "usr/bin", "dev", "proc", "sys"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    shutil.copy2(binary, root / "bin/busybox")
    for applet in APPLETS:
        (root / "bin" / applet).symlink_to("busybox")
    users = ("root:x:0:0:root:/root:/bin/sh", "daemon:x:1:1:d:/usr:/bin/false", "user:x:1000:1000:u:/home:/bin/sh")
    (root / "etc/passwd").write_text("\n".join(users) + "\n")
    (root / "etc/group").write_text("root:x:0:\ndaemon:x:1:\nuser:x:1000:\nextra:x:2000:user,daemon\n")
    path = suite_directory / "busybox.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(root, ".", filter=_as_root)
    shutil.rmtree(root)
    return path


def _as_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 1_700_000_000
    return member
