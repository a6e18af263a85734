"""Members of Docker's create body that no flag of ours sets: honoured, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest

from .conftest import Daemon

REFUSED: dict[str, Any] = {
    "VolumeDriver": "words",
    "VolumesFrom": ["words"],
    "Links": ["a:b"],
    "Cgroup": "words",
    "UsernsMode": "words",
    "Isolation": "hyperv",
    "BlkioWeightDevice": [{"Path": "/dev/null", "Weight": 100}],
    "BlkioDeviceReadBps": [{"Path": "/dev/null", "Rate": 1}],
    "BlkioDeviceWriteBps": [{"Path": "/dev/null", "Rate": 1}],
    "BlkioDeviceReadIOps": [{"Path": "/dev/null", "Rate": 1}],
    "BlkioDeviceWriteIOps": [{"Path": "/dev/null", "Rate": 1}],
    "CpuRealtimePeriod": 1000,
    "CpuRealtimeRuntime": 1000,
    "CpuCount": 1,
    "CpuPercent": 1,
    "IOMaximumIOps": 1,
    "IOMaximumBandwidth": 1,
    "DeviceCgroupRules": ["c 1:3 rwm"],
    "DeviceRequests": [{"Driver": "words", "Count": -1}],
    "KernelMemory": 1 << 26,
    "KernelMemoryTCP": 1 << 26,
    "MemorySwappiness": 0,
    "OomKillDisable": True,
    "StorageOpt": {"size": "1G"},
    "RestartPolicy": {"Name": "always"},
    "Mounts": [{"Type": "volume", "Source": "words", "Target": "/x"}],
    "Words": "words",
}

REFUSED_OF_CONFIG: dict[str, Any] = {
    "Healthcheck": {"Test": ["CMD", "true"]},
    "Volumes": {"/x": {}},
    "NetworkDisabled": True,
    "OnBuild": ["RUN true"],
    "Shell": ["/bin/sh"],
    "ArgsEscaped": True,
    "Words": 5,
}

SAYS_NOTHING: dict[str, Any] = {
    "Isolation": "default",
    "UsernsMode": "host",
    "MemorySwappiness": -1,
    "OomKillDisable": False,
    "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
    "BlkioWeightDevice": [],
    "DeviceRequests": None,
    "KernelMemory": 0,
    "VolumeDriver": "",
    "Words": None,
}


@pytest.fixture(scope="module")
def client(engine: Daemon) -> Any:
    made = docker.APIClient(base_url=engine.host, version="1.44")
    yield made
    made.close()


def create(client: Any, host: dict[str, Any], **config: Any) -> str:
    body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none", **host}, **config}
    answer = client._post_json(client._url("/containers/create"), data=body)
    return client._result(answer, True)["Id"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("member", REFUSED)
def test_refused(engine: Daemon, client: Any, member: str) -> None:
    with pytest.raises(docker.errors.APIError) as raised:
        create(client, {member: REFUSED[member]})
    assert raised.value.status_code in (400, 501)
    assert raised.value.explanation
    assert engine.tare("ps", "-aq").stdout == ""


@pytest.mark.parametrize("member", REFUSED_OF_CONFIG)
def test_refused_of_the_configuration(engine: Daemon, client: Any, member: str) -> None:
    with pytest.raises(docker.errors.APIError) as raised:
        create(client, {}, **{member: REFUSED_OF_CONFIG[member]})
    assert raised.value.status_code in (400, 501)
    assert engine.tare("ps", "-aq").stdout == ""


@pytest.mark.parametrize("member", SAYS_NOTHING)
def test_what_asks_for_nothing_is_taken(client: Any, member: str) -> None:
    client.remove_container(create(client, {member: SAYS_NOTHING[member]}))


def inside(engine: Daemon, client: Any, script: str, host: dict[str, Any], **config: Any) -> str:
    id = create(client, host, **{"Cmd": ["sh", "-c", script], **config})
    try:
        client.start(id)
        assert client.wait(id)["StatusCode"] == 0, client.logs(id)
        return client.logs(id).decode()  # type: ignore[no-any-return]
    finally:
        client.remove_container(id, force=True)


def test_masked_and_read_only_paths(engine: Daemon, client: Any) -> None:
    script = "wc -c < /etc/passwd; touch /tmp/x 2>&1; cat /proc/timer_list | wc -l"
    out = inside(engine, client, script + "; true", {"MaskedPaths": ["/etc/passwd"], "ReadonlyPaths": ["/tmp"]})
    assert out.startswith("0\n") and "Read-only file system" in out
    assert inside(engine, client, "wc -c < /proc/keys; true", {"MaskedPaths": None}) == "0\n"


def test_what_an_image_asks_for_in_vain_is_said(engine: Daemon, busybox_tar: Path) -> None:
    engine.tare("import", "-c", "VOLUME /data", "-c", "HEALTHCHECK CMD true", str(busybox_tar), "wishful")
    try:
        for run in (engine.tare, engine.docker):
            done = run("run", "--rm", "--network", "none", "wishful", "echo", "words")
            assert done.stdout == "words\n"
            assert "volumes are not supported yet: /data" in done.stderr and "health checks are not supported yet" in done.stderr
    finally:
        engine.tare("rmi", "wishful")


def test_console_size(engine: Daemon, client: Any) -> None:
    assert inside(engine, client, "stty size", {"ConsoleSize": [33, 77]}, Tty=True).strip() == "33 77"


def test_mounts_with_options(engine: Daemon, client: Any, tmp_path: Any) -> None:
    (tmp_path / "file").write_text("words\n")
    mounts = [
        {"Type": "bind", "Source": str(tmp_path), "Target": "/b", "ReadOnly": True, "BindOptions": {"NonRecursive": True}},
        {"Type": "bind", "Source": str(tmp_path / "new/dir"), "Target": "/n", "BindOptions": {"CreateMountpoint": True}},
        {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o700, "Options": [["exec"], ["nr_inodes", "9"]]}},  # noqa: E501
    ]
    out = inside(engine, client, "cat /b/file; touch /b/x 2>&1; stat -c %a /t; grep ' /t ' /proc/mounts; true", {"Mounts": mounts})  # noqa: E501
    assert "words\n" in out and "Read-only" in out and "\n700\n" in out and "nr_inodes=9" in out and "noexec" not in out
    assert (tmp_path / "new/dir").is_dir()
    for options in ({"ReadOnlyNonRecursive": True}, {"ReadOnlyForceRecursive": True}, {"Words": 1}):
        with pytest.raises(docker.errors.APIError):
            create(client, {"Mounts": [{"Type": "bind", "Source": str(tmp_path), "Target": "/b", "BindOptions": options}]})


def test_names_match_in_any_case(engine: Daemon, client: Any) -> None:
    """Go's decoder has it so, and some clients rely on it."""
    out = inside(engine, client, "echo $A", {"readonlyrootfs": True}, env=["A=1"])
    assert out == "1\n"


