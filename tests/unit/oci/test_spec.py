"""A wish as a specification."""

from __future__ import annotations

import os
import re
import shutil
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tare.errors import Invalid, TareError, Unsupported
from tare.model.container import BindMount, Device, Limits, TmpfsMount, Ulimit
from tare.oci import init, security
from tare.oci.spec import SpecRequest, build, cgroup_namespace, exec_process, for_exec, warnings


def spec(**wish: Any) -> dict[str, Any]:
    return build(SpecRequest(id="a" * 64, args=("true",), **wish))


def test_environment() -> None:
    env = spec(env=("A=1", "PATH=/mine", "A=2"), hostname="h", tty=True)["process"]["env"]
    assert env == ["PATH=/mine", "HOSTNAME=h", "TERM=xterm", "A=2"]


def test_mounts_of_the_user_replace_defaults_and_stand_outer_first() -> None:
    binds = (BindMount("/x", "/data/inner"), BindMount("/y", "/data", read_only=True))
    entries = spec(binds=binds, tmpfs=(TmpfsMount("/dev/shm", ("size=1m",)),))["mounts"]
    targets = [entry["destination"] for entry in entries]
    assert targets.count("/dev/shm") == 1
    assert targets.index("/data") < targets.index("/data/inner")
    assert entries[targets.index("/data")]["options"] == ["rbind", "ro", "rprivate"]


def test_namespaces() -> None:
    kinds = {entry["type"] for entry in spec(network="host", pid_mode="host", cgroupns_mode="private")["linux"]["namespaces"]}
    assert kinds == {"mount", "uts", "ipc", "cgroup"}


def test_resources() -> None:
    limits = Limits(memory=64 << 20, nano_cpus=1_500_000_000, pids=-1, cpuset_cpus="0-1")
    found = spec(limits=limits)["linux"]["resources"]
    assert found["memory"] == {"limit": 64 << 20, "swap": 128 << 20}
    assert found["cpu"] == {"quota": 150_000, "period": 100_000, "cpus": "0-1"}
    assert found["pids"] == {"limit": -1}


def test_privileged_has_the_hosts_devices_and_nothing_masked() -> None:
    linux = spec(privileged=True)["linux"]
    assert "/dev/null" in {device["path"] for device in linux["devices"]}
    assert (linux["maskedPaths"], linux["readonlyPaths"], "seccomp" in linux) == ([], [], False)


