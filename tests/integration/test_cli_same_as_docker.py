"""The same flags make the same wish: both clients' create bodies, as a recorder hears them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import BIN

DOCKER = [path for path in ("/usr/bin/docker", "/usr/local/bin/docker") if os.path.exists(path)] or [shutil.which("docker")]


class Recorder:
    """Hears requests on a socket, answers pings as a daemon of API 1.50 and refuses everything else."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bodies: list[dict[str, Any]] = []
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(path))
        self.server.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            while line := stream.readline():
                length = 0
                while (header := stream.readline()) not in (b"\r\n", b""):
                    if header.lower().startswith(b"content-length:"):
                        length = int(header.split(b":")[1])
                body = stream.read(length)
                if b"/containers/create" in line:
                    self.bodies.append(json.loads(body))
                ping = b"/_ping" in line
                text = b"OK" if ping else b'{"message":"recorded"}'
                status = b"200 OK" if ping else b"400 Bad Request"
                head = b"HTTP/1.1 %b\r\nApi-Version: 1.50\r\nOstype: linux\r\nContent-Type: application/json\r\n" % status
                connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(text) + (b"" if line.startswith(b"HEAD") else text))

    def hear(self, client: str, words: list[str]) -> dict[str, Any]:
        self.bodies.clear()
        environment = {**os.environ, "DOCKER_HOST": f"unix://{self.path}", "TARE_HOST": f"unix://{self.path}", "OURS": "1"}
        done = subprocess.run(
            [client, "create", *words, "busybox", "cmd", "-x"], env=environment, capture_output=True, text=True, timeout=60
        )
        assert self.bodies, done.stderr
        return flat(self.bodies[-1])


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(tmp_path / "s")
    yield made
    made.server.close()


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Leaves by path, without those that say nothing."""
    if isinstance(value, dict) and value:
        found: dict[str, Any] = {}
        for name, member in value.items():
            found.update(flat(member, f"{path}/{name}"))
        return found
    return {path: value}


def said(body: dict[str, Any], bare: dict[str, Any]) -> dict[str, Any]:
    """What a body says beyond the bare one."""
    beyond = {path: value for path, value in body.items() if bare.get(path, MISSING) != value and value not in NOTHING}
    return {path: _ordered(path, value) for path, value in beyond.items()}


def _ordered(path: str, value: Any) -> Any:
    """Docker's client shuffles some lists and spells capabilities out."""
    if path.endswith(("/Binds", "/Env")):
        return sorted(value)
    if path.endswith("/Ulimits"):
        return sorted(value, key=lambda limit: str(limit["Name"]))
    if path.endswith(("/CapAdd", "/CapDrop")):
        return [name.removeprefix("CAP_") for name in value]
    return value


NOTHING = (None, "", [], {}, 0, False)


MISSING = object()

WISHES = [
    "-it --name x --hostname h --domainname d -u 1:2 -w /w --entrypoint /e --stop-signal INT --stop-timeout 9",
    "-e A=1 -e OURS -e NOT_SET -e B= -l a=b --label c -l d=e=f --annotation k=v",
    "-v /a:/b:ro -v name:/c -v /anonymous --tmpfs /t --tmpfs /u:size=1m --mount type=bind,source=/a,target=/m,readonly",
    "--mount type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1777 --mount type=bind,src=/a,dst=/n,bind-propagation=rslave",
    "--mount type=volume,source=v,target=/v,volume-nocopy,volume-driver=local,volume-opt=o=x",
    "--volume-driver local --volumes-from y:ro --volumes-from z",
    "-p 80 -p 8080:81 -p 127.0.0.1:8082:82/udp -p 127.0.0.1::83 -p 9000-9002:90-92 --expose 7 --expose 8-9/udp -P",
    "--network none --dns 1.1.1.1 --dns-search a.b --dns-option ndots:2 --add-host a:1.2.3.4",
    "--network n1 --ip 10.0.0.2 --ip6 fd00::2 --network-alias x --network-alias y --link-local-ip 169.254.0.1",
    "-m 64m --memory-swap -1 --memory-reservation 32m --memory-swappiness 10 --cpus 1.5 -c 512 --cpu-period 1000 --cpu-quota 500",
    "--cpuset-cpus 0-1 --cpuset-mems 0 --pids-limit 9 --blkio-weight 300 --oom-kill-disable --oom-score-adj 5 --shm-size 1m",
    "--ulimit nofile=1:2 --ulimit core=0 --device /dev/null --device /dev/zero:/dev/z:r --device-cgroup-rule 'c 1:3 r'",
    "--device-read-bps /dev/sda:1m --device-write-iops /dev/sda:9 --blkio-weight-device /dev/sda:300",
    "--cap-add NET_ADMIN --cap-drop ALL --privileged --read-only --group-add 5 --security-opt no-new-privileges --init --rm",
    "--security-opt seccomp=unconfined --security-opt systempaths=unconfined --pid host --ipc private --uts host --userns host",
    "--cgroupns private --cgroup-parent /x --runtime ns --sysctl net.core.somaxconn=9 --storage-opt size=1g",
    "--log-driver json-file --log-opt max-size=1m --restart always",
    "--restart on-failure:3",
    "--health-cmd true --health-interval 1s --health-timeout 2m --health-retries 3 --health-start-period 1m30s",
    "--no-healthcheck --link a:b -a stdin -a stdout -i",
]


@pytest.mark.parametrize("client", DOCKER)
@pytest.mark.parametrize("line", WISHES)
def test_the_same_wish(recorder: Recorder, client: str | None, line: str) -> None:
    import shlex

    if client is None:
        pytest.skip("no docker client here")
    words = shlex.split(line)
    if "20.10" in subprocess.run([client, "--version"], capture_output=True, text=True).stdout and "--annotation" in words:
        pytest.skip("flags of a later client")
    theirs = said(recorder.hear(client, words), recorder.hear(client, []))
    tare = str(BIN / "tare")
    ours = said(recorder.hear(tare, words), recorder.hear(tare, []))
    theirs.pop("/HostConfig/NetworkMode", None) if ours.get("/HostConfig/NetworkMode") is None else None
    assert ours == theirs
