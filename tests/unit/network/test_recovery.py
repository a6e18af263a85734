"""What is made is found again, put back when somebody takes it away, and gone when nobody needs it (NW-03 … NW-10, NW-20)."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from pathlib import Path

import pytest

from tare.errors import Conflict, Exhausted, InUse, Unavailable
from tare.linux import devices
from tare.model.network import Attachment, Network, PortRequest
from tests.integration.conftest import wait_for
from tests.unit.network.conftest import INSTANCE, NETWORK, Host, Namespace, ask, new_namespace, rules

DEVICE = f"tare{INSTANCE}"
TABLE = f"tare_{INSTANCE}"
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")

FOREIGN = """
table ip filter {
  chain FORWARD { type filter hook forward priority filter; policy accept
  }
}
table inet another { set s { type ipv4_addr
    elements = { 192.0.2.1 }
  }
}
"""


def nft(text: str) -> None:
    subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True)


def foreign() -> str:
    """The rules of others."""
    listed = [subprocess.run(["nft", "list", "table", *table.split()], capture_output=True, text=True, check=True).stdout
              for table in ("ip filter", "inet another")]  # fmt: skip
    return "".join(listed)


@pytest.fixture
def others(own_network: None):
    nft(FOREIGN)
    yield
    for table in ("ip filter", "inet another"):
        subprocess.run(["nft", "delete", "table", *table.split()], check=False, capture_output=True)


def test_nothing_is_left(new_host: Callable[..., Host], others: None) -> None:
    before = rules(), set(devices.devices())
    host = new_host()
    endpoint = host.endpoint(PortRequest(80, "tcp", "", 8080))
    host.publish(endpoint, host.driver.reserve(endpoint))
    assert rules() != before[0]
    host.release(endpoint.id)
    host.driver.delete(host.network)
    host.driver.delete(host.network)
    host.driver.release(endpoint.id)
    assert (rules(), set(devices.devices())) == before


def test_the_rules_of_others_are_not_touched(host: Host, others: None) -> None:
    before = foreign()
    for _ in range(3):
        server = host.container(PortRequest(80, "tcp", "", 8080))
        host.release(server.endpoint)
    host.restart().reconcile([host.network], [])
    assert foreign() == before


def test_a_wished_address_waits_until_its_last_link_has_left(host: Host) -> None:
    wish = str(ip_network(host.network.subnets[0])[9])
    last = host.container(address=wish)
    host.release(last.endpoint)
    endpoint = host.endpoint(address=wish)
    assert not host.driver.prompt("reserve", endpoint)
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(host.driver.reserve, endpoint)
        last.end()
        assert coming.result(20).address == wish
    assert host.driver.prompt("reserve", host.endpoint(address=wish))
    with pytest.raises(Conflict, match="Address already in use"):
        host.driver.reserve(host.endpoint(address=wish))


def test_a_network_in_use_stays(host: Host) -> None:
    endpoint = host.endpoint()
    host.driver.reserve(endpoint)
    with pytest.raises(InUse, match="has active endpoints"):
        host.driver.delete(host.network)
    assert host.driver.reserve(endpoint) == host.driver.reserve(endpoint)


def test_containers_live_through_a_restart(host: Host, outside: Namespace) -> None:
    endpoint = host.endpoint(PortRequest(80, "tcp", "", 8080))
    attachment = host.driver.reserve(endpoint)
    bindings = host.publish(endpoint, attachment).bindings
    server = host.attach(endpoint, attachment)
    host.serve(server, 80)
    driver = host.restart()
    assert ask("198.51.100.1", 8080, source=outside) == "198.51.100.2", "while the daemon is away"
    assert driver.create(host.network) == host.network
    assert driver.reconcile([host.network], [(endpoint, attachment, bindings)]) == []
    assert ask("198.51.100.1", 8080, source=outside) == "198.51.100.2"
    assert driver.check(endpoint.id) == ""
    assert driver.reserve(endpoint) == attachment
    assert driver.reserve(host.endpoint()).address != attachment.address
    with pytest.raises(InUse, match="port is already allocated"):
        second = host.endpoint(PortRequest(80, "tcp", "", 8080))
        driver.publish(second, driver.reserve(second))


def test_a_restart_puts_back_what_is_missing_and_removes_what_is_not_known(host: Host) -> None:
    endpoint = host.endpoint(PortRequest(80, "tcp", "0.0.0.0", 8080))
    attachment = host.driver.reserve(endpoint)
    bindings = host.publish(endpoint, attachment).bindings
    host.attach(endpoint, attachment)
    stray = host.container(PortRequest(80, "tcp", "0.0.0.0", 8081))
    full = rules()
    driver = host.restart()
    nft(f"delete element inet {TABLE} everywhere4 {{ tcp . 8080 }}")
    lines = driver.reconcile([host.network], [(endpoint, attachment, bindings)])
    assert len(lines) == 2 and "2 rules and elements" in lines[0] and "belongs to no container" in lines[1]
    assert "8081" in full and "8081" not in rules() and "8080" in rules()
    assert "eth0" not in stray.run("ip", "link")


def test_of_whom_only_the_address_is_known_nothing_is_taken(host: Host, outside: Namespace) -> None:
    server = host.container(PortRequest(80, "tcp", "", 8080))
    host.serve(server, 80)
    driver = host.restart()
    known = dataclasses.replace(host.endpoint(), id="f" * 64)
    lost = Attachment(known.id, host.network.name, address=server.address)
    assert driver.reconcile([host.network], [(known, lost, ())]) == []
    assert ask("198.51.100.1", 8080, source=outside) == "198.51.100.2"
    assert "only the addresses" in driver.check(known.id)
    with pytest.raises(Conflict):
        driver.reserve(host.endpoint(address=server.address))
    driver.release(known.id)
    assert "8080" not in rules()
    assert driver.reserve(host.endpoint(address=server.address)).address == server.address


def test_after_a_reboot_everything_is_made_again(host: Host) -> None:
    recorded = host.network
    host.driver.close()
    subprocess.run(["ip", "link", "delete", DEVICE], check=True)
    subprocess.run(["nft", "delete", "table", "inet", TABLE], check=True)
    driver = host.restart()
    assert driver.create(recorded) == recorded
    assert devices.addresses(DEVICE) == {"172.17.0.1/16"}
    host.serve(host.container(PortRequest(80, "tcp", "", 8080)), 80)
    assert ask("127.0.0.1", 8080) == "172.17.0.1"


def test_a_subnet_that_the_host_uses_meanwhile_is_exchanged(new_host: Callable[..., Host], outside: Namespace) -> None:
    subprocess.run(["ip", "route", "add", "172.17.0.0/16", "via", "198.51.100.2"], check=True)
    recorded = dataclasses.replace(NETWORK, subnets=("172.17.0.0/16",), gateways=("172.17.0.1",))
    assert new_host(network=recorded).network.subnets == ("172.18.0.0/16",)


@pytest.mark.parametrize("damage", [f"flush table inet {TABLE}", f"delete table inet {TABLE}", "flush ruleset"])
def test_rules_that_others_take_away_come_back(host: Host, outside: Namespace, damage: str) -> None:
    endpoint = host.endpoint(PortRequest(80, "tcp", "", 8080))
    attachment = host.driver.reserve(endpoint)
    host.publish(endpoint, attachment)
    host.serve(host.attach(endpoint, attachment), 80)
    before = rules()
    assert host.driver.check(endpoint.id) == ""
    nft(damage)
    assert "is missing" in host.driver.check(endpoint.id)
    wait_for(lambda: not host.driver.check(endpoint.id), "the rules")
    assert rules() == before
    assert ask("198.51.100.1", 8080, source=outside) == "198.51.100.2"


def test_check_names_what_is_missing(host: Host) -> None:
    server = host.container()
    assert host.driver.check(server.endpoint) == ""
    device = next(name for name, device in devices.devices().items() if device.kind == "veth" and device.master)
    subprocess.run(["ip", "link", "set", device, "nomaster"], check=True)
    assert host.driver.check(server.endpoint) == f"link {device} is not on {DEVICE}"
    devices.delete(device)
    assert host.driver.check(server.endpoint) == f"link {device} is missing"
    subprocess.run(["ip", "link", "set", DEVICE, "down"], check=True)
    assert host.driver.check(server.endpoint) == f"bridge {DEVICE} is down"


def test_who_keeps_an_address_of_another_subnet_is_named(new_host: Callable[..., Host]) -> None:
    host = new_host({"ip": "10.201.1.1/24"})
    endpoint = host.endpoint()
    attachment = host.driver.reserve(endpoint)
    host.context = dataclasses.replace(host.context, options={"ip": "10.201.2.1/24"})
    driver = host.restart()
    network = driver.create(host.network)
    driver.reconcile([network], [(endpoint, attachment, ())])
    named = [line for line in host.log if "10.201.1." in line]
    assert len(named) == 1 and f"container {endpoint.name} has the address {attachment.address}" in named[0]
    assert "10.201.2.0/24" in named[0] and "restarted" in named[0]
    driver.release(endpoint.id)


def test_a_bridge_of_somebody_else_is_not_taken(own_network: None, new_host: Callable[..., Host]) -> None:
    subprocess.run(["ip", "link", "add", DEVICE, "type", "bridge"], check=True)
    try:
        with pytest.raises(Conflict, match="belongs to somebody else"):
            new_host()
    finally:
        subprocess.run(["ip", "link", "delete", DEVICE], check=True)


def test_a_bridge_of_the_users_is_used_and_kept(own_network: None, new_host: Callable[..., Host]) -> None:
    for command in ("link add br7 type bridge", "addr add 10.77.0.1/24 dev br7"):
        subprocess.run(["ip", *command.split()], check=True)
    try:
        host = new_host({"name": "br7"})
        assert host.network.subnets == ("10.77.0.0/24",)
        server = host.container()
        host.serve(server, 80)
        assert server.address == "10.77.0.2"
        assert ask(server.address, 80) == "10.77.0.1"
        host.driver.release(server.endpoint)
        host.driver.delete(host.network)
        assert "br7" in devices.devices()
    finally:
        subprocess.run(["ip", "link", "delete", "br7"], check=True)


def test_two_instances_live_side_by_side(new_host: Callable[..., Host]) -> None:
    one, other = new_host(), new_host(instance="1de57ed1")
    assert one.network.subnets != other.network.subnets
    first, second = one.container(PortRequest(80, "tcp", "", 8080)), other.container(PortRequest(80, "tcp", "", 8081))
    one.serve(first, 80)
    other.serve(second, 80)
    other.restart().reconcile([other.network], [])
    assert ask("127.0.0.1", 8080) == one.network.gateways[0]
    assert ask(first.address, 80, source=other.container()) == "TimeoutError"


def test_docker_lets_us_pass_where_it_can_be_asked(new_host: Callable[..., Host], others: None, outside: Namespace) -> None:
    drop = (
        "add chain ip filter DOCKER-USER\nadd rule ip filter FORWARD jump DOCKER-USER\nchain ip filter FORWARD { policy drop; }\n"
    )
    nft(drop)
    before = foreign()
    host = new_host()
    host.serve(host.container(PortRequest(80, "tcp", "", 8080)), 80)
    assert foreign().count(f'accept comment "tare/{INSTANCE}"') == 2
    assert ask("198.51.100.1", 8080, source=outside) == "198.51.100.2"
    assert not host.log or all("drops" not in line for line in host.log)
    nft("flush chain ip filter DOCKER-USER")
    wait_for(lambda: foreign().count("tare/") == 2, "the rules in DOCKER-USER")
    host.close()
    assert foreign() == before


def test_a_firewall_that_drops_is_named_with_the_cure(new_host: Callable[..., Host], others: None) -> None:
    host = new_host()
    assert host.log == [] or all("drops" not in line for line in host.log)
    before = foreign()
    nft("chain ip filter FORWARD { policy drop; }")
    wait_for(lambda: any("chain FORWARD of table ip filter drops" in line for line in host.log), "the warning")
    assert any(f"nft insert rule ip filter FORWARD iifname {{ {DEVICE} }} accept" in line for line in host.log)
    assert ("warning", host.driver.status()[-1][1]) == host.driver.status()[-1]
    nft("chain ip filter FORWARD { policy accept; }")
    wait_for(lambda: all(name != "warning" for name, _ in host.driver.status()), "the warning to end")
    assert foreign() == before


@pytest.fixture
def neighbour(outside: Namespace):
    """A machine on another wire, which reaches the first one if the host forwards; forwarding is off."""
    FORWARDING.write_text("0")
    made = new_namespace()
    for command in (
        f"link add wire1 type veth peer name wire netns {made.process.pid}",
        "addr add 203.0.113.1/24 dev wire1",
        "link set wire1 up",
    ):
        subprocess.run(["ip", *command.split()], check=True)
    for command in ("addr add 203.0.113.2/24 dev wire", "link set wire up", "route add default via 203.0.113.1"):
        made.run("ip", *command.split())
    outside.run("ip", "route", "add", "default", "via", "198.51.100.1")
    yield made
    made.end()
    subprocess.run(["ip", "link", "delete", "wire1"], check=False, capture_output=True)


@pytest.mark.parametrize(("options", "answer"), [({}, "TimeoutError"), ({"ip-forward-no-drop": True}, "203.0.113.2")])
def test_the_host_becomes_a_router_for_its_neighbours_only_when_told(
    new_host: Callable[..., Host], outside: Namespace, neighbour: Namespace, options: dict[str, object], answer: str
) -> None:
    host = new_host(options)
    assert FORWARDING.read_text() == "1\n"
    assert any("turning on net.ipv4.ip_forward" in line for line in host.log)
    host.serve(outside, 80)
    assert ask("198.51.100.2", 80, source=neighbour) == answer
    assert ask("198.51.100.2", 80, source=host.container()) == "198.51.100.1"


def test_forwarding_stays_off_when_told(new_host: Callable[..., Host]) -> None:
    FORWARDING.write_text("0")
    host = new_host({"ip-forward": False})
    assert FORWARDING.read_text() == "0\n"
    assert "sysctl -w net.ipv4.ip_forward=1" in host.log[0]


def test_a_bridge_is_full_at_last(host: Host) -> None:
    for _ in range(1023):
        host.driver.reserve(host.endpoint())
    with pytest.raises(Exhausted, match="no more than 1023 ports"):
        host.driver.reserve(host.endpoint())


def test_describe_says_why_a_port_is_reached(host: Host) -> None:
    endpoint = host.endpoint(PortRequest(80, "tcp", "127.0.0.1", 8080), name="web")
    attachment = host.driver.reserve(endpoint)
    host.publish(endpoint, attachment)
    text = host.driver.describe()
    assert f"127.0.0.1:8080/tcp leads this host only to {attachment.address}:80 of container web" in text
    assert f"table inet {TABLE}" in text


def test_the_attachment_is_what_the_container_gets(host: Host) -> None:
    endpoint = host.endpoint(address="172.17.4.4", mac="02:00:00:00:00:09")
    attachment = host.driver.reserve(endpoint)
    assert (attachment.address, attachment.prefix, attachment.gateway) == ("172.17.4.4", 16, "172.17.0.1")
    made = host.attach(endpoint, attachment)
    shown = made.run("ip", "addr", "show", "eth0")
    assert "172.17.4.4/16" in shown and "02:00:00:00:00:09" in shown and ",UP" in shown and "inet6" not in shown
    assert made.run("ip", "route", "show", "default").strip() == "default via 172.17.0.1 dev eth0"


def test_ipv6(new_host: Callable[..., Host], outside: Namespace) -> None:
    host = new_host({"ipv6": True})
    endpoint = host.endpoint(PortRequest(80, "tcp", "", 8080))
    attachment = host.driver.reserve(endpoint)
    assert attachment.address6.startswith("fd")
    host.publish(endpoint, attachment)
    server = host.attach(endpoint, attachment)
    host.serve(server, 80)
    assert ask("2001:db8:51::1", 8080, source=outside) == "2001:db8:51::2"
    assert ask("2001:db8:51::1", 8080) == "2001:db8:51::1"
    assert ask(attachment.address6, 80, source=host.container()).startswith("fd")
    host.serve(outside, 81)
    assert ask("2001:db8:51::2", 81, source=server) == "2001:db8:51::1"


def test_without_nftables_in_reach_the_cure_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from tare.linux import nft as library

    with pytest.raises(OSError, match="nftables"):
        broken = library.Nftables()
        try:
            broken.run("no such command")
        finally:
            broken.close()


def test_a_network_that_cannot_be_leaves_nothing(new_host: Callable[..., Host], host: Host) -> None:
    before = rules(), set(devices.devices())
    for bad in (
        Network(id="cd" * 32, name="x", driver="bridge", created="", subnets=("172.17.8.0/24",)),
        Network(id="cd" * 32, name="x", driver="bridge", created="", options={"com.docker.network.bridge.name": "x" * 40}),
    ):
        with pytest.raises((Conflict, Unavailable)):
            host.driver.create(bad)
        assert (rules(), set(devices.devices())) == before
