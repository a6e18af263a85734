"""The house rules of the suite: everything runs in a network namespace of its own and leaves nothing behind."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

CLONE_NEWNET = 0x40000000
APPLETS = (
    "sh ash cat echo ls true false sleep id env hostname mount umount ps kill wc head tail grep sed awk test stat touch "
    "mkdir rm rmdir chmod chown ln cp mv dd ip ping nc wget httpd printf seq tr od hexdump md5sum sha256sum stty tty "
    "uname df du find sort uniq cut date readlink realpath mknod sync yes nslookup ifconfig route netstat nproc "
    "whoami setsid timeout vi xargs tee dmesg telnet usleep nohup getopt expr basename dirname which mktemp"
).split()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes more than a few seconds")


@pytest.fixture(scope="session", autouse=True)
def own_network() -> None:
    """The suite's bridges and rules live in a network namespace that dies with it. Without root there is none."""
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        pytest.exit(f"cannot make a network namespace: {os.strerror(ctypes.get_errno())}", 2)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def leftovers() -> set[str]:
    """What on this host names the suite: mounts, loop devices, cgroups, links, rules, processes."""
    found: set[str] = set()
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if "tare" in line:
            found.add(f"mount {line}")
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        if "tare" in backing.read_text():
            found.add(f"loop {backing.read_text().strip()}")
    for root, directories, _files in os.walk("/sys/fs/cgroup"):
        found.update(f"cgroup {root}/{name}" for name in directories if "tare" in name)
        if root.count("/") > 5:
            directories.clear()
    for link in subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout.splitlines():
        name = link.split(": ")[1]
        if name.startswith(("tare", "veth", "tv")):
            found.add(f"link {name}")
    rules = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False).stdout
    found.update(f"nft {line}" for line in rules.splitlines() if "tare" in line)
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if "/tare-suite-" in command:
            found.add(f"process {process.parent.name} {command[:200]}")
    found.update(f"file {path}" for base in ("/tmp", "/run") for path in Path(base).glob("tare-suite-*"))
    return found


@pytest.fixture(scope="session", autouse=True)
def nothing_left(own_network: None) -> Iterator[None]:
    """The proof that the suite cleans up after itself."""
    if os.geteuid() != 0:
        yield
        return
    before = leftovers()
    yield
    after = leftovers() - before
    assert not after, "left behind by the suite:\n" + "\n".join(sorted(after))


@pytest.fixture(scope="session")
def suite_directory(own_network: None) -> Iterator[Path]:
    """A directory of the session's own, whose name the leftovers are known by."""
    path = Path(f"/tmp/tare-suite-{os.getpid()}")
    path.mkdir()
    yield path
    shutil.rmtree(path)


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
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:d:/usr:/bin/false\nuser:x:1000:1000:u:/home:/bin/sh\n")
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
