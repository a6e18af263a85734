"""The API as clients use it that know nothing of tare: docker-py, the docker command lines, curl."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import docker
import docker.errors
import docker.types
import pytest

from tests.integration.conftest import BIN, DOCKERS, Daemon, Raw, wait_for


@pytest.fixture
def client(engine: Daemon) -> Iterator[docker.DockerClient]:
    made = docker.DockerClient(base_url=engine.host, timeout=30)
    yield made
    made.close()


@pytest.fixture
def sleeper(client: docker.DockerClient) -> Iterator[Any]:
    container = client.containers.run("busybox", ["sh", "-c", "echo ready; exec sleep 1000"], network_mode="none", detach=True)
    yield container
    container.remove(force=True)


def test_docker_py_runs_a_container(client: docker.DockerClient) -> None:
    """Its run() reads the output back from the log, and only when inspect names a kind of log which it knows."""
    command = ["sh", "-c", "echo out; echo err >&2"]
    out = client.containers.run("busybox", command, network_mode="none", remove=True, stderr=True)
    assert sorted(out.split()) == [b"err", b"out"]


def test_docker_py_learns_the_exit_code(client: docker.DockerClient) -> None:
    with pytest.raises(docker.errors.ContainerError) as caught:
        client.containers.run("busybox", ["sh", "-c", "exit 7"], network_mode="none", remove=True)
    assert caught.value.exit_status == 7


def test_docker_py_lives_with_a_container(client: docker.DockerClient, sleeper: Any) -> None:
    assert sleeper.status == "created" or sleeper.status == "running"
    sleeper.reload()
    assert sleeper.status == "running"
    assert sleeper in client.containers.list()
    wait_for(lambda: sleeper.logs() == b"ready\n", "the container's first words")
    assert sleeper.exec_run(["sh", "-c", "echo hi; exit 3"]) == (3, b"hi\n")
    demultiplexed = sleeper.exec_run(["sh", "-c", "echo out; echo err >&2"], demux=True)
    assert demultiplexed.output == (b"out\n", b"err\n")
    assert any("sleep 1000" in " ".join(row) for row in sleeper.top()["Processes"])
    sleeper.pause()
    sleeper.reload()
    assert sleeper.status == "paused"
    sleeper.unpause()
    sleeper.rename("renamed")
    assert client.containers.get("renamed").id == sleeper.id
    sleeper.stop(timeout=0)
    assert sleeper.wait()["StatusCode"] == 137
    sleeper.start()
    sleeper.restart(timeout=0)
    sleeper.reload()
    assert sleeper.status == "running"


def test_docker_py_speaks_on_a_socket(sleeper: Any) -> None:
    _code, sock = sleeper.exec_run(["cat"], stdin=True, socket=True)
    sock._sock.sendall(b"hello\n")
    sock._sock.shutdown(socket.SHUT_WR)
    data = b""
    while piece := sock._sock.recv(4096):
        data += piece
    assert data == b"\x01\0\0\0\0\0\0\x06hello\n"


def test_docker_py_follows_logs_and_events(client: docker.DockerClient, engine: Daemon) -> None:
    container = client.containers.create("busybox", ["sh", "-c", "echo one; echo two"], network_mode="none")
    seen: list[str] = []
    stream = client.events(decode=True, filters={"container": container.id})
    reader = threading.Thread(target=lambda: seen.extend(event["Action"] for event in stream))
    reader.start()
    try:
        container.start()
        assert b"".join(container.logs(stream=True, follow=True)) == b"one\ntwo\n"
        container.wait()
    finally:
        container.remove(force=True)
        wait_for(lambda: "destroy" in seen, "the event of its end")
        stream.close()
        reader.join(10)
    assert [action for action in seen if action in ("start", "die", "destroy")] == ["start", "die", "destroy"]


def test_docker_py_handles_images(client: docker.DockerClient) -> None:
    image = client.images.get("busybox")
    assert "busybox:latest" in image.tags
    assert image.tag("tests/copy", "one")
    archive = b"".join(client.images.get("tests/copy:one").save(named="tests/copy:one"))
    client.images.remove("tests/copy:one")
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get("tests/copy:one")
    loaded = client.images.load(archive)
    assert [one.id for one in loaded] == [image.id]
    assert image.history()[0]["Size"] == image.attrs["Size"]
    client.images.remove("tests/copy:one")


def test_docker_py_gets_docker_s_errors(client: docker.DockerClient) -> None:
    with pytest.raises(docker.errors.NotFound, match="No such container: nothing"):
        client.containers.get("nothing")
    with pytest.raises(docker.errors.ImageNotFound):
        client.api.create_container("no-such-image")
    with pytest.raises(docker.errors.APIError, match="--restart always is not supported yet"):
        client.containers.create("busybox", restart_policy={"Name": "always"})
    with pytest.raises(docker.errors.APIError, match="pulling from registries is not available yet"):
        client.images.pull("alpine", tag="latest")
    assert client.info()["Name"] == os.uname().nodename
    assert client.version()["ApiVersion"] == "1.56"
    assert client.ping()


@pytest.mark.parametrize("binary", DOCKERS)
def test_the_docker_command_line(engine: Daemon, binary: str) -> None:
    def ask(*args: str, input: str = "", code: int = 0) -> str:
        done = subprocess.run(
            [binary, *args], env=engine.environment(), input=input, text=True, capture_output=True, timeout=60, check=False
        )
        assert done.returncode == code, done
        return done.stdout + done.stderr

    assert ask("run", "--rm", "--network", "none", "busybox", "echo", "hi") == "hi\n"
    assert ask("run", "--rm", "-i", "--network", "none", "busybox", "cat", input="through\n") == "through\n"
    ask("run", "--rm", "--network", "none", "busybox", "sh", "-c", "exit 42", code=42)
    assert "executable file not found" in ask("run", "--rm", "--network", "none", "busybox", "nothing", code=127)
    assert "permission denied" in ask("run", "--rm", "--network", "none", "busybox", "/etc", code=126)
    assert "is not available yet" in ask("run", "--rm", "no-such-image", code=125)
    assert "--gpus is not supported yet" in ask("run", "--gpus", "all", "busybox", code=125)
    name = f"cli-{Path(binary).parent.parent.name}"
    ask("run", "-d", "--name", name, "--network", "none", "busybox", "sh", "-c", "echo up; exec sleep 1000")
    try:
        assert ask("exec", "-i", name, "cat", input="in\n") == "in\n"
        ask("exec", name, "sh", "-c", "exit 5", code=5)
        ask("exec", name, "nothing", code=127)
        assert name in ask("ps", "--filter", f"name={name}", "--filter", "status=running", "--format", "{{.Names}}")
        assert ask("logs", name) == "up\n"
    finally:
        ask("rm", "-f", name)
    assert "busybox" in ask("images")
    assert "Server Version" in ask("info")


@pytest.mark.parametrize("version", ["1.24", "1.30", "1.41", "1.44", "1.50", "1.52", "1.56"])
def test_every_version_can_list_and_inspect(engine: Daemon, sleeper: Any, version: str) -> None:
    raw = Raw(engine)
    rows = raw.json("GET", f"/v{version}/containers/json")
    assert any(row["Id"] == sleeper.id for row in rows)
    assert raw.json("GET", f"/v{version}/containers/{sleeper.short_id}/json")["Id"] == sleeper.id
    assert raw.json("GET", f"/v{version}/images/json")
    for path in ("info", "version", "system/df", "networks", "networks/bridge", "volumes", "plugins"):
        status, _, body = raw.ask("GET", f"/v{version}/{path}")
        assert status == 200, (path, body)
    usage = raw.json("GET", f"/v{version}/system/df")
    assert ("ImageUsage" in usage) == (version in ("1.52", "1.56"))


def test_ping_says_what_is_spoken(raw: Raw) -> None:
    for method, expected in (("GET", b"OK"), ("HEAD", b"")):
        status, headers, body = raw.ask(method, "/_ping")
        assert (status, body) == (200, expected)
        assert (headers["Api-Version"], headers["Ostype"], headers["Docker-Experimental"]) == ("1.56", "linux", "false")
        assert "Builder-Version" not in headers


def test_the_same_list_as_text(raw: Raw, sleeper: Any) -> None:
    status, headers, body = raw.ask("GET", "/v1.50/containers/json", Accept="text/plain")
    assert (status, headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert body.decode().splitlines()[0].startswith("CONTAINER ID   IMAGE")
    ids = raw.ask("GET", "/containers/json?quiet=1&no-trunc=1", Accept="text/plain")[2].decode().split()
    assert sleeper.id in ids
    named = raw.ask("GET", "/containers/json?format=%7B%7B.Names%7D%7D", Accept="text/plain")[2].decode().split()
    assert sleeper.name in named
    for path in ("images/json", "networks", "images/busybox/history", f"containers/{sleeper.id}/top", "tare/v1/plugins"):
        status, headers, body = raw.ask("GET", f"/{path}?tz=Europe/Berlin", Accept="text/plain")
        assert (status, headers["Content-Type"]) == (200, "text/plain; charset=utf-8"), body
        assert body
    status, _, body = raw.ask("GET", "/containers/json?format=%7B%7B", Accept="text/plain")
    assert status == 400, body


def test_filters_choose(engine: Daemon, client: docker.DockerClient) -> None:
    made = [
        client.containers.create("busybox", ["true"], name=f"filtered-{n}", labels={"n": str(n)}, network_mode=mode, ports=port)
        for n, mode, port in ((1, "none", None), (2, "bridge", {"81/tcp": None}))
    ]
    try:
        made[0].start()
        made[0].wait()

        def names(**filters: object) -> set[str]:
            found = client.containers.list(all=True, filters={"name": "filtered-", **filters})
            return {container.name for container in found}

        assert names() == {"filtered-1", "filtered-2"}
        assert names(status="exited") == names(exited=0) == names(label="n=1") == names(network="none") == {"filtered-1"}
        assert (
            names(status="created")
            == names(label=["n", "n=2"])
            == names(expose="81")
            == names(since="filtered-1")
            == {"filtered-2"}
        )
        assert names(before="filtered-2") == {"filtered-1"}
        assert names(ancestor="busybox") == names(id=[one.id[:20] for one in made]) == names()
        assert names(ancestor="nothing") == names(volume="/x") == names(health="healthy") == set()
        for wrong in ({"nonsense": "x"}, {"status": "asleep"}, {"exited": "x"}, {"since": "nothing"}):
            with pytest.raises(docker.errors.APIError):
                names(**wrong)
    finally:
        for container in made:
            container.remove(force=True)


def test_wait_answers_at_once_and_ends_with_the_container(engine: Daemon, client: docker.DockerClient) -> None:
    container = client.containers.create("busybox", ["sh", "-c", "exit 9"], network_mode="none")
    try:
        raw = Raw(engine)
        raw.request("POST", f"/v1.50/containers/{container.id}/wait?condition=next-exit")
        response = raw.getresponse()
        assert response.status == 200
        container.start()
        assert json.loads(response.read()) == {"StatusCode": 9}
        assert raw.ask("POST", f"/containers/{container.id}/wait?condition=sometimes")[0] == 400
    finally:
        container.remove(force=True)


def test_starting_twice_is_not_modified(raw: Raw, sleeper: Any) -> None:
    assert raw.ask("POST", f"/containers/{sleeper.id}/start")[0] == 304
    sleeper.stop(timeout=0)
    assert raw.ask("POST", f"/containers/{sleeper.id}/stop")[0] == 304
    assert raw.ask("POST", f"/containers/{sleeper.id}/kill")[0] == 409


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("POST", "/containers/create", {"Image": "no-such-image"}, 404, "No such image: no-such-image"),
        ("POST", "/containers/create", {}, 400, "no image was given"),
        ("POST", "/containers/create?name=-bad-", {"Image": "busybox"}, 400, "Invalid container name"),
        ("POST", "/containers/create", {"Image": "busybox", "HostConfig": {"Memory": "lots"}}, 400, "HostConfig.Memory"),
        (
            "POST",
            "/containers/create",
            {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"StorageDriver": "zfs"}},
            None,
            "zfs",
        ),
        (
            "POST",
            "/containers/create",
            {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"RestartPolicy": {"Name": "x"}}},
            400,
            "invalid restart policy 'x'",
        ),
        (
            "POST",
            "/containers/create",
            {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"PidMode": "container:nothing"}},
            400,
            "No such container: nothing",
        ),
        (
            "POST",
            "/containers/create",
            {"Image": "busybox", "Cmd": ["true"], "Domainname": "x" * 65},
            400,
            "invalid domainname",
        ),
        ("POST", "/containers/create", {"Image": "busybox", "Labels": {"a": 1}}, 400, "got an object with something else in it"),
        ("POST", "/containers/create?platform=windows/amd64", {"Image": "busybox"}, 400, "this host is linux/"),
        ("POST", "/containers/nothing/start", None, 404, "No such container: nothing"),
        ("POST", "/containers/nothing/exec", {"Cmd": ["true"]}, 404, "No such container: nothing"),
        ("POST", "/exec/nothing/start", {}, 404, "No such exec instance"),
        ("GET", "/containers/nothing/logs?stdout=1", None, 404, "No such container: nothing"),
        ("GET", "/networks/nothing", None, 404, "network nothing not found"),
        ("GET", "/images/nothing/json", None, 404, "No such image: nothing"),
        ("POST", "/networks/create", {"Name": "x"}, 501, "user-defined networks are not supported yet"),
        ("POST", "/volumes/create", {"Name": "x"}, 501, "volumes are not supported yet"),
        ("POST", "/build", None, 501, "building images is not available yet"),
        ("GET", "/swarm", None, 501, "swarm"),
        ("GET", "/events?since=yesterday", None, 400, "since: "),
        ("GET", "/nowhere", None, 404, "page not found"),
        ("GET", "/containers/nothing/stats", None, 404, "No such container: nothing"),
        ("GET", "/containers/nothing/archive?path=/etc", None, 404, "No such container: nothing"),
        ("POST", "/containers/nothing/update", {}, 404, "No such container: nothing"),
        ("DELETE", "/networks/nothing", None, 404, "network nothing not found"),
        ("DELETE", "/networks/bridge", None, 403, "bridge is a pre-defined network and cannot be removed"),
        ("POST", "/networks/bridge/connect", {"Container": "nothing"}, 404, "No such container: nothing"),
        ("POST", "/networks/nothing/disconnect", {"Container": "nothing"}, 404, "network nothing not found"),
        ("GET", "/volumes/nothing", None, 404, "get nothing: no such volume"),
        ("DELETE", "/volumes/nothing", None, 404, "get nothing: no such volume"),
        ("POST", "/commit?container=nothing", {}, 501, "commit is not supported yet"),
        ("GET", "/system/df?type=words", None, 400, "unknown object type: words"),
        ("GET", '/volumes?filters={"words":["x"]}', None, 400, "invalid filter 'words'"),
        ("GET", '/containers/json?filters={"is-task":["x"]}', None, 400, "is-task"),
        ("POST", "/images/create", None, 400, "fromImage"),
        *(("GET", f"/containers/json?limit={text}", None, 400, "limit: ") for text in ("1_0", "%D9%A3", "9" * 19, "9" * 5000)),
    ],
)
def test_errors_have_docker_s_shape(raw: Raw, method: str, path: str, body: object, status: int | None, message: str) -> None:
    before = raw.json("GET", "/containers/json?all=1")
    got, headers, answer = raw.ask(method, path, body)
    assert headers["Content-Type"] == "application/json"
    assert message in json.loads(answer)["message"]
    assert got == status if status else 400 <= got < 600
    assert raw.json("GET", "/containers/json?all=1") == before


def test_a_start_takes_neither_a_body_nor_a_checkpoint(raw: Raw, sleeper: Any) -> None:
    assert raw.ask("POST", f"/containers/{sleeper.id}/start", {"Binds": ["/x:/y"]})[0] == 400
    assert raw.ask("POST", f"/containers/{sleeper.id}/start?checkpoint=x")[0] == 501
    assert raw.ask("POST", f"/containers/{sleeper.id}/start", {})[0] == 304


def test_maps_are_sorted_by_name_as_go_writes_them(raw: Raw) -> None:
    body = {
        "Image": "busybox",
        "Cmd": ["true"],
        "Labels": {"z": "1", "b": "2", "a": "3"},
        "ExposedPorts": {"9/tcp": {}, "10/tcp": {}},
        "HostConfig": {"PortBindings": {"9/tcp": [{"HostPort": "9"}], "10/tcp": [{"HostPort": "10"}]}},
    }
    since = time.time()
    made = raw.json("POST", "/containers/create", body)["Id"]
    try:
        shown = raw.json("GET", f"/containers/{made}/json")
        assert list(shown["Config"]["Labels"]) == ["a", "b", "z"]
        assert list(shown["Config"]["ExposedPorts"]) == list(shown["HostConfig"]["PortBindings"]) == ["10/tcp", "9/tcp"]
        event = raw.json("GET", f"/events?since={since}&until={time.time()}&filters=" + quote(json.dumps({"container": [made]})))
        assert list(event["Actor"]["Attributes"]) == ["a", "b", "image", "name", "z"]
    finally:
        raw.ask("DELETE", f"/containers/{made}")


def test_a_container_cannot_be_given_the_name_that_it_has(raw: Raw, sleeper: Any) -> None:
    status, _, answer = raw.ask("POST", f"/containers/{sleeper.id}/rename?name={sleeper.name}")
    assert status == 400 and b"the same name as its current name" in answer


@pytest.mark.parametrize("binary", [*DOCKERS, "tare"])
def test_details_of_a_log_have_their_place(engine: Daemon, sleeper: Any, binary: str) -> None:
    command = [binary if "/" in binary else str(BIN / binary), "logs"]
    assert engine.run([*command, "--details", sleeper.id], check=True, input=None, timeout=60).stdout == " ready\n"
    stamped = engine.run([*command, "--details", "-t", sleeper.id], check=True, input=None, timeout=60).stdout
    assert stamped.endswith("Z  ready\n")


def test_ps_s_complaint_is_one_line(raw: Raw, sleeper: Any) -> None:
    status, _, answer = raw.ask("GET", f"/containers/{sleeper.id}/top?ps_args=words")
    assert status == 400 and "\n" not in json.loads(answer)["message"]


def test_an_import_from_a_url(engine: Daemon, raw: Raw, busybox_tar: Path) -> None:
    ready = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        data = busybox_tar.read_bytes()

        def serve() -> None:
            ready.set()
            peer, _ = listener.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data)

        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        status, _, answer = raw.ask("POST", f"/images/create?fromSrc=http://127.0.0.1:{port}/x.tar&repo=from-url&tag=1")
        thread.join(10)
    assert status == 200
    assert json.loads(answer)["status"].startswith("sha256:")
    assert raw.ask("DELETE", "/images/from-url:1")[0] == 200
    status, _, answer = raw.ask("POST", f"/images/create?fromSrc=http://127.0.0.1:{port}/gone.tar&repo=x")
    assert status == 400 and "cannot download" in json.loads(answer)["message"]


def test_a_broken_archive_is_told_on_the_stream_and_leaves_nothing(engine: Daemon, raw: Raw) -> None:
    before = raw.json("GET", "/images/json")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("manifest.json"))
    for body in (b"not a tar", buffer.getvalue(), b""):
        raw.request("POST", "/images/load", body, {"Content-Type": "application/x-tar"})
        answer = raw.getresponse().read()
        assert b'"error"' in answer or b'"message"' in answer, answer
    assert raw.json("GET", "/images/json") == before
    assert not list((engine.data_root / "tmp").iterdir())


def test_curl(engine: Daemon) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl")
    command = ["curl", "-sS", "--fail-with-body", "--unix-socket", str(engine.socket)]
    listed = subprocess.run([*command, "http://localhost/v1.41/images/json"], capture_output=True, check=True, timeout=30)
    assert json.loads(listed.stdout)
    made = subprocess.run(
        [*command, "-X", "POST", "-H", "Content-Type: application/json", "-d", '{"Image":"busybox","Cmd":["true"]}',
         "http://localhost/v1.41/containers/create?name=by-curl"],
        capture_output=True, check=True, timeout=30,
    )  # fmt: skip
    assert len(json.loads(made.stdout)["Id"]) == 64
    subprocess.run([*command, "-X", "DELETE", "http://localhost/v1.41/containers/by-curl"], check=True, timeout=30)


def test_plugins_and_configuration_lie_beside(raw: Raw, engine: Daemon) -> None:
    plugins = raw.json("GET", "/tare/v1/plugins")
    drivers = {(driver["Kind"], driver["Name"]) for plugin in plugins for driver in plugin["Drivers"]}
    assert {("storage", "overlay2"), ("storage", "vfs"), ("network", "bridge"), ("runtime", "ns")} <= drivers
    assert raw.json("GET", f"/tare/v1/plugins/{plugins[0]['Name']}") == plugins[0]
    assert raw.ask("GET", "/tare/v1/plugins/nothing")[0] == 404
    config = raw.json("GET", "/tare/v1/config")
    assert config["data-root"] == {"Value": str(engine.data_root), "Origin": "flag --data-root"}
    assert raw.json("GET", "/plugins") == []
    assert isinstance(raw.json("GET", "/tare/v1/network/explain"), dict)
