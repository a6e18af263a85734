"""Beside another engine and behind other firewalls: their policy holds, and what is in the way is said (NW-13, NW-19)."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator

import pytest

from tare.drivers.network import SupportsWarnings
from tare.model.network import Network, PortRequest
from tests.integration.conftest import wait_for
from tests.unit.network.conftest import INSTANCE, Host, Namespace, ask, new_namespace

DEVICE = f"tare{INSTANCE}"
OTHER = Network(id="ef" * 32, name="other", driver="bridge", created="")
IN_THE_WAY = "containers cannot reach the outside, nor their ports be reached: "

LIKE_DOCKER = """
table ip filter {
  chain DOCKER { }
  chain DOCKER-USER { counter return; }
  chain FORWARD {
    type filter hook forward priority filter; policy drop;
    jump DOCKER-USER
    oifname "BRIDGE" ct state related,established counter accept
    oifname "BRIDGE" counter jump DOCKER
    iifname "BRIDGE" oifname != "BRIDGE" counter accept
    iifname "BRIDGE" oifname "BRIDGE" counter accept
  }
}
table ip nat {
  chain PREROUTING { type nat hook prerouting priority dstnat;
    iifname != "BRIDGE" tcp dport 8095 dnat to 172.30.0.2:95
  }
}
"""
PUBLISHED = 'add rule ip filter DOCKER ip daddr 172.30.0.2 iifname != "BRIDGE" oifname "BRIDGE" tcp dport 95 accept'


def nft(text: str) -> None:
    subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True)


def others_container(bridge: str, name: str) -> Namespace:
    """172.30.0.2 on another engine's bridge."""
    made = new_namespace()
    for command in (
        f"link add {bridge} type bridge",
        f"addr add 172.30.0.1/16 dev {bridge}",
        f"link set {bridge} up",
        f"link add {name} type veth peer name eth0 netns {made.process.pid}",
        f"link set {name} master {bridge} up",
    ):
        subprocess.run(["ip", *command.split()], check=True)
    for command in ("addr add 172.30.0.2/16 dev eth0", "link set eth0 up", "route add default via 172.30.0.1"):
        made.run("ip", *command.split())
    made.address = "172.30.0.2"
    return made


