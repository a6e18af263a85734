"""Packets on a real bridge: between containers, to the outside, and to published ports from everywhere (NW-11 … NW-18)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tare.model.network import Network, PortRequest
from tests.unit.network.conftest import Host, Namespace, ask


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_containers_reach_each_other(host: Host, protocol: str) -> None:
    one, other = host.container(), host.container()
    host.serve(one, 80, protocol)
    host.serve(other, 80, protocol)
    assert ask(one.address, 80, protocol, other) == other.address
    assert ask(other.address, 80, protocol, one) == one.address


def test_containers_reach_the_outside_with_the_address_of_the_host(host: Host, outside: Namespace) -> None:
    host.serve(outside, 80)
    assert ask("198.51.100.2", 80, source=host.container()) == "198.51.100.1"


def test_an_internal_network_has_no_way_out(new_host: Callable[..., Host], outside: Namespace) -> None:
    host = new_host(network=Network(id="cd" * 32, name="inner", driver="bridge", created="", internal=True))
    host.serve(outside, 80)
    one, other = host.container(), host.container()
    assert one.run("ip", "route", "show", "default") == ""
    one.run("ip", "route", "add", "default", "via", host.network.gateways[0])
    assert ask("198.51.100.2", 80, source=one) == "TimeoutError"
    host.serve(other, 80)
    assert ask(other.address, 80, source=one) == one.address


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_published_port_is_reached_from_everywhere(host: Host, outside: Namespace, protocol: str) -> None:
    server, client = host.container(PortRequest(80, protocol, "", 8080)), host.container()
    host.serve(server, 80, protocol)
    gateway = host.network.gateways[0]
    assert ask("198.51.100.1", 8080, protocol, outside) == "198.51.100.2", "the client's address is kept"
    assert ask("127.0.0.1", 8080, protocol) == gateway
    assert ask("198.51.100.1", 8080, protocol) == "198.51.100.1"
    assert ask(gateway, 8080, protocol) == gateway
    assert ask("198.51.100.1", 8080, protocol, client) == gateway
    assert ask("198.51.100.1", 8080, protocol, server) == gateway, "its own published port"


def test_a_port_published_on_one_address_is_on_no_other(host: Host, outside: Namespace) -> None:
    one = host.container(PortRequest(80, "tcp", "198.51.100.1", 8080))
    other = host.container(PortRequest(80, "tcp", "127.0.0.1", 8080))
    host.serve(one, 80)
    host.serve(other, 80)
    assert ask("198.51.100.1", 8080, source=outside) == "198.51.100.2"
    assert ask("127.0.0.1", 8080) == host.network.gateways[0]
    assert ask(host.network.gateways[0], 8080) == "ConnectionRefusedError"


def test_a_port_of_localhost_is_not_for_others(host: Host, outside: Namespace) -> None:
    server = host.container(PortRequest(80, "tcp", "127.0.0.1", 8080))
    host.serve(server, 80)
    assert ask("198.51.100.1", 8080, source=outside) == "ConnectionRefusedError"
    outside.run("ip", "route", "add", f"{server.address}/32", "via", "198.51.100.1")
    assert ask(server.address, 80, source=outside) == "TimeoutError", "not by the container's own address either"


def test_a_neighbour_who_sends_to_127_0_0_1_by_way_of_the_host_reaches_nothing(host: Host, outside: Namespace) -> None:
    server = host.container(PortRequest(80, "tcp", "127.0.0.1", 8080), PortRequest(81, "tcp", "", 8081))
    host.serve(server, 80)
    host.serve(server, 81)
    outside.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet")
    for command in (
        "link set lo down",
        "route flush table local",
        "route add local 198.51.100.2 dev wire table local",
        "route add 127.0.0.1/32 via 198.51.100.1 dev wire src 198.51.100.2",
    ):
        outside.run("ip", *command.split())
    assert ask("198.51.100.1", 8081, source=outside) == "198.51.100.2", "what is for him he reaches"
    assert ask("127.0.0.1", 8080, source=outside) == "TimeoutError"
    assert ask("127.0.0.1", 8081, source=outside) == "TimeoutError"
    assert ask("127.0.0.1", 8080) == ask("127.0.0.1", 8081) == host.network.gateways[0]


@pytest.fixture
def gullible(outside: Namespace) -> Iterator[None]:
    """The kernel's own doubts about addresses are switched off."""
    switches = {Path("/proc/sys/net/ipv4/conf", name): value for name, value in (
        ("all/route_localnet", "1"), ("all/accept_local", "1"), ("all/rp_filter", "0"), ("default/rp_filter", "0"),
        ("wire0/rp_filter", "0"),
    )}  # fmt: skip
    before = {path: path.read_text() for path in switches}
    for path, value in switches.items():
        path.write_text(value)
    yield
    for path, value in before.items():
        path.write_text(value)


HEAR = (
    "import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', int(sys.argv[1])))\n"
    "print(flush=True)\n"
    "while True: print(s.recv(9).decode(), flush=True)"
)
LIE_AND_TELL_THE_TRUTH = """
import socket, struct, sys
address, port = sys.argv[1], int(sys.argv[2])
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
datagram = struct.pack("!HHHH", 5000, port, 11, 0) + b"lie"
ends = socket.inet_aton("127.0.0.1") + socket.inet_aton(address)
raw.sendto(struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(datagram), 0, 0, 64, socket.IPPROTO_UDP, 0) + ends + datagram, (address, 0))
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"truth", (address, port))
"""


