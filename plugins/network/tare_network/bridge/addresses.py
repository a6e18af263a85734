"""Who has which address of one subnet. Addresses go round: what was freed last is given again last."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address

from tare.errors import Conflict, Exhausted, Invalid

DEPARTURE = 10.0
"""Seconds that we wait for a device that is on its way out (the kernel takes 10-60 ms, with hundreds at once seconds)."""


class Addresses:
    """The addresses of one subnet as numbers. ``device_gone(name)`` says that a link that bore an address is no more;
    ``wait(met, seconds)`` returns when ``met()`` is true, which it asks again with each link that goes, or out of patience."""

    def __init__(
        self,
        subnet: IPv4Network | IPv6Network,
        piece: IPv4Network | IPv6Network,
        reserved: Iterable[str],
        network: str,
        device_gone: Callable[[str], bool],
        wait: Callable[[Callable[[], bool], float], object],
    ) -> None:
        self.subnet = subnet
        self.prefix = subnet.prefixlen
        self._family = socket.AF_INET if subnet.version == 4 else socket.AF_INET6
        self._bytes = subnet.max_prefixlen // 8
        self._network = network
        self._gone = device_gone
        self._wait = wait
        base, last = int(subnet.network_address), int(subnet.broadcast_address)
        # An IPv6 subnet has no broadcast address; its first one means "any router" (RFC 4291, 2.6.1).
        self._never = {base, *(int(ip_address(address)) for address in reserved)} | ({last} if subnet.version == 4 else set())
        self._first, self._last = int(piece.network_address), int(piece.broadcast_address)
        self._next = self._first
        self._taken: dict[int, str] = {}
        self._leaving: dict[int, str] = {}

    def prompt(self, wish: str) -> bool:
        """``give`` will not wait: what is wished, or some address, is not leaving."""
        if wish:
            try:
                return self._number(wish) not in self._leaving
            except OSError:
                return True  # it is refused at once
        return self._last - self._first >= len(self._taken) + len(self._leaving) + len(self._never)

    def give(self, endpoint: str, wish: str = "") -> str:
        """An address for an endpoint. Raises Conflict or Invalid for a wish, Exhausted when all are taken."""
        number = self._wished(wish) if wish else self._free()
        self._taken[number] = endpoint
        return self._text(number)

    def take(self, endpoint: str, address: str) -> None:
        """The endpoint has this address already."""
        self._taken[self._number(address)] = endpoint

    def free(self, address: str, device: str) -> None:
        """Free an address; it is given out again when the device that bore it has gone."""
        number = self._number(address)
        if self._taken.pop(number, "") and device:
            self._leaving[number] = device

    def _text(self, number: int) -> str:
        return socket.inet_ntop(self._family, number.to_bytes(self._bytes, "big"))

    def _number(self, address: str) -> int:
        return int.from_bytes(socket.inet_pton(self._family, address), "big")

    def _usable(self, number: int) -> bool:
        if number in self._taken or number in self._never:
            return False
        device = self._leaving.get(number)
        if device is not None:
            if not self._gone(device):
                return False
            del self._leaving[number]
        return True

    def _free(self) -> int:
        number = self._round()
        if number is None and self._leaving:
            self._wait(lambda: self._round() is not None, DEPARTURE)
            number = self._round()
        if number is None:
            raise Exhausted(
                f"no available IPv{self.subnet.version} addresses on this network's address pools: {self._network}",
                subject=self._network,
                hint="remove containers or give the network a larger subnet",
            )
        self._next = self._after(number)
        return number

    def _round(self) -> int | None:
        """The next usable address, once round."""
        number = self._next
        while not self._usable(number):
            number = self._after(number)
            if number == self._next:
                return None
        return number

    def _after(self, number: int) -> int:
        return self._first if number >= self._last else number + 1

    def _wished(self, wish: str) -> int:
        try:
            address = ip_address(wish)
        except ValueError:
            raise Invalid(f"{wish} is not an address", subject=wish) from None
        if address not in self.subnet:
            raise Invalid(f"address {wish} is not in the subnet {self.subnet} of network {self._network}", subject=wish)
        number = int(address)
        if number in self._leaving:
            self._wait(lambda: self._usable(number), DEPARTURE)
        if not self._usable(number):
            raise Conflict("Address already in use", subject=wish, hint=f"{wish} belongs to somebody on {self._network}")
        return number
