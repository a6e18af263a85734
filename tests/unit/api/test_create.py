"""Docker's create body → ContainerConfig: what clients really send, and that nothing is dropped in silence."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tare.api.shapes import create
from tare.api.shapes.create import container_config
from tare.errors import Invalid, TareError, Unsupported
from tare.model.container import BindMount, ContainerConfig, Device, TmpfsMount, Ulimit
from tare.model.network import PortRequest

BODIES = Path(__file__).parent / "bodies"
"""What ``docker create`` of 20.10.24 and 28.2.2 and docker-py 7 sent, captured from their sockets."""


def body(name: str = "docker-28.2-plain") -> dict[str, Any]:
    read: dict[str, Any] = json.loads((BODIES / f"{name}.json").read_text())
    return read


def with_host(**members: Any) -> dict[str, Any]:
    made = body()
    made["HostConfig"] |= members
    return made


@pytest.mark.parametrize(
    ("name", "wish"),
    [
        ("docker-20.10-plain", ContainerConfig("busybox", attach_stdout=True, attach_stderr=True)),
        ("docker-28.2-plain", ContainerConfig("busybox", attach_stdout=True, attach_stderr=True)),
        ("docker-py-plain", ContainerConfig("busybox", command=("true",))),
    ],
)
def test_a_plain_create_asks_for_nothing_special(name: str, wish: ContainerConfig) -> None:
    assert container_config(body(name)) == wish


@pytest.mark.parametrize("name", ["docker-20.10-rich", "docker-28.2-rich"])
def test_what_the_user_typed_arrives(name: str) -> None:
    config = container_config(body(name))
    assert config.command == ("echo", "hi")
    assert config.env == ("A=b",)
    assert config.binds == (BindMount("/a", "/b", read_only=True, create=True, spelled="bind"),)
    assert config.tmpfs == (TmpfsMount("/run", ("noexec", "nosuid", "nodev", "size=1m")),)
    assert config.exposed_ports == ("53/udp", "80/tcp")
    assert set(config.ports) == {PortRequest(53, "udp", "127.0.0.1", 53), PortRequest(80, "tcp", "", 8000, 8010)}
    assert config.address == ("" if name == "docker-20.10-rich" else "1.2.3.4")


HOST_MEMBERS = json.loads((BODIES / "schema.json").read_text())
"""The members of Config and HostConfig in Docker's API 1.56."""


@pytest.mark.parametrize("member", HOST_MEMBERS["HostConfig"])
def test_no_member_of_host_config_is_dropped_in_silence(member: str) -> None:
    """A value that means something changes the wish or is refused; one of the wrong type is always refused."""
    if member in create.RECORDED_BY_CLIENT:
        return
    plain = container_config(body())
    for value in ("3", 7, True, ["/x"], {"x": "y"}, [{"Name": "core", "Soft": 1, "Hard": 2}], ["/s:/t"], [3, 4], "private"):
        try:
            assert container_config(with_host(**{member: value})) != plain, f"{member}={value!r} changed nothing"
        except (Invalid, Unsupported) as error:
            assert error.message


@pytest.mark.parametrize("member", [*HOST_MEMBERS["Config"], "NoSuchThing"])
def test_no_member_of_config_is_dropped_in_silence(member: str) -> None:
    plain = container_config(body())
    for value in ("3", 7, True, ["/x"], {"x": "y"}, "/x"):
        changed = body() | {member: value}
        if changed[member] == body().get(member):
            continue
        try:
            assert container_config(changed) != plain, f"{member}={value!r} changed nothing"
        except (Invalid, Unsupported) as error:
            assert error.message