@pytest.fixture(params=["docker0", "br-0123456789ab", "lan"])
def bridge(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def stranger(separate_network: None, bridge: str) -> Iterator[Namespace]:
    """A container of an engine that has made such a bridge and filters as dockerd does."""
    nft((LIKE_DOCKER + PUBLISHED).replace("BRIDGE", bridge))
    made = others_container(bridge, "dv0")
    yield made
    made.end()


def test_another_engines_containers_are_reached_by_their_published_ports_alone(
    stranger: Namespace, bridge: str, new_host: Callable[..., Host]
) -> None:
    host = new_host()
    mine = host.container(PortRequest(80, "tcp", "", 8080))
    host.serve(mine, 80)
    host.serve(mine, 81)
    host.serve(stranger, 90)
    host.serve(stranger, 95)
    assert ask(stranger.address, 90, source=mine) == "TimeoutError"
    assert ask(host.network.gateways[0], 8095, source=mine) == "172.30.0.1"
    assert ask(mine.address, 81, source=stranger) == "TimeoutError"
    assert ask("172.30.0.1", 8080, source=stranger) == stranger.address
    assert ask(stranger.address, 90) == "172.30.0.1", "the host itself is no container"
    assert not host.driver.warnings()


def test_an_engine_that_comes_later_is_kept_off_too(separate_network: None, new_host: Callable[..., Host]) -> None:
    host = new_host()
    mine = host.container()
    stranger = others_container("br-ba9876543210", "dv0")
    try:
        host.serve(stranger, 90)
        assert ask(stranger.address, 90, source=mine) == "172.30.0.1"
        nft((LIKE_DOCKER + PUBLISHED).replace("BRIDGE", "br-ba9876543210"))
        wait_for(lambda: ask(stranger.address, 90, source=mine) == "TimeoutError", "the rules", 20)
        host.restart().create(host.network)
        assert ask(stranger.address, 90, source=mine) == "TimeoutError"
    finally:
        stranger.end()


def test_an_obstacle_is_told_once_whichever_thread_sees_it(separate_network: None, new_host: Callable[..., Host]) -> None:
    """While the guard is telling of it the driver's own thread looks around too."""
    host = new_host()
    told: list[str] = []
    done = threading.Event()

    def log(line: str) -> None:
        told.append(line)
        if len(told) == 1:
            other = threading.Thread(target=host.driver._look_around)
            other.start()
            other.join(10)
            done.set()

    host.context = dataclasses.replace(host.context, log=log)
    host.restart().create(host.network)
    assert told == []
    nft("table ip filter { chain FORWARD { type filter hook forward priority filter; policy drop; }; }")
    assert done.wait(10)
    assert told == list(host.driver.warnings()) and len(told) == 1


def test_the_cure_that_is_named_cures(separate_network: None, new_host: Callable[..., Host], outside: Namespace) -> None:
    nft("table ip filter { chain FORWARD { type filter hook forward priority filter; policy drop; }; }")
    host = new_host()
    host.driver.create(OTHER)
    server = host.container(PortRequest(80, "tcp", "", 8080))
    host.serve(server, 80)
    assert ask("198.51.100.1", 8080, source=outside) == "TimeoutError"
    assert isinstance(host.driver, SupportsWarnings) and host.driver.prompt("warnings")
    [warning] = host.driver.warnings()
    cure = warning.partition(" (")[2].partition(", and the same with oifname)")[0]
    subprocess.run(["sh", "-c", f"{cure}; {cure.replace('iifname', 'oifname')}"], check=True)
    wait_for(lambda: not host.driver.warnings(), "the warning to end")
    assert ask("198.51.100.1", 8080, source=outside) == "198.51.100.2"


def test_ipv6_of_others_does_not_matter_to_who_has_none(separate_network: None, new_host: Callable[..., Host]) -> None:
    nft("table ip6 filter { chain FORWARD { type filter hook forward priority filter; policy drop; }; }")
    assert new_host().driver.warnings() == []
    assert len(new_host({"ipv6": True}, instance="1de57ed1").driver.warnings()) == 1


def test_a_legacy_policy_is_seen_and_the_cure_cures(
    separate_network: None, new_host: Callable[..., Host], outside: Namespace
) -> None:
    if shutil.which("iptables-legacy") is None:
        pytest.skip("iptables-legacy is not installed")

    def legacy(*arguments: str) -> None:
        done = subprocess.run(["iptables-legacy", *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"the kernel has no legacy tables: {done.stderr}")

    legacy("-P", "FORWARD", "DROP")
    host = new_host()
    server = host.container(PortRequest(80, "tcp", "", 8080))
    host.serve(server, 80)
    assert ask("198.51.100.1", 8080, source=outside) == "TimeoutError"
    [warning] = host.driver.warnings()
    assert warning in host.log and "chain FORWARD of iptables-legacy drops" in warning
    legacy("-A", "FORWARD", "-i", "tare-+", "-j", "ACCEPT")
    legacy("-A", "FORWARD", "!", "-o", DEVICE, "-i", "nothing", "-j", "ACCEPT")
    host.restart().create(host.network)
    assert host.driver.warnings() == [warning]
    cure = warning.partition(" (")[2].removesuffix(")")
    subprocess.run(["sh", "-c", cure], check=True)
    assert ask("198.51.100.1", 8080, source=outside) == "198.51.100.2"
    host.restart().create(host.network)
    assert host.driver.warnings() == []
    legacy("-F", "FORWARD")
    legacy("-A", "FORWARD", "-i", "tare+", "-j", "ACCEPT")
    legacy("-A", "FORWARD", "-o", "tare+", "-j", "ACCEPT")
    host.restart().create(host.network)
    assert host.driver.warnings() == []


def test_a_legacy_table_that_lets_pass_is_no_obstacle(separate_network: None, new_host: Callable[..., Host]) -> None:
    done = subprocess.run(["iptables-legacy", "-P", "INPUT", "DROP"], capture_output=True, check=False)
    assert new_host().driver.warnings() == []
    assert done.returncode == 0
