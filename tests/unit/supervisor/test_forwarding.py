"""Held ports, and the forwarder's pumping of TCP and UDP."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from tare.errors import Exhausted, Invalid

from .conftest import DEADLINE, Peer, eventually, everything


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET6) as sock:
        sock.bind(("::1", 0))
        sock.listen(64)
        yield sock


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.settimeout(DEADLINE)
        yield sock


def forward(peer: Peer, sock: socket.socket, protocol: str, server: socket.socket) -> None:
    port = server.getsockname()[1]
    peer.ask("hold", (sock.fileno(),), owner="c", forwards=[[protocol, "127.0.0.1", port]], sockets=0)


def client(listening: socket.socket) -> socket.socket:
    return socket.create_connection(listening.getsockname()[:2], DEADLINE)


def test_bytes_and_half_closes_pass_both_ways(peer: Peer, listening: socket.socket, server: socket.socket) -> None:
    forward(peer, listening, "tcp", server)
    with client(listening) as outside:
        outside.sendall(b"request")
        outside.shutdown(socket.SHUT_WR)
        inside, _ = server.accept()
        assert everything(inside) == b"request"
        inside.sendall(b"answer")
        inside.close()
        assert everything(outside) == b"answer"


def test_much_data_with_a_reader_that_starts_late(peer: Peer, listening: socket.socket, server: socket.socket) -> None:
    forward(peer, listening, "tcp", server)
    data = os.urandom(8_000_000)
    with client(listening) as outside:
        inside, _ = server.accept()
        sender = threading.Thread(target=lambda: (inside.sendall(data), inside.close()))
        sender.start()
        assert everything(outside) == data
        sender.join()


def test_nobody_there_ends_the_connection(peer: Peer, listening: socket.socket, server: socket.socket) -> None:
    forward(peer, listening, "tcp", server)
    server.close()
    with client(listening) as outside:
        assert outside.recv(10) == b""


def test_datagrams(peer: Peer) -> None:
    with (
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as published,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as first,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as second,
    ):
        published.bind(("::1", 0))
        server.bind(("127.0.0.1", 0))
        for sock in (server, first, second):
            sock.settimeout(DEADLINE)
        forward(peer, published, "udp", server)
        for number, sock in enumerate((first, second, first)):
            sock.sendto(b"%d" % number, published.getsockname())
            data, address = server.recvfrom(100)
            server.sendto(b"answer " + data, address)
            assert sock.recv(100) == b"answer %d" % number


def test_release_closes_everything(peer: Peer, listening: socket.socket, server: socket.socket) -> None:
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    address = held.getsockname()
    fds = (held.fileno(), listening.fileno())
    peer.ask("hold", fds, owner="c", forwards=[["tcp", "127.0.0.1", server.getsockname()[1]]], sockets=1)
    held.close()
    place = listening.getsockname()[:2]
    listening.close()
    with pytest.raises(OSError, match="in use"), socket.socket() as other:
        other.bind(address)
    with socket.create_connection(place, DEADLINE):
        server.accept()[0].close()
    peer.ask("release", owner="c")
    with socket.socket() as other:
        other.bind(address)

    def refused() -> bool:
        try:
            socket.create_connection(place, DEADLINE).close()
        except ConnectionRefusedError:
            return True
        return False

    eventually(refused)


def test_hold_counts_its_sockets(peer: Peer, listening: socket.socket) -> None:
    with pytest.raises(Invalid, match="names 1 sockets and brings 2"):
        peer.ask("hold", (listening.fileno(), listening.fileno()), owner="c", forwards=[], sockets=1)
    with pytest.raises(Exhausted, match="too many open files"):
        peer.ask("hold", (listening.fileno(),), owner="c", forwards=[], sockets=2)
    peer.ask("release", owner="absent")
