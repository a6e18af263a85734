"""Published ports: who has which port of the host, and what carries its packets.

A port is kept from other programs by a bound socket. Its packets go by an element of a map; where no rule can carry them
(``::1``, an IPv6 client of a container without IPv6, a host whose rules are not ours to write) a listening socket is handed
on to be forwarded.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address

from tare.drivers.network import Published
from tare.errors import Exhausted, InUse, Invalid, TareError, Unsupported
from tare.linux.nft import Element
from tare.model.network import Attachment, Endpoint, PortBinding, PortRequest

RANDOM = range(49153, 65536)
"""Where free ports come from (RFC 6335: the dynamic ports)."""
FORWARDS = 1024
"""Ports of one container that are served on [::] unasked: each takes descriptors of the forwarder."""
LETTING_GO = 2.0
"""Seconds in which a port that was just unpublished may still be held: its sockets are closed by another process."""

_NUMBERS = {"tcp": 6, "udp": 17, "sctp": 132}
_WILDCARDS = ("0.0.0.0", "::")


class Busy(Exception):
    """This port cannot be had; ``error`` says why to the user."""

    def __init__(self, error: TareError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(slots=True)
class Taking:
    """What is being published for one endpoint."""

    endpoint: Endpoint
    attachment: Attachment
    bindings: list[PortBinding] = field(default_factory=list)
    sockets: list[int] = field(default_factory=list)
    forwards: list[tuple[int, str, str, int]] = field(default_factory=list)

    def published(self) -> Published:
        return Published(tuple(self.bindings), tuple(self.sockets), tuple(self.forwards))

    def close(self) -> None:
        for fd in (*self.sockets, *(forward[0] for forward in self.forwards)):
            os.close(fd)


class Ports:
    """The ports of the host that are ours. ``versions`` are the IP versions that rules may be written for."""

    def __init__(self, versions: Iterable[int], *, forward: bool) -> None:
        self._versions = set(versions)
        self._forward = forward
        self._owners: dict[tuple[str, int], dict[str, str]] = {}
        self._freed: dict[tuple[str, int], float] = {}
        self._cursor = random.choice(RANDOM)

    def take(self, endpoint: Endpoint, attachment: Attachment, wanted: Iterable[PortBinding], publish_ip: str) -> Published:
        """Take every port that the endpoint asks for, or none. Raises InUse, Exhausted, Invalid."""
        taking = Taking(endpoint, attachment)
        earlier = {(binding.container_port, binding.protocol): binding.host_port for binding in wanted}
        try:
            for request in endpoint.ports:
                self._one(taking, request, earlier.get((request.container_port, request.protocol), 0), publish_ip)
        except BaseException:
            taking.close()
            self.free(endpoint.id, taking.bindings)
            raise
        return taking.published()

    def adopt(self, endpoint: str, bindings: Iterable[PortBinding]) -> None:
        """The endpoint has these already."""
        for binding in bindings:
            self._owners.setdefault((binding.protocol, binding.host_port), {})[binding.host_ip] = endpoint

    def free(self, endpoint: str, bindings: Iterable[PortBinding]) -> None:
        """The sockets are somebody else's to close."""
        now = time.monotonic()
        self._freed = {key: at for key, at in self._freed.items() if now < at + LETTING_GO}
        for binding in bindings:
            key = binding.protocol, binding.host_port
            owners = self._owners.get(key, {})
            if owners.get(binding.host_ip) == endpoint:
                del owners[binding.host_ip]
                self._freed[key] = now
            if not owners:
                self._owners.pop(key, None)

    def elements(self, attachment: Attachment, bindings: Iterable[PortBinding]) -> list[Element]:
        """What the maps hold for these bindings; nothing for those that are forwarded."""
        return [element(binding, target) for binding in bindings if (target := self._target(binding.host_ip, attachment))]

    def _target(self, host_ip: str, attachment: Attachment) -> str:
        """The container's address that a rule can send packets for ``host_ip`` to, "" when no rule can."""
        version = 6 if ":" in host_ip else 4
        if version not in self._versions or host_ip == "::1":
            return ""
        return attachment.address6 if version == 6 else attachment.address

    def _one(self, taking: Taking, request: PortRequest, earlier: int, publish_ip: str) -> None:
        if request.protocol not in _NUMBERS:
            raise Invalid(f"invalid proto: {request.protocol}", subject=request.protocol, hint="one of tcp, udp, sctp")
        asked = request.host_ip or publish_ip
        addresses = (str(ip_address(asked)),) if asked else _WILDCARDS
        error: TareError | None = None
        for port in self._candidates(request, earlier):
            try:
                self._take(taking, request, port, addresses, implied=not asked)
                return
            except Busy as busy:
                error = busy.error
                if request.host_port and not request.host_port_end:
                    raise busy.error from None
        if request.host_port_end:
            text = f"{request.host_port}-{request.host_port_end}"
            raise InUse(f"all ports in the range {text} are allocated", subject=text) from error
        raise Exhausted("no free port of the host is left", subject=str(request.container_port)) from error

    def _candidates(self, request: PortRequest, earlier: int) -> Iterator[int]:
        if request.host_port:
            yield from range(request.host_port, (request.host_port_end or request.host_port) + 1)
            return
        if earlier:
            yield earlier
        for _ in RANDOM:
            self._cursor = self._cursor + 1 if self._cursor + 1 in RANDOM else RANDOM[0]
            yield self._cursor

    def _take(self, taking: Taking, request: PortRequest, port: int, addresses: tuple[str, ...], *, implied: bool) -> None:
        """All of the addresses at this port, or Busy and none. An ``implied`` :: is left out where it cannot be."""
        key = request.protocol, port
        for address in addresses:
            if self._occupied(key, address):
                shown = f"[{address}]" if ":" in address else address
                raise Busy(InUse(f"Bind for {shown}:{port} failed: port is already allocated", subject=f"{shown}:{port}"))
        before = len(taking.sockets), len(taking.forwards)
        bindings = []
        try:
            for address in addresses:
                if self._carry(taking, request, address, port, optional=implied and address == "::"):
                    bindings.append(PortBinding(request.container_port, request.protocol, address, port))
        except BaseException:
            for fd in (*taking.sockets[before[0] :], *(forward[0] for forward in taking.forwards[before[1] :])):
                os.close(fd)
            del taking.sockets[before[0] :], taking.forwards[before[1] :]
            raise
        taking.bindings += bindings
        self.adopt(taking.endpoint.id, bindings)

    def _occupied(self, key: tuple[str, int], address: str) -> bool:
        owners = self._owners.get(key)
        if not owners:
            return False
        wild = "::" if ":" in address else "0.0.0.0"
        if address == wild:
            return any((":" in other) == (":" in wild) for other in owners)
        return address in owners or wild in owners

    def _carry(self, taking: Taking, request: PortRequest, address: str, port: int, *, optional: bool) -> bool:
        """Hold one address and port, and see to its packets; False when an ``optional`` one cannot be served."""
        ruled = bool(self._target(address, taking.attachment))
        forwarded = (not ruled or address == "::") and self._forward and request.protocol != "sctp"
        if optional and (not (ruled or forwarded) or len(taking.forwards) >= FORWARDS):
            return False
        if not ruled and not forwarded:
            raise Unsupported(
                f"port {port}/{request.protocol} cannot be published on {address}: no rule can carry it",
                subject=address,
                hint="publish on an IPv4 address, or turn on [network] userland-proxy",
            )
        try:
            fd = self._patient(request.protocol, port, lambda: bound(request.protocol, address, port, listen=forwarded))
        except OSError as error:
            if optional and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                return False
            raise refusal(error, request.protocol, address, port) from error
        if forwarded:
            target = taking.attachment.address or taking.attachment.address6
            taking.forwards.append((fd, request.protocol, target, request.container_port))
        elif fd >= 0:
            taking.sockets.append(fd)
        return True

    def _patient(self, protocol: str, port: int, bind: Callable[[], int]) -> int:
        """A port that we have just given up is waited for."""
        freed = self._freed.get((protocol, port))
        while True:
            try:
                return bind()
            except OSError as error:
                if freed is None or error.errno != errno.EADDRINUSE or time.monotonic() > freed + LETTING_GO:
                    raise
                time.sleep(0.002)


