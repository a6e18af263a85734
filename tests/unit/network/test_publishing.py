"""Taking ports of the host (NW-14, NW-15, NW-21, NW-22)."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

from tare.errors import InUse, Invalid, Unsupported
from tare.linux.nft import INET, Elements
from tare.model.network import Endpoint, PortBinding, PortRequest
from tests.integration.conftest import wait_for
from tests.unit.network.conftest import INSTANCE, Host, ask, rules

TABLE = f"tare_{INSTANCE}"


def elements(name: str = "everywhere4") -> int:
    kernel = Elements(INET, TABLE)
    try:
        return len(kernel.dump(name))
    finally:
        kernel.close()


def publish(host: Host, *ports: PortRequest, wanted: tuple[PortBinding, ...] = ()) -> tuple[Endpoint, tuple[PortBinding, ...]]:
    endpoint = host.endpoint(*ports)
    attachment = host.driver.reserve(endpoint)
    return endpoint, host.publish(endpoint, attachment, wanted).bindings


def test_no_address_means_every_address(host: Host) -> None:
    _endpoint, bindings = publish(host, PortRequest(80, "tcp", "", 8080))
    assert bindings == (PortBinding(80, "tcp", "0.0.0.0", 8080), PortBinding(80, "tcp", "::", 8080))


def test_an_address_means_that_address(host: Host) -> None:
    _endpoint, bindings = publish(host, PortRequest(80, "tcp", "127.0.0.1", 8080), PortRequest(80, "udp", "::1", 8080))
    assert bindings == (PortBinding(80, "tcp", "127.0.0.1", 8080), PortBinding(80, "udp", "::1", 8080))


def test_the_configuration_names_the_address_of_no_address(new_host: Callable[..., Host]) -> None:
    _endpoint, bindings = publish(new_host({"publish-ip": "127.0.0.1"}), PortRequest(80, "tcp", "", 8080))
    assert bindings == (PortBinding(80, "tcp", "127.0.0.1", 8080),)


def test_a_port_of_another_container_is_refused_in_dockers_words(host: Host) -> None:
    first, _bindings = publish(host, PortRequest(80, "tcp", "", 8080))
    for address in ("", "127.0.0.1", "0.0.0.0"):
        with pytest.raises(InUse, match="failed: port is already allocated"):
            publish(host, PortRequest(81, "tcp", "", 8089), PortRequest(80, "tcp", address, 8080))
    publish(host, PortRequest(80, "udp", "", 8080), PortRequest(81, "tcp", "", 8089))
    host.release(first.id)
    publish(host, PortRequest(80, "tcp", "", 8080))


@pytest.mark.parametrize(("protocol", "kind"), [("tcp", socket.SOCK_STREAM), ("udp", socket.SOCK_DGRAM)])
@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "::"])
def test_a_port_of_another_program_is_refused(host: Host, protocol: str, kind: socket.SocketKind, address: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, protocol == "tcp")
        if ":" in address:
            other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        other.bind((address, 8080))
        if protocol == "tcp":
            other.listen()
        before = rules(), len(os.listdir("/proc/self/fd"))
        with pytest.raises(InUse, match=r"failed to bind host port .*: address already in use"):
            publish(host, PortRequest(81, "tcp", "", 8089), PortRequest(80, protocol, "", 8080))
        assert (rules(), len(os.listdir("/proc/self/fd"))) == before, "nothing is left half made"
    publish(host, PortRequest(80, protocol, "", 8080))


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1"])
def test_no_other_program_gets_the_port(host: Host, address: str) -> None:
    publish(host, PortRequest(80, "tcp", "127.0.0.1", 8080))
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="Address already in use"):
            other.bind((address, 8080))
            other.listen()


def test_connections_in_time_wait_keep_nobody_from_a_port(host: Host) -> None:
    with socket.create_server(("127.0.0.1", 8080)) as server, socket.create_connection(("127.0.0.1", 8080)) as client:
        accepted, _who = server.accept()
        accepted.close()  # the side that closes first is the one that waits
        assert client.recv(1) == b""
    assert "8080" in subprocess.run(["ss", "-Htan", "state", "time-wait"], capture_output=True, text=True, check=True).stdout
    publish(host, PortRequest(80, "tcp", "", 8080))


def test_ranges(host: Host) -> None:
    with socket.create_server(("0.0.0.0", 8080)):
        _endpoint, bindings = publish(host, PortRequest(80, "tcp", "0.0.0.0", 8080, 8082))
        assert [binding.host_port for binding in bindings] == [8081]
        publish(host, PortRequest(80, "tcp", "0.0.0.0", 8080, 8082))
        with pytest.raises(InUse, match="all ports in the range 8080-8082 are allocated"):
            publish(host, PortRequest(80, "tcp", "0.0.0.0", 8080, 8082))


def test_free_ports_differ_and_are_had_again(host: Host) -> None:
    first, bindings = publish(host, PortRequest(80), PortRequest(81))
    ports = {binding.host_port for binding in bindings}
    assert len(ports) == 2 and len(bindings) == 4
    assert min(ports) > 1024
    host.release(first.id)
    _second, again = publish(host, PortRequest(80), PortRequest(81), wanted=bindings)
    assert again == bindings


def test_ten_thousand_ports_are_ten_thousand_elements_and_no_rule(host: Host) -> None:
    publish(host, PortRequest(80, "tcp", "0.0.0.0", 8080))
    kernel = Elements(INET, TABLE)
    before = kernel.rules()
    endpoint, bindings = publish(host, *(PortRequest(port, "tcp", "0.0.0.0", port) for port in range(20000, 30000)))
    assert len(bindings) == 10_000 and elements() == 10_001
    assert kernel.rules() == before
    host.release(endpoint.id)
    assert elements() == 1
    kernel.close()


def test_rules_come_back_while_thousands_of_ports_are_open(host: Host) -> None:
    """The library waits by select(2), which knows 1024 descriptors."""
    publish(host, *(PortRequest(port, "tcp", "0.0.0.0", port) for port in range(20000, 22000)))
    subprocess.run(["nft", "delete", "table", "inet", TABLE], check=True)
    wait_for(lambda: TABLE in rules() and elements() == 2000, "the rules")


def test_ipv6_clients_of_an_ipv4_container_are_handed_on(host: Host) -> None:
    endpoint = host.endpoint(PortRequest(80, "tcp", "", 8080))
    attachment = host.driver.reserve(endpoint)
    published = host.publish(endpoint, attachment)
    [(fd, protocol, address, port)] = published.forwards
    assert (protocol, address, port) == ("tcp", attachment.address, 80)
    with socket.socket(fileno=os.dup(fd)) as listener:
        assert listener.getsockname()[:2] == ("::", 8080)
        with socket.create_connection(("::1", 8080)):
            listener.accept()[0].close()


def test_without_the_forwarder_ipv6_is_left_out_or_refused(new_host: Callable[..., Host]) -> None:
    host = new_host({"userland-proxy": False})
    _endpoint, bindings = publish(host, PortRequest(80, "tcp", "", 8080))
    assert bindings == (PortBinding(80, "tcp", "0.0.0.0", 8080),)
    with pytest.raises(Unsupported, match="no rule can carry it"):
        publish(host, PortRequest(80, "tcp", "::1", 8081))


def test_without_rules_everything_is_handed_on(new_host: Callable[..., Host]) -> None:
    before = rules()
    host = new_host({"firewall.ipv4": False, "firewall.ipv6": False})
    endpoint = host.endpoint(PortRequest(80, "tcp", "", 8080))
    published = host.publish(endpoint, host.driver.reserve(endpoint))
    assert len(published.forwards) == 2 and not published.sockets
    assert rules() == before


def test_an_address_that_the_host_has_not(host: Host) -> None:
    with pytest.raises(Invalid, match="cannot assign requested address"):
        publish(host, PortRequest(80, "tcp", "203.0.113.9", 8080))


def test_a_port_that_is_being_let_go_is_waited_for(host: Host) -> None:
    """The sockets belong to another process, which closes them a moment after the driver has been told."""
    endpoint = host.endpoint(PortRequest(80, "tcp", "0.0.0.0", 8080))
    published = host.driver.publish(endpoint, host.driver.reserve(endpoint))
    host.driver.release(endpoint.id)
    code = "import time; time.sleep(0.2)"  # holds a copy for as long as it lives
    holder = subprocess.Popen([sys.executable, "-c", code], pass_fds=published.sockets)
    for fd in published.sockets:
        os.close(fd)
    _endpoint, bindings = publish(host, PortRequest(80, "tcp", "0.0.0.0", 8080))
    assert bindings[0].host_port == 8080
    holder.wait()


def test_every_address_of_a_port_that_is_being_let_go_is_waited_for(host: Host) -> None:
    """The forwarder, which holds [::], may be slower than the supervisor, which holds 0.0.0.0."""
    endpoint = host.endpoint(PortRequest(80, "tcp", "", 8080))
    published = host.driver.publish(endpoint, host.driver.reserve(endpoint))
    host.driver.release(endpoint.id)
    slow = [forward[0] for forward in published.forwards]
    holder = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.2)"], pass_fds=slow)
    for fd in (*published.sockets, *slow):
        os.close(fd)
    _endpoint, bindings = publish(host, PortRequest(80, "tcp", "", 8080))
    assert [binding.host_ip for binding in bindings] == ["0.0.0.0", "::"]
    holder.wait()


def test_many_containers_at_once(host: Host) -> None:
    servers = [host.container(PortRequest(80, "tcp", "", 8100 + n)) for n in range(4)]
    for server in servers:
        host.serve(server, 80)
    for n in range(4):
        assert ask("127.0.0.1", 8100 + n) == host.network.gateways[0]
