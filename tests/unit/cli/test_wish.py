"""What run and create ask the daemon for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tare.cli.flags import parse
from tare.cli.verbs.run import wanted
from tare.cli.wish import mounts
from tare.cli.wish.body import create_body
from tare.cli.wish.flags import RUN
from tare.errors import Invalid


def body(*words: str) -> dict[str, Any]:
    options = parse(RUN, words, interspersed=False)
    return create_body(options, wanted(options))


def host(*words: str) -> dict[str, Any]:
    return body(*words, "busybox")["HostConfig"]


def test_the_least() -> None:
    assert body("busybox") == {
        "Image": "busybox",
        "Tty": False,
        "OpenStdin": False,
        "StdinOnce": False,
        "AttachStdin": False,
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": {},
    }


def test_interactive() -> None:
    made = body("-it", "busybox", "sh", "-c", "x")
    assert made["Cmd"] == ["sh", "-c", "x"]
    assert made["OpenStdin"] and made["StdinOnce"] and made["AttachStdin"] and made["Tty"]
    assert made["HostConfig"] == {}


def test_detached_keeps_stdin_open_for_others() -> None:
    made = body("-itd", "busybox")
    assert made["OpenStdin"]
    assert not (made["AttachStdin"] or made["AttachStdout"] or made["StdinOnce"])


@pytest.mark.parametrize(
    ("words", "member", "value"),
    [
        (["--hostname", "h"], "Hostname", "h"),
        (["-h", "h"], "Hostname", "h"),
        (["-u", "1:2"], "User", "1:2"),
        (["-w", "/x"], "WorkingDir", "/x"),
        (["--entrypoint", ""], "Entrypoint", [""]),
        (["--entrypoint", "ls"], "Entrypoint", ["ls"]),
        (["--stop-signal", "INT"], "StopSignal", "INT"),
        (["--stop-timeout", "3"], "StopTimeout", 3),
        (["-l", "a=b=c", "--label", "d"], "Labels", {"a": "b=c", "d": ""}),
        (["-v", "/data"], "Volumes", {"/data": {}}),
        (["--no-healthcheck"], "Healthcheck", {"Test": ["NONE"]}),
        (["--health-cmd", "x", "--health-interval", "1s"], "Healthcheck", {"Interval": 10**9, "Test": ["CMD-SHELL", "x"]}),
    ],
)
def test_configuration(words: list[str], member: str, value: object) -> None:
    assert body(*words, "busybox")[member] == value


@pytest.mark.parametrize(
    ("words", "member", "value"),
    [
        (["--rm"], "AutoRemove", True),
        (["--rm=false"], "AutoRemove", False),
        (["--net=none"], "NetworkMode", "none"),
        (["--network", "container:x"], "NetworkMode", "container:x"),
        (["-m", "64m"], "Memory", 64 << 20),
        (["--memory-swap", "-1"], "MemorySwap", -1),
        (["--cpus", "1.5"], "NanoCpus", 15 * 10**8),
        (["-c", "512"], "CpuShares", 512),
        (["--pids-limit", "9"], "PidsLimit", 9),
        (["--ulimit", "nofile=1:2", "--ulimit", "core=0"], "Ulimits",
         [{"Name": "nofile", "Soft": 1, "Hard": 2}, {"Name": "core", "Soft": 0, "Hard": 0}]),
        (["--device", "/dev/a"], "Devices", [{"PathOnHost": "/dev/a", "PathInContainer": "/dev/a", "CgroupPermissions": "rwm"}]),
        (["--device", "/dev/a:r"], "Devices", [{"PathOnHost": "/dev/a", "PathInContainer": "/dev/a", "CgroupPermissions": "r"}]),
        (["--device", "/dev/a:/dev/b:rw"], "Devices",
         [{"PathOnHost": "/dev/a", "PathInContainer": "/dev/b", "CgroupPermissions": "rw"}]),
        (["-v", "/a:/b:ro"], "Binds", ["/a:/b:ro"]),
        (["-v", "name:/b"], "Binds", ["name:/b"]),
        (["--tmpfs", "/t", "--tmpfs", "/u:size=1m,mode=700"], "Tmpfs", {"/t": "", "/u": "size=1m,mode=700"}),
        (["--cap-add", "ALL", "--cap-add=NET_ADMIN"], "CapAdd", ["ALL", "NET_ADMIN"]),
        (["--add-host", "a:1.2.3.4", "--add-host", "b=::1"], "ExtraHosts", ["a:1.2.3.4", "b:::1"]),
        (["--sysctl", "net.core.somaxconn=9"], "Sysctls", {"net.core.somaxconn": "9"}),
        (["--restart", "on-failure:3"], "RestartPolicy", {"Name": "on-failure", "MaximumRetryCount": 3}),
        (["--storage-driver", "vfs"], "StorageDriver", "vfs"),
        (["--runtime", "ns"], "Runtime", "ns"),
        (["--init"], "Init", True),
        (["--log-driver", "none", "--log-opt", "max-size=1m"], "LogConfig", {"Type": "none", "Config": {"max-size": "1m"}}),
        (["--security-opt", "seccomp=unconfined"], "SecurityOpt", ["seccomp=unconfined"]),
        (["--security-opt", "systempaths=unconfined"], "MaskedPaths", []),
        (["--device-read-bps", "/dev/sda:1m"], "BlkioDeviceReadBps", [{"Path": "/dev/sda", "Rate": 1 << 20}]),
        (["--shm-size", "1g"], "ShmSize", 1 << 30),
    ],
)  # fmt: skip
def test_host_configuration(words: list[str], member: str, value: object) -> None:
    assert host(*words)[member] == value


def test_addresses_and_further_networks() -> None:
    made = body("--net=a", "--ip=10.0.0.9", "--network-alias=x", "--network", "name=b,alias=y,ip=10.1.0.9", "busybox")
    assert made["HostConfig"]["NetworkMode"] == "a"
    assert made["NetworkingConfig"]["EndpointsConfig"] == {
        "a": {"IPAMConfig": {"IPv4Address": "10.0.0.9"}, "Aliases": ["x"]},
        "b": {"Aliases": ["y"], "IPAMConfig": {"IPv4Address": "10.1.0.9"}},
    }


def test_ports() -> None:
    made = body("-p", "127.0.0.1:8080:80", "-p", "53:53/udp", "-p90", "--expose", "7-8", "busybox")
    assert set(made["ExposedPorts"]) == {"80/tcp", "53/udp", "90/tcp", "7/tcp", "8/tcp"}
    assert made["HostConfig"]["PortBindings"] == {
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}],
        "53/udp": [{"HostIp": "", "HostPort": "53"}],
        "90/tcp": [{"HostIp": "", "HostPort": ""}],
    }


def test_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "1 2")
    monkeypatch.delenv("MISSING", raising=False)
    file = tmp_path / "env"
    file.write_text("\ufeff# comment\n\nA=from file\n  B=x=y\nOURS\nMISSING\n")
    assert body("-e", "A=flag", "--env-file", str(file), "-e", "OURS", "-e", "MISSING", "-e", "E=", "busybox")["Env"] == [
        "A=from file", "B=x=y", "OURS=1 2", "A=flag", "OURS=1 2", "MISSING", "E=",
    ]  # fmt: skip


def test_only_newlines_divide_a_file(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_bytes("A=1\u20282\x0c3\r\nB=4\x85\n".encode())
    assert body("--env-file", str(file), "busybox")["Env"] == ["A=1\u20282\x0c3", "B=4\x85"]


@pytest.mark.parametrize("label", ["", "=x"])
def test_a_label_has_a_name(label: str) -> None:
    with pytest.raises(Invalid, match="empty name"):
        body("-l", label, "busybox")


def test_a_seccomp_profile_travels_by_content(tmp_path: Path) -> None:
    file = tmp_path / "profile.json"
    file.write_text('{\n "defaultAction": "SCMP_ACT_ALLOW"\n}')
    (option,) = host("--security-opt", f"seccomp={file}")["SecurityOpt"]
    assert json.loads(option.removeprefix("seccomp=")) == {"defaultAction": "SCMP_ACT_ALLOW"}


def test_a_relative_bind_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert host("-v", "./x:/y")["Binds"] == [f"{tmp_path}/x:/y"]


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("type=bind,source=/a,target=/b", {"Type": "bind", "Source": "/a", "Target": "/b"}),
        ("type=bind,src=/a,dst=/b,ro", {"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": True}),
        ("type=bind,src=/a,dst=/b,readonly=false", {"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": False}),
        ("type=bind,src=/a,dst=/b,bind-propagation=rslave,bind-recursive=disabled",
         {"Type": "bind", "Source": "/a", "Target": "/b", "BindOptions": {"Propagation": "rslave", "NonRecursive": True}}),
        ("type=tmpfs,destination=/t,tmpfs-size=1m,tmpfs-mode=1777",
         {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o1777}}),
        ("source=v,target=/v,volume-nocopy",
         {"Type": "volume", "Source": "v", "Target": "/v", "VolumeOptions": {"NoCopy": True}}),
        ('type=bind,"source=/a,b",target=/c', {"Type": "bind", "Source": "/a,b", "Target": "/c"}),
        ('type=bind,"source=/a""b",target=/c', {"Type": "bind", "Source": '/a"b', "Target": "/c"}),
    ],
)  # fmt: skip
def test_mount(text: str, made: dict[str, object]) -> None:
    assert mounts.mount(text) == made


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("type=bind,source=/a", "target is required"),
        ("type=nfs,target=/a", "unknown mount type 'nfs'"),
        ("target=/a,colour=red", "unexpected key 'colour' in 'colour=red'"),
        ("target=/a,source", "invalid field 'source' must be a key=value pair"),
        ("target=/a,readonly=maybe", "invalid value for readonly"),
        ("type=tmpfs,target=/a,tmpfs-mode=9", "an octal number"),
        ("type=bind,source=/a,target=/b,tmpfs-size=1m", "cannot mix 'tmpfs-*' options with mount type 'bind'"),
        ('type=bind,"source=/a,target=/b', "a double quote is not closed"),
    ],
)
def test_no_mount(text: str, why: str) -> None:
    with pytest.raises(Invalid) as caught:
        mounts.mount(text)
    assert why in caught.value.message


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["-d", "-a", "stdout"], "cannot specify both --attach and --detach"),
        (["-a", "stdfoo"], "valid streams are"),
        (["--rm", "--restart", "always"], "cannot specify both --restart and --rm"),
        (["--restart", "on-failure:x"], "maximum retry count must be an integer"),
        (["-e", "=x"], "invalid environment variable: =x"),
        (["--env-file", "/nosuch"], "cannot read environment file /nosuch: no such file or directory"),
        (["--ulimit", "nofile"], "invalid ulimit argument: nofile"),
        (["--ulimit", "nofile=x"], "invalid ulimit argument: nofile=x"),
        (["--device", "a"], "invalid device specification: a"),
        (["--device", "/dev/a:/b:q"], "invalid device specification"),
        (["--add-host", "x"], "bad format for --add-host: x"),
        (["--network", "alias=x"], "has no name="),
        (["--network", "name=a,colour=red"], "unknown key 'colour'"),
        (["--security-opt", "seccomp=/nosuch"], "opening seccomp profile (/nosuch) failed"),
        (["--no-healthcheck", "--health-cmd", "x"], "conflicts with --health-* options"),
        (["--device-read-bps", "sda:1"], "invalid value for --device-read-bps: sda:1"),
        (["--expose", "1:2"], "invalid port format for --expose: 1:2"),
    ],
)
def test_what_cannot_be_wished(words: list[str], why: str) -> None:
    with pytest.raises(Invalid) as caught:
        body(*words, "busybox")
    assert why in caught.value.message


def test_a_broken_environment_file(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("A=1\nB C=2\n")
    with pytest.raises(Invalid, match="line 2: 'B C' is no name"):
        body("--env-file", str(file), "busybox")
    file.write_bytes(b"A=\xff\n")
    with pytest.raises(Invalid, match="is not UTF-8"):
        body("--env-file", str(file), "busybox")
