"""Two engines on one host, each with its rules: neither opens what the other keeps closed, nor leaves anything with it
(NW-13, NW-14, NW-19)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.conftest import Daemon, docker_binary, new_daemon, wait_for
from tests.unit.network.conftest import Namespace, another_network, outside

__all__ = ["outside"]

SERVE = "echo {} > /index.html; httpd -p 81 -h /; exec httpd -f -p 80 -h /"
HOST, OUTSIDE = "198.51.100.1", "198.51.100.2"
GET = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | busybox nc -w 2 {} {}"

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@dataclass
class Dockerd:
    """A real one, on roots of its own, with its own containerd."""

    directory: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        return f"unix://{self.directory}/docker.sock"

    def start(self) -> None:
        self.directory.mkdir(exist_ok=True)
        command = [
            "dockerd", "--data-root", str(self.directory / "data"), "--exec-root", str(self.directory / "run"),
            "--pidfile", str(self.directory / "pid"), "-H", self.host, "--storage-driver", "vfs",
        ]  # fmt: skip
        with open(self.directory / "log", "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(lambda: self.over() or self.docker("version", check=False).returncode == 0, "dockerd", 60)
        if self.over():
            last = (self.directory / "log").read_text(errors="replace").splitlines()[-1:]
            pytest.skip(f"dockerd does not work on this host: {last}")

    def over(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def docker(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [docker_binary(), "-H", self.host, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done

    def stop(self) -> None:
        if not self.over():
            for id in self.docker("ps", "-aq", check=False).stdout.split():
                self.docker("rm", "-f", id, check=False)
            assert self.process is not None
            self.process.terminate()
            self.process.wait(60)
        shutil.rmtree(self.directory, ignore_errors=True)


@pytest.fixture
def separate_network(own_network: None) -> Iterator[None]:
    """A network namespace for one test: a dockerd leaves its rules behind."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with another_network():
        yield


@pytest.fixture
def dockerd(separate_network: None, suite_directory: Path) -> Iterator[Dockerd]:
    """Not started yet."""
    if shutil.which("dockerd") is None:
        pytest.skip("dockerd is not installed")
    made = Dockerd(suite_directory / "dockerd")
    yield made
    made.stop()


@pytest.fixture
def tared(separate_network: None, suite_directory: Path) -> Iterator[Daemon]:
    """Not started yet."""
    made = new_daemon(suite_directory, "beside-docker")
    yield made
    made.stop()
    shutil.rmtree(made.directory)


def dockers_rules() -> str:
    """All of dockerd's rules, without their counters."""
    shown = [subprocess.run(["iptables", "-t", table, "-S"], capture_output=True, text=True, check=True).stdout
             for table in ("filter", "nat")]  # fmt: skip
    return "".join(shown)


def serve(client: Command, name: str, *options: str) -> str:
    """Start a container that says its name on ports 80 and 81; its address."""
    client("run", "-d", "--name", name, *options, "busybox", "sh", "-c", SERVE.format(name))
    form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return client("inspect", "-f", form, name).stdout.strip()


def fetched(address: str, port: int, where: Namespace | tuple[Command, str] | None = None) -> str:
    """What a server says to the host, to a namespace, or to a container; "" when it cannot be reached."""
    command = ("sh", "-c", GET.format(address, port))
    if isinstance(where, Namespace):
        answer = where.run(*command, check=False)
    elif where is not None:
        client, name = where
        answer = client("exec", name, *command, check=False).stdout
    else:
        answer = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return answer.rpartition("\n\n")[2].strip()


@pytest.fixture
def listener(separate_network: None, outside: Namespace, tmp_path: Path) -> Iterator[Namespace]:
    """The machine outside says so on its port 80."""
    (tmp_path / "index.html").write_text("outside")
    into = ["nsenter", f"--net=/proc/{outside.process.pid}/ns/net", "busybox", "httpd", "-f", "-p", "80", "-h", str(tmp_path)]
    server = subprocess.Popen(into)
    try:
        wait_for(lambda: fetched(OUTSIDE, 80) == "outside", "the server outside")
        yield outside
    finally:
        server.kill()
        server.wait()


@pytest.mark.parametrize("first", ["dockerd", "tared"])
def test_each_engine_keeps_its_own_closed(
    listener: Namespace, dockerd: Dockerd, tared: Daemon, busybox_tar: Path, first: str
) -> None:
    rules = ""
    if first == "dockerd":
        dockerd.start()
        rules = dockers_rules()
    tared.start()
    tare, docker = tared.tare, dockerd.docker
    tare("import", str(busybox_tar), "busybox")
    in_tare = serve(tare, "of-tare", "-p", "8080:80")
    assert fetched(HOST, 8080, listener) == "of-tare"
    if first == "tared":
        dockerd.start()
    docker("import", str(busybox_tar), "busybox")
    in_docker = serve(docker, "of-docker", "-p", "8090:80")
    docker("network", "create", "apart")
    apart = serve(docker, "apart", "--network", "apart", "-p", "8091:80")

    mine, its = (tare, "of-tare"), (docker, "of-docker")
    wait_for(lambda: fetched(HOST, 8080, listener) == "of-tare", "passage through the rules of dockerd", 30)
    wait_for(lambda: fetched(apart, 81, mine) == "", "the rules that keep off dockerd's new network", 30)
    for port, name in ((8080, "of-tare"), (8090, "of-docker"), (8091, "apart")):
        for what, where in (("outside", listener), ("the host", None), ("tare", mine), ("docker", its)):
            assert fetched(HOST, port, where) == name, f"a published port of {name} from {what}"
    for address in (in_docker, apart):
        assert fetched(address, 81) == ("of-docker" if address == in_docker else "apart"), "it does listen"
        assert fetched(address, 81, mine) == "", "an unpublished port of docker's container"
    assert fetched(in_tare, 81) == "of-tare"
    assert fetched(in_tare, 81, its) == fetched(in_tare, 81, (docker, "apart")) == "", "an unpublished port of tare's container"
    for where in (mine, its):
        assert fetched(OUTSIDE, 80, where) == "outside"
    assert tare("run", "--rm", "busybox", "true").stderr == "", "nothing is in the way"

    docker("rm", "-f", "of-docker", "apart")
    docker("network", "rm", "apart")
    assert fetched(HOST, 8080, listener) == "of-tare"
    tare("rm", "-f", "of-tare")
    tared.stop()
    after = dockers_rules()
    assert "tare" not in after and (not rules or after == rules)
