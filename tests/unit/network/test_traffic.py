"""Packets on a real bridge: between containers, to the outside, and to published ports from everywhere (NW-11 … NW-18)."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

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