@pytest.mark.parametrize(("member", "flag"), create.REFUSED.items())
def test_what_cannot_be_honoured_is_refused_by_the_user_s_word_for_it(member: str, flag: str) -> None:
    with pytest.raises(Unsupported, match=flag.replace(".", r"\.")):
        container_config(with_host(**{member: ["x"]}))


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"RestartPolicy": {"Name": "always"}}, Unsupported, "--restart always is not supported yet"),
        ({"RestartPolicy": {"Name": "no", "MaximumRetryCount": 3}}, Invalid, "maximum retry count"),
        ({"Binds": ["data:/data"]}, Unsupported, "named volumes are not supported yet: -v data:/data"),
        ({"Binds": ["./x:/data"]}, Invalid, "mount path must be absolute"),
        ({"Binds": ["/x"]}, Unsupported, "anonymous volumes"),
        ({"Binds": ["/a:/b:wrong"]}, Invalid, "invalid mode: wrong"),
        ({"Binds": ["/a:/b:rw,ro"]}, Invalid, "invalid mode: rw,ro"),
        ({"Binds": ["/a:/b:ro:rw"]}, Invalid, "invalid volume specification"),
        ({"Mounts": [{"Type": "volume", "Target": "/x"}]}, Unsupported, "type=volume"),
        ({"Mounts": [{"Type": "bind", "Source": "/a"}]}, Invalid, "Target must not be empty"),
        ({"Mounts": [{"Type": "bind", "Source": "/a", "Target": "/b", "TmpfsOptions": {"Mode": 7}}]}, Invalid, "does not belong"),
        ({"Mounts": [{"Type": "weird", "Target": "/x"}]}, Invalid, "mount type unknown"),
        ({"PortBindings": {"80/icmp": [{}]}}, Invalid, "invalid proto: icmp"),
        ({"PortBindings": {"80/tcp": [{"HostPort": "70000"}]}}, Invalid, "invalid port specification"),
        ({"PortBindings": {"0/tcp": [{}]}}, Invalid, "invalid containerPort"),
        ({"Memory": "1g"}, Invalid, "HostConfig.Memory: expected a whole number, got a string"),
        ({"Memory": -5}, Invalid, "--memory: -5 is negative"),
        ({"CapAdd": [1]}, Invalid, "HostConfig.CapAdd: expected a list of strings"),
        ({"OomScoreAdj": 2000}, Invalid, "range for oom score adj"),
        ({"CgroupnsMode": "shared"}, Invalid, "invalid cgroup namespace mode"),
        ({"ConsoleSize": [1]}, Invalid, "ConsoleSize"),
        ({"Frobnicate": True}, Invalid, "unknown member HostConfig.Frobnicate"),
    ],
)
def test_bad_wishes_say_why(change: dict[str, Any], kind: type[TareError], message: str) -> None:
    with pytest.raises(kind, match=message.replace("(", r"\(")):
        container_config(with_host(**change))


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"Image": ""}, Invalid, "no image was given"),
        ({"WorkingDir": "relative"}, Invalid, "needs to be an absolute path"),
        ({"Healthcheck": {"Test": ["CMD", "true"]}}, Unsupported, "health checks"),
        ({"Healthcheck": {"Interval": 5}}, Unsupported, "health checks"),
        ({"ExposedPorts": {f"{first}-65535/tcp": {} for first in range(1, 99)}}, Invalid, "more than 196605 ports"),
        ({"Volumes": {"/data": {}}}, Unsupported, "anonymous volumes are not supported yet: -v /data"),
        ({"Env": ["A=\0"]}, Invalid, "null byte"),
        ({"HostConfig": []}, Invalid, "HostConfig: expected an object"),
        (
            {"NetworkingConfig": {"EndpointsConfig": {"other": {"MacAddress": "x"}}}},
            Unsupported,
            "more than one network: other|other",
        ),
        ({"NetworkingConfig": {"EndpointsConfig": {"default": {"Aliases": ["x"]}}}}, Invalid, "user-defined networks"),
    ],
)
def test_bad_configs_say_why(change: dict[str, Any], kind: type[TareError], message: str) -> None:
    with pytest.raises(kind, match=message):
        container_config(body() | change)


def test_harmless_values_stay_harmless() -> None:
    plain = container_config(body())
    for change in ({"MemorySwappiness": -1}, {"UsernsMode": "host"}, {"Isolation": "default"}, {"ContainerIDFile": "/tmp/cid"}):
        assert container_config(with_host(**change)) == plain
    assert container_config(body() | {"Healthcheck": {"Test": ["NONE"]}}) == plain
    assert container_config(body() | {"SomethingNew": None, "Other": {}}) == plain


def test_names_match_in_any_case_as_in_go() -> None:
    assert container_config({"image": "x", "hostconfig": {"networkmode": "host"}}).network == "host"


def test_the_storage_driver_comes_from_host_config_or_from_a_label() -> None:
    assert container_config(with_host(StorageDriver="vfs")).storage_driver == "vfs"
    labelled = body() | {"Labels": {"tare.storage-driver": "vfs"}}
    assert container_config(labelled).storage_driver == "vfs"
    labelled["HostConfig"] |= {"StorageDriver": "overlay2"}
    with pytest.raises(Invalid, match="contradicts"):
        container_config(labelled)


def test_commands_are_lists_or_one_word() -> None:
    assert container_config(body() | {"Cmd": "true"}).command == ("true",)
    assert container_config(body() | {"Cmd": []}).command is None
    assert container_config(body() | {"Entrypoint": [""]}).entrypoint == ("",)
    assert container_config(body() | {"Entrypoint": None}).entrypoint is None


def test_resources_and_devices() -> None:
    config = container_config(
        with_host(
            Memory=1 << 30,
            NanoCpus=1_500_000_000,
            PidsLimit=-1,
            Ulimits=[{"Name": "nofile", "Soft": 10, "Hard": 20}],
            Devices=[{"PathOnHost": "/dev/null", "PathInContainer": "/dev/zilch", "CgroupPermissions": "r"}],
        )
    )
    assert (config.limits.memory, config.limits.nano_cpus, config.limits.pids) == (1 << 30, 1_500_000_000, -1)
    assert config.ulimits == (Ulimit("nofile", 10, 20),)
    assert config.devices == (Device("/dev/null", "/dev/zilch", "r"),)


def test_tmpfs_mounts() -> None:
    config = container_config(
        with_host(
            Tmpfs={"/a": "exec,size=64k"},
            Mounts=[
                {"Type": "tmpfs", "Target": "/b", "TmpfsOptions": {"SizeBytes": 4096, "Mode": 0o1777, "Options": [["uid", "5"]]}}
            ],
        )
    )
    assert config.tmpfs == (
        TmpfsMount("/a", ("nosuid", "nodev", "exec", "size=64k")),
        TmpfsMount("/b", ("noexec", "nosuid", "nodev", "size=4096", "mode=1777", "uid=5"), "mount"),
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None, max_examples=400)
@given(st.sampled_from([*HOST_MEMBERS["HostConfig"], *HOST_MEMBERS["Config"], "NetworkingConfig"]), json_values)
def test_any_json_is_a_wish_or_a_clear_error(member: str, value: object) -> None:
    made = copy.deepcopy(body())
    (made["HostConfig"] if member in HOST_MEMBERS["HostConfig"] else made)[member] = value
    try:
        container_config(made)
    except (Invalid, Unsupported) as error:
        assert error.message and "Traceback" not in error.message