def refusal(error: OSError, protocol: str, address: str, port: int) -> Exception:
    """What the kernel's refusal to bind means to the user."""
    shown = f"[{address}]" if ":" in address else address
    words = os.strerror(error.errno or 0).lower()
    text = f"failed to bind host port {shown}:{port}/{protocol}: {words}"
    if error.errno == errno.EADDRINUSE:
        return Busy(InUse(text, subject=f"{shown}:{port}", hint="another program of the host listens there"))
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return Exhausted(text, subject=f"{shown}:{port}", hint="raise tared's limit of open files (LimitNOFILE)")
    if error.errno == errno.EADDRNOTAVAIL:
        return Invalid(text, subject=address, hint="the host has no such address")
    return Unsupported(text, subject=f"{shown}:{port}")


def bound(protocol: str, address: str, port: int, *, listen: bool) -> int:
    """A descriptor that keeps the port from other programs, -1 where the kernel has no such protocol. Raises OSError.

    A TCP port whose connections are still in TIME_WAIT is free for a server, so the test is the server's: SO_REUSEADDR and
    listen. What is not to accept is shut down again, which leaves it bound, and without the option nobody can join it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    try:
        made = socket.socket(family, kind | socket.SOCK_CLOEXEC, _NUMBERS[protocol])
    except OSError as error:
        if protocol == "sctp" and error.errno in (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT):
            return -1
        raise
    with contextlib.closing(made):
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if protocol == "tcp":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        if protocol == "tcp":
            made.listen(socket.SOMAXCONN if listen else 0)
            if not listen:
                made.shutdown(socket.SHUT_RDWR)
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        return made.detach()


def element(binding: PortBinding, target: str) -> Element:
    """Map, key and data of one binding; every part is padded to four bytes, as the kernel wants them."""
    version = 6 if ":" in binding.host_ip else 4
    key = bytes((_NUMBERS[binding.protocol], 0, 0, 0)) + _port(binding.host_port)
    data = ip_address(target).packed + _port(binding.container_port)
    if binding.host_ip in _WILDCARDS:
        return f"everywhere{version}", key, data
    return f"published{version}", ip_address(binding.host_ip).packed + key, data


def _port(number: int) -> bytes:
    return number.to_bytes(2, "big") + b"\0\0"