def test_what_inspect_shows_makes_the_same_again(engine: Daemon, client: Any) -> None:
    """Clients copy ``inspect`` into ``create``: nothing in it may be refused, and nothing may get lost."""
    flags = (
        "-e A=1 -l x=y -w /tmp -u 1:1 -h words --cap-add SYS_TIME --cap-drop CHOWN --dns 9.9.9.9 --dns-search s --tmpfs /t:size=1m "  # noqa: E501
        "--ulimit nofile=9:9 --sysctl kernel.msgmax=99 --shm-size 1m -m 64m --cpus 0.5 --pids-limit 9 --read-only --init=false "
        "--security-opt no-new-privileges --add-host a:1.2.3.4 --device /dev/null:/dev/x:r --group-add 9 --oom-score-adj 5 "
        "--stop-signal USR1 --stop-timeout 3 --log-driver json-file --log-opt max-size=1m --expose 99 -v /tmp:/y:ro -i -t"
    ).split()
    first = engine.tare("create", "--network", "none", *flags, "busybox", "true").stdout.strip()
    shown = client.inspect_container(first)
    body = {**shown["Config"], "HostConfig": shown["HostConfig"], "NetworkingConfig": {"EndpointsConfig": shown["NetworkSettings"]["Networks"]}}  # noqa: E501
    answer = client._post_json(client._url("/containers/create"), data=body)
    second = client._result(answer, True)["Id"]
    try:
        again = client.inspect_container(second)
        for part in ("Config", "HostConfig"):
            assert json.dumps(again[part], sort_keys=True) == json.dumps(shown[part], sort_keys=True)
    finally:
        engine.tare("rm", first, second)


@pytest.mark.parametrize(
    ("host", "config", "message"),
    [
        ({}, {"User": "nobody-here"}, "unable to find user nobody-here"),
        ({"GroupAdd": ["nobody-here"]}, {}, "unable to find group nobody-here"),
        ({}, {"WorkingDir": "/dev/null"}, "not a directory"),
        ({"PidsLimit": 1 << 60}, {}, "pids.max"),
        ({"CpuQuota": (1 << 63) - 1}, {}, "cpu"),
    ],
)
def test_what_only_the_start_finds_wrong_is_no_defect(
    client: Any, host: dict[str, Any], config: dict[str, Any], message: str
) -> None:
    id = create(client, host, **config)
    try:
        with pytest.raises(docker.errors.APIError) as raised:
            client.start(id)
        assert raised.value.status_code == 400 and message in raised.value.explanation
    finally:
        client.remove_container(id, force=True)
