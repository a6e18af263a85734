"""docker-py, unmodified: what programs do with it beyond the first steps (those are in test_api_clients)."""

from __future__ import annotations

import io
import json
import socket
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors
import docker.types
import pytest
from docker.utils.socket import frames_iter

from .conftest import Daemon, wait_for


@pytest.fixture(scope="module", params=["auto", "1.41"])
def client(engine: Daemon, request: pytest.FixtureRequest) -> Iterator[docker.DockerClient]:
    made = docker.DockerClient(base_url=engine.host, version=request.param)
    yield made
    made.close()


@pytest.fixture
def sleeper(client: docker.DockerClient) -> Iterator[Any]:
    made = client.containers.run("busybox", ["sleep", "1000"], detach=True, network_mode="none")
    yield made
    made.remove(force=True)


def test_output_is_taken_apart(client: docker.DockerClient, sleeper: Any) -> None:
    script = ["sh", "-c", "echo out; echo err >&2; exit 3"]
    assert sleeper.exec_run(script, demux=True) == (3, (b"out\n", b"err\n"))
    code, stream = sleeper.exec_run(script, stream=True, demux=True)
    assert code is None and sorted(stream, key=str) == sorted([(b"out\n", None), (None, b"err\n")], key=str)
    assert client.containers.run("busybox", script[:2] + ["echo out; echo err >&2"], stdout=True, stderr=True, remove=True) in (b"out\nerr\n", b"err\nout\n")  # noqa: E501, RUF005
    assert b"".join(client.containers.run("busybox", ["seq", "3"], stream=True, remove=True)) == b"1\n2\n3\n"


def test_a_terminal_is_not_taken_apart(sleeper: Any) -> None:
    assert sleeper.exec_run(["sh", "-c", "tty; stty size"], tty=True).output.startswith(b"/dev/pts/0\r\n")


def test_an_exec_s_socket_carries_both_ways(sleeper: Any) -> None:
    made = sleeper.exec_run("cat", stdin=True, socket=True)
    sock = made.output._sock
    sock.sendall(b"there and back\n")
    sock.shutdown(socket.SHUT_WR)
    assert b"".join(data for _stream, data in frames_iter(made.output, tty=False)) == b"there and back\n"
    made.output.close()


def test_attach_in_the_old_form_and_the_new(client: docker.DockerClient) -> None:
    """Without ``Upgrade`` the answer is 200 and the stream begins after the head; with it 101."""
    for headers in ({}, {"Connection": "Upgrade", "Upgrade": "tcp"}):
        container = client.containers.create("busybox", "cat", stdin_open=True, network_mode="none")
        try:
            api = client.api
            url = api._url("/containers/{0}/attach", container.id)
            answer = api._post(url, headers=headers, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}, stream=True)
            assert answer.status_code == (101 if headers else 200)
            stream = api._get_raw_response_socket(answer)
            container.start()
            stream._sock.sendall(b"words\n")
            stream._sock.shutdown(socket.SHUT_WR)
            assert b"".join(data for _stream, data in frames_iter(stream, tty=False)) == b"words\n"
            stream.close()
        finally:
            container.remove(force=True)


def test_attach_replays_and_follows(client: docker.DockerClient) -> None:
    container = client.containers.create("busybox", ["sh", "-c", "echo one; read go; echo two"], stdin_open=True, network_mode="none")  # noqa: E501
    try:
        container.start()
        wait_for(lambda: container.logs() == b"one\n", "the first line")
        stream = container.attach(stream=True, logs=False, stdout=True, stderr=True)
        feed = container.attach_socket(params={"stdin": 1, "stream": 1})
        feed._sock.sendall(b"go\n")
        assert b"".join(stream) == b"two\n"
        feed.close()
        assert container.attach(stream=False, logs=True, stdout=True, stderr=True) == b"one\ntwo\n"
    finally:
        container.remove(force=True)


def test_images_go_out_and_come_in(client: docker.DockerClient, busybox_tar: Path) -> None:
    """save, load, history, tags, search by label, removal."""
    made = client.api.import_image_from_data(busybox_tar.read_bytes(), repository="pyed", tag="1")
    assert json.loads(made.splitlines()[-1])["status"].startswith("sha256:")
    image = client.images.get("pyed:1")
    assert image.tag("pyed", "2") is True
    image.reload()
    assert sorted(image.tags) == ["pyed:1", "pyed:2"]
    assert image.history()[0]["Id"] == image.id
    data = b"".join(image.save(named="pyed:2"))
    names = tarfile.open(fileobj=io.BytesIO(data)).getnames()  # noqa: SIM115
    assert "manifest.json" in names and "index.json" in names
    client.images.remove("pyed:1")
    client.images.remove("pyed:2")
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get("pyed:2")
    (loaded,) = client.images.load(data)
    assert loaded.tags == ["pyed:2"] and loaded.id == image.id
    assert [found.id for found in client.images.list(name="pyed")] == [image.id]
    client.images.remove(loaded.id, force=True)
    with pytest.raises((docker.errors.APIError, docker.errors.ImageLoadError)):
        client.images.load(b"this is no archive")


