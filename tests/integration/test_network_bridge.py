"""The bridge as its users meet it: real containers, both clients, the forwarder."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable

import pytest

from tests.integration.conftest import Daemon, wait_for

PAGE = "echo hello > /index.html; exec httpd -f -p 80 -h /"


def get(address: str, port: int) -> str:
    try:
        with socket.create_connection((address, port), 5) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = b""
            while chunk := client.recv(4096):
                answer += chunk
            return answer.decode().rpartition("\r\n\r\n")[2].strip()
    except OSError as error:
        return type(error).__name__


@pytest.fixture
def name(engine: Daemon, request: pytest.FixtureRequest):
    chosen = f"net-{abs(hash(request.node.nodeid)) % 10**8}"
    yield chosen
    engine.tare("rm", "-f", chosen, check=False)


def test_a_container_has_an_address_and_a_way_out(engine: Daemon) -> None:
    shown = engine.tare(
        "run",
        "--rm",
        "busybox",
        "sh",
        "-c",
        "ip addr show eth0; ip route; ping -c 1 -W 2 $(ip route | awk '/default/ {print $3}')",
    )
    assert "inet 1" in shown.stdout and "default via" in shown.stdout and "1 packets received" in shown.stdout


def test_localhost_is_127_0_0_1_and_1(engine: Daemon, name: str) -> None:
    engine.tare("run", "-d", "--name", name, "-p", "18080:80", "busybox", "sh", "-c", PAGE)
    wait_for(lambda: get("127.0.0.1", 18080) == "hello", "the server")
    assert get("::1", 18080) == "hello"
    assert engine.tare("port", name).stdout.splitlines() == ["80/tcp -> 0.0.0.0:18080", "80/tcp -> [::]:18080"]


def test_a_free_port_is_named_and_kept(engine: Daemon, name: str) -> None:
    engine.tare("run", "-d", "--name", name, "-p", "80", "busybox", "sh", "-c", PAGE)
    before = engine.tare("port", name, "80").stdout
    port = int(before.splitlines()[0].rpartition(":")[2])
    wait_for(lambda: get("127.0.0.1", port) == "hello", "the server")
    engine.tare("restart", "-t", "0", name)
    assert engine.tare("port", name, "80").stdout == before


def test_a_busy_port_starts_nothing(engine: Daemon, name: str) -> None:
    with socket.create_server(("0.0.0.0", 18081)):
        failed = engine.tare("run", "--rm", "-p", "18081:80", "busybox", "true", check=False)
    assert failed.returncode == 125
    assert "address already in use" in failed.stderr
    engine.tare("run", "-d", "--name", name, "-p", "18081:80", "busybox", "sleep", "100")
    failed = engine.docker("run", "--rm", "-p", "18081:80", "busybox", "true", check=False)
    assert failed.returncode == 125
    assert "Bind for 0.0.0.0:18081 failed: port is already allocated" in failed.stderr


def test_a_port_is_free_as_soon_as_its_container_is_gone(engine: Daemon) -> None:
    for _ in range(5):
        engine.tare("run", "--rm", "-p", "18082:80", "busybox", "true")
    with socket.create_server(("0.0.0.0", 18082)):
        pass


def test_many_ports(engine: Daemon, name: str) -> None:
    engine.tare(
        "run",
        "-d",
        "--name",
        name,
        "-p",
        "127.0.0.1:20000-20999:20000-20999",
        "busybox",
        "sh",
        "-c",
        "exec httpd -f -p 20777 -h /etc",
    )
    wait_for(lambda: "404" in get("127.0.0.1", 20777), "the server")
    assert len(engine.tare("port", name).stdout.splitlines()) == 1000


def test_ports_outlive_the_daemon(daemon: Daemon) -> None:
    daemon.tare("run", "-d", "--name", "web", "-p", "18083:80", "busybox", "sh", "-c", PAGE)
    wait_for(lambda: get("127.0.0.1", 18083) == "hello", "the server")
    daemon.kill()
    assert get("127.0.0.1", 18083) == get("::1", 18083) == "hello"
    daemon.start()
    assert get("127.0.0.1", 18083) == get("::1", 18083) == "hello"
    failed = daemon.tare("run", "--rm", "-p", "18083:80", "busybox", "true", check=False)
    assert "port is already allocated" in failed.stderr
    daemon.tare("rm", "-f", "web")
    assert get("127.0.0.1", 18083) == "ConnectionRefusedError"


def test_a_shared_namespace_shares_the_address(engine: Daemon, name: str) -> None:
    engine.tare("run", "-d", "--name", name, "busybox", "sh", "-c", PAGE)
    address = json.loads(engine.tare("inspect", name).stdout)[0]["NetworkSettings"]["IPAddress"]
    wait_for(lambda: get(address, 80) == "hello", "the server")
    shown = engine.tare("run", "--rm", "--network", f"container:{name}", "busybox", "ip", "addr", "show", "eth0")
    assert f"inet {address}/" in shown.stdout


def test_failed_starts_and_many_runs_leave_no_link_behind(engine: Daemon) -> None:
    def links() -> int:
        return subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout.count("veth") + len(
            [line for line in open("/proc/net/dev") if line.strip().startswith("tv")]
        )

    before = links()
    for _ in range(5):
        engine.tare("run", "--rm", "busybox", "true")
        assert engine.tare("run", "--rm", "busybox", "no-such-command", check=False).returncode == 127
    wait_for(lambda: links() <= before, "the kernel to take the links away")


def test_run_warns_of_what_is_in_the_way_and_names_the_cure(engine: Daemon) -> None:
    def run(client: Callable[..., subprocess.CompletedProcess[str]]) -> str:
        return client("run", "--rm", "busybox", "true").stderr

    engine.tare("run", "--rm", "busybox", "true")
    drop = "table inet wall { chain forward { type filter hook forward priority 0; policy drop; }; }"
    subprocess.run(["nft", "-f", "-"], input=drop, text=True, check=True)
    try:
        wait_for(lambda: "chain forward of table inet wall drops" in run(engine.tare), "the warning")
        shown = run(engine.tare)
        assert shown == run(engine.docker)
        assert shown.startswith("WARNING: containers cannot reach the outside") and "nft insert rule inet wall forward" in shown
        assert engine.tare("run", "--rm", "--network", "none", "busybox", "true").stderr == ""
        assert engine.tare("run", "--rm", "--network", "host", "busybox", "true").stderr == ""
        assert shown.removeprefix("WARNING: ").strip() in engine.tare("info").stdout
    finally:
        subprocess.run(["nft", "delete", "table", "inet", "wall"], check=True)
    wait_for(lambda: run(engine.tare) == "", "the warning to end")