def test_a_directory_of_devices(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    (tmp_path / "sub").mkdir()
    os.mknod(tmp_path / "sub/node", stat.S_IFCHR | 0o640, os.makedev(1, 3))
    linux = spec(devices=(Device(str(tmp_path), "/dev/many", "r"),))["linux"]
    expected = {"type": "c", "path": "/dev/many/sub/node", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 0, "gid": 0}
    assert linux["devices"] == [expected]
    assert linux["resources"]["devices"][-1] == {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "r"}


def test_an_exec_is_as_the_container_but_for_what_is_given() -> None:
    own = spec(env=("A=1", "B=1"), cwd="/w", user="u", cap_add=("SYS_TIME",))
    process = exec_process(own, ("ls",), env=("B=2",), tty=True)
    assert (process["args"], process["cwd"], process["terminal"]) == (["ls"], "/w", True)
    assert process["env"][-3:] == ["A=1", "B=2", "TERM=xterm"]
    assert process["user"] == own["process"]["user"] and process["capabilities"] == own["process"]["capabilities"]
    other = exec_process(own, ("ls",), user="v", privileged=True)
    assert other["user"]["username"] == "v"
    assert set(other["capabilities"]["bounding"]) > set(process["capabilities"]["bounding"])


@pytest.mark.parametrize(
    ("wish", "text"),
    [
        ({"cap_add": ("NOPE",)}, "NOPE"),
        ({"ulimits": (Ulimit("nofile", 2, 1),)}, "soft limit must be less"),
        ({"ulimits": (Ulimit("files", 1, 1),)}, "invalid ulimit type: files"),
        ({"sysctls": {"kernel.panic": "1"}}, "kernel.panic"),
        ({"sysctls": {"net.core.somaxconn": "1"}, "network": "host"}, "not allowed in host network namespace"),
        ({"limits": Limits(memory=1)}, "minimum memory limit"),
        ({"limits": Limits(memory_swap=1 << 30)}, "always set the memory limit"),
        ({"limits": Limits(nano_cpus=1, cpu_quota=2000)}, "conflicting options"),
        ({"security_opt": ("what=ever",)}, "invalid --security-opt"),
        ({"security_opt": ("seccomp={bad",)}, "seccomp"),
        ({"security_opt": ("apparmor=custom",)}, "apparmor"),
        ({"devices": (Device("/dev/nope", "/dev/nope"),)}, "/dev/nope"),
        ({"devices": (Device("/dev/null", "/dev/null", "x"),)}, "invalid device mode: x"),
        ({"binds": (BindMount("/x", "relative"),)}, "relative"),
        ({"tmpfs": (TmpfsMount("/t", ("noexec", "foo")),)}, 'invalid tmpfs option ["foo"]'),
        ({"tmpfs": (TmpfsMount("/t", ("size",)),)}, 'invalid tmpfs option ["size"]'),
        ({"binds": (BindMount("/etc", "/proc"),)}, "/proc: it is not of type proc"),
        ({"tmpfs": (TmpfsMount("//proc/"),)}, "/proc: it is not of type proc"),
        ({"binds": (BindMount("/etc", "/proc/sys"),)}, "/proc/sys: it is inside /proc"),
        ({"tmpfs": (TmpfsMount("//x/../proc/acpi"),)}, "/proc/acpi: it is inside /proc"),
        ({"cwd": "relative"}, "relative"),
        ({"seccomp_profile": "{bad"}, "seccomp"),
    ],
)
def test_a_wish_that_cannot_mean_anything_is_refused_by_name(wish: dict[str, Any], text: str) -> None:
    with pytest.raises(TareError) as caught:
        warnings(SpecRequest(id="b", args=("true",), **wish))
    assert text in caught.value.message


def test_what_may_be_mounted_at_proc() -> None:
    binds = (BindMount("/proc", "/proc"), BindMount("/etc/passwd", "/proc/uptime"), BindMount("/etc", "/process"))
    entries = spec(binds=binds)["mounts"]
    assert [entry["source"] for entry in entries if entry["destination"] == "/proc"] == ["/proc"]


def test_no_command() -> None:
    with pytest.raises(Invalid, match="no command specified"):
        build(SpecRequest(id="a", args=()))


def test_an_init_must_be_static() -> None:
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox-static is not installed")
    assert init.find(busybox) == busybox
    with pytest.raises(Invalid, match="not statically linked"):
        init.find(shutil.which("ls") or "/bin/ls")
    with pytest.raises(Invalid, match="cannot be executed"):
        init.find("/no/such/init")
    built = build(SpecRequest(id="a", args=("sh", "-c", "x"), init=busybox))
    assert built["process"]["args"] == ["/sbin/docker-init", "--", "sh", "-c", "x"]
    assert {
        "destination": "/sbin/docker-init",
        "type": "bind",
        "source": busybox,
        "options": ["bind", "ro", "rprivate"],
    } in built["mounts"]


def test_without_an_init_the_error_names_the_cure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unsupported) as caught:
        init.find()
    assert "tini" in caught.value.hint


@pytest.mark.parametrize("text", [None, b"", b"unconfined", b"\xff"])
def test_the_daemons_profile_must_be_one(tmp_path: Path, text: bytes | None) -> None:
    path = tmp_path / "profile.json"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(Invalid, match=re.escape(str(path))):
        security.profile(str(path))


def test_an_exec_needs_nothing_that_may_have_gone_since_the_start() -> None:
    wish = SpecRequest(id="a", args=("true",), user="1", devices=(Device("/dev/nope", "/dev/nope"),), cgroups_path="/p/a")
    whole = build(replace(wish, devices=()))
    further = for_exec(wish)
    assert further["process"] == whole["process"]
    assert further["linux"] == {name: whole["linux"][name] for name in ("cgroupsPath", "seccomp")}


@pytest.mark.parametrize(
    ("unified", "privileged", "setting", "answer"),
    [
        (True, False, "", "private"),
        (True, True, "", "private"),
        (True, True, "host", "host"),
        (False, False, "", "host"),
        (False, False, "private", "private"),
        (False, True, "private", "host"),
    ],
)
def test_the_cgroup_namespace_of_who_names_none(
    monkeypatch: pytest.MonkeyPatch, unified: bool, privileged: bool, setting: str, answer: str
) -> None:
    monkeypatch.setattr("tare.oci.spec._unified", lambda: unified)
    assert cgroup_namespace(privileged, setting) == answer