def test_events_while_things_happen(client: docker.DockerClient) -> None:
    seen: list[str] = []
    events = client.events(decode=True, filters={"type": "container", "label": "pyed"})
    done = threading.Event()

    def listen() -> None:
        for event in events:
            seen.append(event["Action"])
            if event["Action"] == "destroy":
                break
        done.set()

    thread = threading.Thread(target=listen)
    thread.start()
    container = client.containers.run("busybox", "true", detach=True, labels={"pyed": "1"}, network_mode="none")
    assert container.wait()["StatusCode"] == 0
    container.remove()
    assert done.wait(20)
    thread.join()
    events.close()
    assert [action for action in seen if action in ("create", "start", "die", "destroy")] == ["create", "start", "die", "destroy"]


def test_waiting_for_every_condition(client: docker.DockerClient) -> None:
    container = client.containers.create("busybox", ["sh", "-c", "exit 5"], network_mode="none")
    assert container.wait(condition="not-running")["StatusCode"] == 0
    api = client.api
    url = api._url("/containers/{0}/wait", container.id)
    # The head of the answer says that the wait has begun.
    ended, removed = (api._post(url, params={"condition": name}, stream=True, timeout=30) for name in ("next-exit", "removed"))
    container.start()
    assert json.loads(ended.content)["StatusCode"] == 5
    container.remove()
    assert json.loads(removed.content)["StatusCode"] == 5


def test_lists_prunes_and_networks(client: docker.DockerClient, sleeper: Any) -> None:
    ended = client.containers.run("busybox", "true", detach=True, labels={"prune": "me"}, network_mode="none")
    ended.wait()
    assert ended.id in [found.id for found in client.containers.list(all=True, filters={"label": "prune=me", "status": "exited"})]
    pruned = client.containers.prune(filters={"label": "prune=me"})
    assert pruned["ContainersDeleted"] == [ended.id]
    assert client.images.prune(filters={"dangling": True})["SpaceReclaimed"] >= 0
    assert {network.name for network in client.networks.list()} >= {"bridge", "host", "none"}
    assert client.networks.get("bridge").attrs["Driver"] == "bridge"
    assert sleeper.top()["Processes"][0][-1] == "sleep 1000"
    usage = client.df()
    assert usage["ContainerUsage"]["TotalCount"] if "ContainerUsage" in usage else usage["Containers"]
    assert client.info()["Containers"] >= 1
    assert client.ping() is True


def test_rename_pause_restart_kill(client: docker.DockerClient, sleeper: Any) -> None:
    sleeper.rename(f"pyed-{sleeper.short_id}")
    sleeper.reload()
    assert sleeper.name == f"pyed-{sleeper.short_id}"
    sleeper.pause()
    sleeper.reload()
    assert sleeper.status == "paused"
    with pytest.raises(docker.errors.APIError) as raised:
        sleeper.exec_run("true")
    assert raised.value.status_code == 409
    sleeper.unpause()
    sleeper.restart(timeout=0)
    sleeper.kill("SIGUSR1")
    sleeper.kill()
    assert sleeper.wait()["StatusCode"] == 137
    with pytest.raises(docker.errors.APIError) as raised:
        sleeper.kill()
    assert raised.value.status_code == 409


def test_mounts_limits_and_devices(client: docker.DockerClient, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("words\n")
    out = client.containers.run(
        "busybox",
        ["sh", "-c", "cmp /m/file /n/file && cat /n/file; ulimit -n; df -k /t | tail -n 1; ls -l /dev/x; id -G"],
        remove=True,
        network_mode="none",
        mounts=[docker.types.Mount("/m", str(tmp_path), type="bind", read_only=True)],
        volumes={str(tmp_path): {"bind": "/n", "mode": "ro"}},
        tmpfs={"/t": "size=1m"},
        ulimits=[docker.types.Ulimit(name="nofile", soft=99, hard=99)],
        devices=["/dev/null:/dev/x:r"],
        group_add=["77"],
        mem_limit="64m",
        nano_cpus=500_000_000,
        pids_limit=50,
        cap_add=["SYS_TIME"],
        security_opt=["no-new-privileges"],
        extra_hosts={"far": "10.0.0.1"},
        environment={"A": "1"},
        log_config=docker.types.LogConfig(type="json-file", config={"max-size": "1m"}),
    ).decode()
    assert out.startswith("words\n99\n") and " 1024 " in out and "/dev/x" in out and out.rstrip().endswith("77")


def test_what_is_not_there_yet_is_said(client: docker.DockerClient, sleeper: Any) -> None:
    for refused in (
        lambda: client.volumes.create("v"),
        lambda: client.networks.create("n"),
        lambda: client.images.pull("busybox"),
        lambda: sleeper.commit("x"),
        lambda: list(sleeper.export()),
        lambda: sleeper.put_archive("/", b""),
        lambda: sleeper.stats(stream=False),
        lambda: client.containers.run("busybox", "true", restart_policy={"Name": "always"}),
        lambda: client.containers.run("busybox", "true", volumes=["named:/x"]),
    ):
        with pytest.raises(docker.errors.APIError) as raised:
            refused()
        assert raised.value.status_code == 501 and "not" in raised.value.explanation
