"""Who gets which address (NW-23 … NW-25)."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tare.errors import Conflict, Exhausted, Invalid
from tare_network.bridge.addresses import Addresses


def pool(
    subnet: str = "10.9.0.0/29",
    piece: str = "",
    reserved: tuple[str, ...] = ("10.9.0.1",),
    gone=lambda name: True,
    wait=lambda met, seconds: None,
) -> Addresses:
    return Addresses(ip_network(subnet), ip_network(piece or subnet), reserved, "net", gone, wait)


def test_network_broadcast_and_gateway_are_never_given() -> None:
    addresses = pool()
    assert [addresses.give(str(n)) for n in range(5)] == [f"10.9.0.{n}" for n in range(2, 7)]
    with pytest.raises(Exhausted, match="no available IPv4 addresses on this network's address pools: net"):
        addresses.give("one more")


def test_addresses_go_round() -> None:
    addresses = pool()
    first = addresses.give("a")
    addresses.free(first, "")
    assert addresses.give("b") != first
    given = [addresses.give(str(n)) for n in range(4)]
    assert given[-1] == first


def test_only_the_range_is_given() -> None:
    addresses = pool("10.9.0.0/24", "10.9.0.128/30")
    assert [addresses.give(str(n)) for n in range(4)] == [f"10.9.0.{n}" for n in range(128, 132)]
    with pytest.raises(Exhausted):
        addresses.give("more")


@pytest.mark.parametrize("wish", ["", "10.9.0.2"])
def test_an_address_waits_for_its_device_to_go(wish: str) -> None:
    there = {"veth1"}
    asked: list[bool] = []

    def wait(met: Callable[[], bool], seconds: float) -> None:
        asked.append(met())
        there.clear()
        asked.append(met())

    addresses = pool("10.9.0.0/30", gone=lambda name: name not in there, wait=wait)
    addresses.free(addresses.give("a"), "veth1")
    assert not addresses.prompt(wish)
    assert addresses.give("b", wish) == "10.9.0.2"
    assert asked == [False, True]


@pytest.mark.parametrize(("wish", "error"), [("", Exhausted), ("10.9.0.2", Conflict)])
def test_a_device_that_stays_keeps_its_address(wish: str, error: type[Exception]) -> None:
    addresses = pool("10.9.0.0/30", gone=lambda name: False)
    addresses.free(addresses.give("a"), "veth1")
    with pytest.raises(error):
        addresses.give("b", wish)


def test_another_wish_does_not_wait() -> None:
    addresses = pool(gone=lambda name: False)
    addresses.free(addresses.give("a", "10.9.0.5"), "veth1")
    assert addresses.prompt("10.9.0.4") and addresses.prompt("")


def test_a_wish_is_honoured_or_refused() -> None:
    addresses = pool()
    assert addresses.give("a", "10.9.0.5") == "10.9.0.5"
    for wish, error in (
        ("10.9.0.5", Conflict),
        ("10.9.0.1", Conflict),
        ("10.9.0.7", Conflict),
        ("10.8.0.5", Invalid),
        ("x", Invalid),
    ):
        with pytest.raises(error):
            addresses.give("b", wish)


def test_ipv6_has_no_broadcast_address() -> None:
    addresses = pool("fd00::/126", reserved=("fd00::1",))
    assert [addresses.give(str(n)) for n in range(2)] == ["fd00::2", "fd00::3"]


@given(st.lists(st.one_of(st.just("give"), st.integers(0, 20)), max_size=60))
def test_nobody_shares_an_address(steps: list[str | int]) -> None:
    addresses = pool("10.9.0.0/28")
    held: list[str] = []
    for step in steps:
        if isinstance(step, int):
            if step < len(held):
                addresses.free(held.pop(step), "")
        elif len(held) < 13:
            address = addresses.give(str(len(held)))
            assert address not in held
            held.append(address)
