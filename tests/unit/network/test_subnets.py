"""Which subnet a network gets (NW-02)."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from tare.errors import Conflict, Exhausted, Invalid
from tare.model.network import Network
from tare_network.bridge.segment import device_name, segment
from tare_network.bridge.subnets import complete


def network(name: str = "mine", **fields: object) -> Network:
    return Network(id="ab" * 32, name=name, driver="bridge", created="", **fields)  # type: ignore[arg-type]


def made(wanted: Network, used: tuple[str, ...] = (), **settings: object) -> Network:
    return complete(wanted, settings, [ip_network(one) for one in used], exists=False)


def test_the_first_pool_that_the_host_does_not_use() -> None:
    assert made(network()).subnets == ("172.17.0.0/16",)
    assert made(network(), ("172.17.3.0/24", "172.18.0.0/16")).subnets == ("172.19.0.0/16",)
    assert made(network(), ("172.16.0.0/12",)).subnets == ("192.168.0.0/20",)


def test_pools_of_the_configuration() -> None:
    pools = [{"base": "10.7.0.0/22", "size": 24}]
    assert made(network(), ("10.7.0.0/24",), **{"address-pools": pools}).subnets == ("10.7.1.0/24",)
    with pytest.raises(Exhausted, match="no IPv4 subnet is left for network mine"):
        made(network(), ("10.0.0.0/8",), **{"address-pools": pools})


def test_what_was_asked_for_is_taken_or_refused() -> None:
    asked = made(network(subnets=("10.5.0.0/16",), gateways=("10.5.9.9",), ip_ranges=("10.5.1.0/24",)))
    assert (asked.subnets, asked.gateways, asked.ip_ranges) == (("10.5.0.0/16",), ("10.5.9.9",), ("10.5.1.0/24",))
    with pytest.raises(Conflict, match=r"overlaps with 10\.0\.0\.0/8"):
        made(network(subnets=("10.5.0.0/16",)), ("10.0.0.0/8",))


@pytest.mark.parametrize(
    "fields",
    [
        {"subnets": ("10.5.0.0/31",)},
        {"subnets": ("10.5.0.1/16",)},
        {"subnets": ("nonsense",)},
        {"subnets": ("10.5.0.0/16",), "gateways": ("10.6.0.1",)},
        {"subnets": ("10.5.0.0/16",), "ip_ranges": ("10.6.0.0/24",)},
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        made(network(**fields))


def test_an_ipv6_prefix_of_its_own() -> None:
    one = made(network(ipv6=True))
    assert one.subnets[1].startswith("fd") and one.subnets[1].endswith("/64")
    assert made(network(ipv6=True)) == one


def test_the_default_network_is_described_by_the_configuration() -> None:
    recorded = network("bridge", subnets=("172.17.0.0/16",), gateways=("172.17.0.1",))
    assert made(recorded).subnets == ("172.17.0.0/16",)
    moved = made(recorded, ip="10.1.0.9/24", gateway="10.1.0.254", **{"fixed-cidr": "10.1.0.64/26"})
    assert (moved.subnets, moved.gateways, moved.ip_ranges) == (("10.1.0.0/24",), ("10.1.0.254",), ("10.1.0.64/26",))
    assert made(recorded, **{"fixed-cidr": "10.2.0.0/24"}).subnets == ("10.2.0.0/24",)
    assert made(recorded, **{"fixed-cidr": "172.17.9.0/24"}).ip_ranges == ("172.17.9.0/24",)


def test_names_of_devices_fit_and_tell_instances_apart() -> None:
    names = {device_name(one, instance) for one in (network("bridge"), network()) for instance in ("", "0123abcd", "4567cdef")}
    assert len(names) == 6
    assert all(len(name) <= 15 for name in names)
    assert device_name(network("bridge"), "") == "tare0"


def test_an_option_that_means_nothing_is_refused() -> None:
    for options in (
        {"com.docker.network.bridge.nonsense": "1"},
        {"other": "1"},
        {"com.docker.network.bridge.enable_icc": "perhaps"},
    ):
        with pytest.raises(Invalid):
            segment(network(options=options), "", {})
