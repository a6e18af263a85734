"""tare's values → Docker's JSON, and back."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tare.api.shapes import containers, events, images, networks, ports
from tare.api.shapes.create import container_config
from tare.api.shapes.host import host_config
from tare.api.shapes.status import status
from tare.api.tables import zone
from tare.containers.container import Connection, Container
from tare.errors import Invalid
from tare.model import times
from tare.model.container import ContainerConfig, ContainerState
from tare.model.event import Event
from tare.model.image import HistoryEntry, Image, ImageConfig, Layer
from tare.model.network import Attachment, Endpoint, Network, PortBinding

NETWORK = Network("n" * 64, "bridge", "bridge", "2024-01-01T00:00:00Z", ("172.20.0.0/16",), ("172.20.0.1",))

WISH: dict[str, Any] = {
    "Image": "busybox",
    "Cmd": ["sleep", "1 d"],
    "ExposedPorts": {"443/tcp": {}},
    "HostConfig": {
        "Binds": ["/a:/b:ro", "/c:/d", "/e:/f:ro,rshared"],
        "Mounts": [
            {"Type": "bind", "Source": "/x", "Target": "/y", "ReadOnly": True, "BindOptions": {"CreateMountpoint": True}},
            {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 4096, "Mode": 1023}},
        ],
        "Tmpfs": {"/run": "exec,size=64k", "/z": ""},
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
        "NetworkMode": "host",
        "PortBindings": {
            "80/tcp": [{"HostIp": "", "HostPort": "8080"}, {"HostIp": "::1", "HostPort": ""}],
            "5/udp": [{"HostPort": "9-12"}],
        },
        "AutoRemove": True,
        "CapAdd": ["NET_ADMIN"],
        "CapDrop": ["ALL"],
        "CgroupnsMode": "host",
        "Dns": ["1.1.1.1"],
        "ExtraHosts": ["a:1.2.3.4"],
        "GroupAdd": ["5"],
        "IpcMode": "host",
        "OomScoreAdj": 5,
        "PidMode": "host",
        "PublishAllPorts": True,
        "ReadonlyRootfs": True,
        "SecurityOpt": ["no-new-privileges"],
        "ShmSize": 1024,
        "Sysctls": {"net.ipv4.ip_forward": "1"},
        "Memory": 10 << 20,
        "NanoCpus": 5,
        "PidsLimit": 9,
        "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/n", "CgroupPermissions": "r"}],
        "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}],
        "Init": True,
        "MaskedPaths": ["/proc/kcore"],
        "ReadonlyPaths": [],
        "Annotations": {"a": "b"},
        "StorageOpt": {"size": "1G"},
        "ConsoleSize": [24, 80],
    },
}


def container(config: ContainerConfig, **more: Any) -> Container:
    return Container(
        id="c" * 64,
        name="web",
        created="2024-01-01T00:00:00.5Z",
        config=config,
        image_id="sha256:" + "i" * 64,
        image_config=ImageConfig(command=("sh",), stop_signal="SIGQUIT"),
        args=config.command or ("sh",),
        env=("PATH=/bin",),
        working_dir="/",
        user="",
        hostname="cccccccccccc",
        stop_signal="SIGTERM",
        labels={},
        storage="overlay2",
        runtime="ns",
        log_driver=config.log_driver or "local",
        log_options=dict(config.log_options),
        directory="/data/containers/c",
        **more,
    )


def test_a_container_can_be_made_again_from_its_inspect() -> None:
    config = container_config(WISH)
    shown = containers.inspect(container(config), {}, (1, 56))
    again = container_config({**shown["Config"], "HostConfig": shown["HostConfig"]})
    for name in (
        "binds",
        "tmpfs",
        "ports",
        "limits",
        "devices",
        "ulimits",
        "cap_add",
        "sysctls",
        "network",
        "auto_remove",
        "init",
        "masked_paths",
        "readonly_paths",
        "annotations",
        "security_opt",
        "storage_options",
        "log_driver",
        "log_options",
        "shm_size",
        "dns",
        "extra_hosts",
        "ipc_mode",
        "pid_mode",
        "cgroupns_mode",
        "console_size",
        "publish_all",
    ):
        assert getattr(again, name) == getattr(config, name), name
    assert again.command == ("sleep", "1 d")


def test_a_plain_container_s_host_config_says_nothing_special() -> None:
    config = container_config({"Image": "x"})
    fixed = replace(config, cgroupns_mode="private", ipc_mode="private", shm_size=64 << 20)
    again = container_config({"Image": "x", "HostConfig": host_config(container(fixed), (1, 56))})
    told = {
        "log_driver": "local",
        "runtime": "ns",
        "storage_driver": "overlay2",
    }
    masks = {
        "masked_paths": again.masked_paths,
        "readonly_paths": again.readonly_paths,
        "network": "bridge",
    }
    assert again == replace(fixed, **told, **masks)


def running() -> Container:
    config = container_config({"Image": "busybox", "ExposedPorts": {"80/tcp": {}, "443/tcp": {}}})
    endpoint = Endpoint("e" * 64, "c" * 64, "web", NETWORK)
    attachment = Attachment("e" * 64, NETWORK.id, mac="02:42:ac:14:00:02", address="172.20.0.2", prefix=16, gateway="172.20.0.1")
    bindings = (PortBinding(80, "tcp", "0.0.0.0", 8080), PortBinding(80, "tcp", "::", 8080))
    state = ContainerState("running", pid=77, started_at=times.with_nanoseconds(time.time_ns() - 185 * 10**9))
    return container(config, state=state, connections={"bridge": Connection(endpoint, attachment, bindings)})


def test_a_running_container_shows_its_ports_and_address() -> None:
    shown = containers.inspect(running(), {"bridge": NETWORK}, (1, 50))
    settings = shown["NetworkSettings"]
    assert settings["Ports"]["80/tcp"] == [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}]
    assert settings["Ports"]["443/tcp"] is None
    assert settings["Networks"]["bridge"]["IPAddress"] == settings["IPAddress"] == "172.20.0.2"
    assert settings["Networks"]["bridge"]["NetworkID"] == NETWORK.id
    assert "IPAddress" not in containers.inspect(running(), {}, (1, 52))["NetworkSettings"]
    assert shown["State"]["FinishedAt"] == times.NEVER


def test_a_row_of_ps() -> None:
    row = containers.summary(running(), {"bridge": NETWORK}, "busybox", time.time())
    assert row["Status"] == "Up 3 minutes"
    assert row["Names"] == ["/web"]
    assert {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"} in row["Ports"]
    assert {"PrivatePort": 443, "Type": "tcp"} in row["Ports"]
    quoted = container(container_config({"Image": "x", "Cmd": ["sh", "-c", "sleep 1"]}))
    assert containers.summary(quoted, {}, "x", 0)["Command"] == "sh -c 'sleep 1'"


def test_an_image_whose_name_moved_on_is_shown_by_its_id() -> None:
    one = running()
    assert containers.shown_image(one, lambda name: one.image_id) == "busybox"
    assert containers.shown_image(one, lambda name: "sha256:other") == one.image_id
    assert containers.shown_image(one, lambda name: "") == one.image_id


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (ContainerState(), "Created"),
        (ContainerState("running", started_at="2024-01-01T00:00:00Z"), "Up 2 hours"),
        (ContainerState("paused", started_at="2024-01-01T00:00:00Z"), "Up 2 hours (Paused)"),
        (
            ContainerState("exited", exit_code=3, started_at="2024-01-01T00:00:00Z", finished_at="2024-01-01T01:59:00Z"),
            "Exited (3) About a minute ago",
        ),
        (ContainerState("exited", exit_code=127), "Created"),
        (ContainerState("removing"), "Removal In Progress"),
        (ContainerState("dead"), "Dead"),
    ],
)
def test_a_state_in_docker_s_words(state: ContainerState, words: str) -> None:
    assert status(state, times.seconds_exactly("2024-01-01T02:00:00Z")) == words


IMAGE = Image(
    id="sha256:" + "a" * 64,
    manifest="sha256:" + "b" * 64,
    created="2024-01-01T00:00:00Z",
    architecture="amd64",
    os="linux",
    config=ImageConfig(command=("sh",), exposed_ports=("80/tcp",)),
    layers=(Layer("sha256:1", "sha256:1", "sha256:1", "x", 7, 10), Layer("sha256:2", "sha256:2", "sha256:2", "x", 9, 20)),
    history=(HistoryEntry("2023-01-01T00:00:00Z", "ADD"), HistoryEntry("", "CMD", empty_layer=True), HistoryEntry("", "RUN")),
    tags=("busybox:latest",),
    size=30,
)


def test_history_gives_sizes_to_the_entries_that_have_a_layer() -> None:
    rows = images.history(IMAGE)
    assert [(row["CreatedBy"], row["Size"]) for row in rows] == [("RUN", 20), ("CMD", 0), ("ADD", 10)]
    assert (rows[0]["Id"], rows[0]["Tags"], rows[1]["Id"]) == (IMAGE.id, ["busybox:latest"], "<missing>")
    assert [row["Size"] for row in images.history(replace(IMAGE, history=()))] == [20, 10]


def test_layers_that_images_share_are_counted_once() -> None:
    child = replace(IMAGE, id="sha256:child", layers=(IMAGE.layers[0], replace(IMAGE.layers[1], chain_id="sha256:3", unpacked=5)))
    assert images.sharing([IMAGE, child]) == (35, {IMAGE.id: 10, "sha256:child": 10})
    assert images.sharing([]) == (0, {})


def test_an_image_in_old_and_new_versions() -> None:
    new, old = images.inspect(IMAGE, "overlay2", (1, 56)), images.inspect(IMAGE, "overlay2", (1, 41))
    assert "VirtualSize" not in new and old["VirtualSize"] == 30
    assert new["RootFS"]["Layers"] == ["sha256:1", "sha256:2"]
    untagged = replace(IMAGE, tags=())
    assert images.summary(untagged, 0, (1, 41))["RepoTags"] == ["<none>:<none>"]
    assert images.summary(untagged, 0, (1, 50))["RepoTags"] == []


def test_a_network_lists_who_is_on_it() -> None:
    shown = networks.inspect(NETWORK, [running()], (1, 50))
    assert shown["IPAM"]["Config"] == [{"Subnet": "172.20.0.0/16", "Gateway": "172.20.0.1"}]
    assert shown["Containers"]["c" * 64]["IPv4Address"] == "172.20.0.2/16"


def test_an_event_in_old_and_new_versions() -> None:
    event = Event("container", "start", "c" * 64, 1_700_000_000_123_456_789, {"image": "busybox", "name": "web"})
    old = events.message(event, (1, 41))
    assert (old["status"], old["id"], old["from"]) == ("start", "c" * 64, "busybox")
    new = events.message(event, (1, 52))
    assert "status" not in new
    assert (new["time"], new["timeNano"]) == (1_700_000_000, 1_700_000_000_123_456_789)
    assert new["Actor"] == {"ID": "c" * 64, "Attributes": {"image": "busybox", "name": "web"}}


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("", 0),
        ("0", 0),
        ("1700000000", 1_700_000_000 * 10**9),
        ("1700000000.5", 1_700_000_000 * 10**9 + 500_000_000),
        ("1700000000.000000001", 1_700_000_000 * 10**9 + 1),
        ("2024-01-31T12:00:00Z", 1_706_702_400 * 10**9),
        ("2024-01-31T12:00:00.000000007Z", 1_706_702_400 * 10**9 + 7),
        ("2024-01-31T14:00:00+02:00", 1_706_702_400 * 10**9),
        ("2024-01-31", 1_706_659_200 * 10**9),
    ],
)
def test_times_as_clients_write_them(text: str, nanoseconds: int) -> None:
    assert times.instant(text, "since") == nanoseconds


def test_durations_count_back_from_now() -> None:
    assert abs(times.instant("1h30m", "since") - (time.time_ns() - 5400 * 10**9)) < 10**9


@pytest.mark.parametrize("text", ["yesterday", "2024-13-01", "1h2", "-", "99999999999999", "2024-01-31T99:00:00Z", "1.x"])
def test_no_time_is_an_error_that_names_it(text: str) -> None:
    with pytest.raises(Invalid, match="since: "):
        times.instant(text, "since")


def test_nanoseconds_survive() -> None:
    assert times.with_nanoseconds(1_706_702_400 * 10**9 + 7) == "2024-01-31T12:00:00.000000007Z"


def test_time_zones_by_name_and_by_offset() -> None:
    winter = datetime.fromtimestamp(1_700_000_000, UTC)
    for text, hours in (("7200", 2), ("Europe/Berlin", 1), ("", 0)):
        assert winter.astimezone(zone(text)).utcoffset() == timedelta(hours=hours)
    for wrong in ("Nowhere/City", "../../etc/passwd", "999999999999999999"):
        with pytest.raises(Invalid, match="tz: "):
            zone(wrong)


def test_exposed_ports_are_spelled_out() -> None:
    assert ports.exposed(["80", "80/tcp", "90-92/UDP"]) == ("80/tcp", "90/udp", "91/udp", "92/udp")