def first_heard(listener: list[str], port: int, address: str, sender: Namespace) -> str:
    """What comes first to the port: a datagram that claims to be from 127.0.0.1, or the honest one after it."""
    hearing = subprocess.Popen([*listener, sys.executable, "-c", HEAR, str(port)], stdout=subprocess.PIPE, text=True)
    assert hearing.stdout is not None and hearing.stdout.readline() == "\n"
    try:
        sender.python(LIE_AND_TELL_THE_TRUTH, address, str(port))
        return hearing.stdout.readline().strip()
    finally:
        hearing.kill()
        hearing.wait()


def test_nobody_but_the_host_comes_from_127_0_0_1(new_host: Callable[..., Host], outside: Namespace, gullible: None) -> None:
    host = new_host({"allow-direct-routing": True})
    server, liar = host.container(PortRequest(53, "udp", "", 53)), host.container()
    inside = ["nsenter", f"--net=/proc/{server.process.pid}/ns/net"]
    outside.run("ip", "route", "add", f"{server.address}/32", "via", "198.51.100.1")
    assert first_heard(inside, 53, server.address, outside) == "truth", "by the container's own address"
    assert first_heard(inside, 53, "198.51.100.1", outside) == "truth", "by its published port"
    assert first_heard(inside, 53, "198.51.100.1", liar) == "truth", "nor by that of another container"
    assert first_heard([], 5353, host.network.gateways[0], liar) == "truth", "nor does the host itself believe a container"


def test_direct_routing_can_be_allowed(new_host: Callable[..., Host], outside: Namespace) -> None:
    host = new_host({"allow-direct-routing": True})
    server = host.container()
    host.serve(server, 80)
    outside.run("ip", "route", "add", f"{server.address}/32", "via", "198.51.100.1")
    assert ask(server.address, 80, source=outside) == "198.51.100.2"


def test_a_container_cannot_reach_localhost_of_the_host(host: Host) -> None:
    container = host.container()
    server = subprocess.Popen(
        ["python3", "-c", "import socket as s; x = s.create_server(('127.0.0.1', 8089)); print(flush=True); x.accept()"],
        stdout=subprocess.PIPE,
    )
    assert server.stdout is not None and server.stdout.readline() == b"\n"
    try:
        for command in ("addr del 127.0.0.1/8 dev lo", f"route add 127.0.0.1 via {host.network.gateways[0]}"):
            container.run("ip", *command.split())
        container.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet")
        assert ask("127.0.0.1", 8089, source=container) in ("TimeoutError", "OSError")
    finally:
        server.kill()
        server.wait()


def test_networks_do_not_reach_each_other_but_by_published_ports(host: Host) -> None:
    other = Network(id="ef" * 32, name="other", driver="bridge", created="")
    first = host.container(PortRequest(80, "tcp", "", 8080))
    host.serve(first, 80)
    first_gateway = host.network.gateways[0]
    host.network = host.driver.create(other)
    stranger = host.container()
    assert ask(first.address, 80, source=stranger) == "TimeoutError"
    assert ask(host.network.gateways[0], 8080, source=stranger) == first_gateway


def test_without_icc_only_published_ports_connect(new_host: Callable[..., Host]) -> None:
    host = new_host({"icc": False})
    one, other = host.container(), host.container()
    host.serve(one, 80)
    assert ask(one.address, 80, source=other) in ("TimeoutError", "OSError")
    assert ask(one.address, 80) == host.network.gateways[0], "the host is no other container"
    # Nor by asking the bridge to route.
    other.run("ip", "route", "add", f"{one.address}/32", "via", host.network.gateways[0])
    assert ask(one.address, 80, source=other) in ("TimeoutError", "OSError")


def test_datagrams_that_came_too_early_find_their_way(host: Host, outside: Namespace) -> None:
    """A sender that never stops keeps its flow in the kernel's table alive (NW-46)."""
    early = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 5000)); "
        "s.sendto(b'?', ('198.51.100.1', 5353))"
    )
    late = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 5000)); s.settimeout(2); "
        "s.sendto(b'?', ('198.51.100.1', 5353)); print(s.recv(100).decode())"
    )
    outside.python(early)
    for _ in range(2):
        server = host.container(PortRequest(53, "udp", "", 5353))
        host.serve(server, 53, "udp")
        assert outside.python(late).strip() == "198.51.100.2"
        host.release(server.endpoint)


def test_a_port_leads_nowhere_after_its_release(host: Host, outside: Namespace) -> None:
    server = host.container(PortRequest(80, "tcp", "", 8080))
    host.serve(server, 80)
    assert ask("198.51.100.1", 8080, source=outside) == "198.51.100.2"
    host.release(server.endpoint)
    assert ask("198.51.100.1", 8080, source=outside) == "ConnectionRefusedError"
    assert ask("127.0.0.1", 8080) == "ConnectionRefusedError"
