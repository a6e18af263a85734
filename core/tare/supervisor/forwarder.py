"""The forwarder: serves published ports that the packet filter cannot redirect ([::1] foremost).

It accepts on sockets that the supervisor hands over and pumps bytes (TCP) or datagrams (UDP) to the container. Messages,
supervisor → forwarder: ``forward`` {"owner", "forwards": [[protocol, address, port], ...]} + a bound socket for each (TCP ones
listen), ``release`` {"owner"}. Nothing is answered. It ends when the supervisor has.
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket

from tare.supervisor.channel import Channel
from tare.supervisor.loop import IN, OUT, Loop
from tare.supervisor.notes import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.supervisor.messages import Body

BUFFER = 64 * 1024
"""Bytes in flight in each direction of a connection."""
IDLE = 90.0
"""Seconds after which the peer of a UDP socket is forgotten."""
BREATH = 0.2
"""Seconds without accepting when descriptors have run out."""


def family(address: str) -> int:
    """The address family of a numeric address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Half:
    """One direction of a connection: what was read from ``source`` and is not yet written to ``sink``."""

    __slots__ = ("data", "ended", "sink", "source")

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source = source
        self.sink = sink
        self.data = b""
        self.ended = False

    def move(self) -> None:
        """Move what can be moved; passes the half-close on. Raises OSError when a side is broken."""
        while True:
            if self.data:
                try:
                    self.data = self.data[self.sink.send(self.data) :]
                except BlockingIOError:
                    return
                continue
            if self.ended:
                return
            try:
                self.data = self.source.recv(BUFFER)
            except BlockingIOError:
                return
            if not self.data:
                self.ended = True
                self.sink.shutdown(socket.SHUT_WR)


class Connection:
    """One accepted TCP connection and the one to the container."""

    __slots__ = ("_halves", "_loop", "_opening", "_sides", "_watched")

    def __init__(self, loop: Loop, client: socket.socket, address: str, port: int) -> None:
        server = socket.socket(family(address), socket.SOCK_STREAM)
        self._loop = loop
        self._sides = client, server
        self._halves = Half(client, server), Half(server, client)
        self._opening = True
        self._watched = [-1, -1]
        for side in self._sides:
            side.setblocking(False)
        try:
            server.connect_ex((address, port))
        except OSError:
            self._close()
            return
        self._interest()

    def _interest(self) -> None:
        if self._opening:
            self._watch(1, OUT)
            return
        there, back = self._halves
        for at, (reads, writes) in enumerate(((there, back), (back, there))):
            events = (0 if reads.ended or reads.data else IN) | (OUT if writes.data else 0)
            # A side that waits for nothing is not watched: its hanging up would be reported for ever.
            self._watch(at, events or -1)

    def _watch(self, at: int, events: int) -> None:
        fd = self._sides[at].fileno()
        if events == self._watched[at]:
            return
        if events < 0:
            self._loop.forget(fd)
        elif self._watched[at] < 0:
            self._loop.watch(fd, events, self._ready)
        else:
            self._loop.change(fd, events)
        self._watched[at] = events

    def _ready(self, _events: int) -> None:
        try:
            if self._opening:
                code = self._sides[1].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code:
                    raise OSError(code, os.strerror(code))
                self._opening = False
            for half in self._halves:
                half.move()
        except OSError:
            self._close()
            return
        if all(half.ended and not half.data for half in self._halves):
            self._close()
        else:
            self._interest()

    def _close(self) -> None:
        for side in self._sides:
            self._loop.forget(side.fileno())
            side.close()


class Stream:
    """A listening TCP socket."""

    __slots__ = ("_address", "_loop", "_port", "_sock")

    def __init__(self, loop: Loop, sock: socket.socket, address: str, port: int) -> None:
        sock.setblocking(False)
        self._loop = loop
        self._sock = sock
        self._address = address
        self._port = port
        loop.watch(sock.fileno(), IN, self._accept)

    def _accept(self, _events: int) -> None:
        try:
            client, _ = self._sock.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            note(f"forwarder: {error.strerror}")
            self._loop.forget(self._sock.fileno())
            self._loop.after(BREATH, self._resume)
            return
        try:
            Connection(self._loop, client, self._address, self._port)
        except OSError:
            client.close()

    def _resume(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.watch(self._sock.fileno(), IN, self._accept)

    def close(self) -> None:
        """Accept no more; what is connected goes on."""
        self._loop.forget(self._sock.fileno())
        self._sock.close()


class Peer:
    """Someone who sends datagrams, and the socket of its own towards the container through which it is answered."""

    __slots__ = ("_back", "_loop", "_name", "_quiet", "_server")

    def __init__(self, back: Datagrams, name: tuple[object, ...], address: str, port: int) -> None:
        self._back = back
        self._name = name
        self._quiet = False
        self._loop = back.loop
        self._server = socket.socket(family(address), socket.SOCK_DGRAM)
        self._server.setblocking(False)
        self._server.connect((address, port))
        self._loop.watch(self._server.fileno(), IN, self._answered)
        self._loop.after(IDLE, self._look)

    def send(self, data: bytes) -> None:
        """On to the container; a datagram that cannot be sent now is lost, as on any network."""
        self._quiet = False
        with contextlib.suppress(OSError):
            self._server.send(data)

    def close(self) -> None:
        """Forget it. Safe twice."""
        if self._server.fileno() >= 0:
            self._loop.forget(self._server.fileno())
            self._server.close()

    def _answered(self, _events: int) -> None:
        self._quiet = False
        with contextlib.suppress(OSError):
            self._back.sock.sendto(self._server.recv(BUFFER), self._name)

    def _look(self) -> None:
        if self._server.fileno() < 0:
            return
        if self._quiet:
            self._back.drop(self._name)
        else:
            self._quiet = True
            self._loop.after(IDLE, self._look)


class Datagrams:
    """A bound UDP socket and its peers."""

    __slots__ = ("_address", "_peers", "_port", "loop", "sock")

    def __init__(self, loop: Loop, sock: socket.socket, address: str, port: int) -> None:
        sock.setblocking(False)
        self.loop = loop
        self.sock = sock
        self._address = address
        self._port = port
        self._peers: dict[tuple[object, ...], Peer] = {}
        loop.watch(sock.fileno(), IN, self._arrived)

    def drop(self, name: tuple[object, ...]) -> None:
        """A peer has been silent for long."""
        self._peers.pop(name).close()

    def close(self) -> None:
        """Forget the socket and every peer."""
        for peer in self._peers.values():
            peer.close()
        self._peers.clear()
        self.loop.forget(self.sock.fileno())
        self.sock.close()

    def _arrived(self, _events: int) -> None:
        with contextlib.suppress(OSError):
            data, name = self.sock.recvfrom(BUFFER)
            peer = self._peers.get(name)
            if peer is None:
                peer = self._peers[name] = Peer(self, name, self._address, self._port)
            peer.send(data)


class Forwarder:
    """What is served, by owner."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._served: dict[str, list[Stream | Datagrams]] = {}

    def hear(self, channel: Channel, kind: str, _serial: int, body: Body, fds: list[int]) -> None:
        """Perform one message; a release is answered when the ports are free."""
        if kind == "release":
            for one in self._served.pop(body["owner"], ()):
                one.close()
            channel.send("released", 0, body)
            return
        for (protocol, address, port), fd in zip(body["forwards"], fds, strict=True):
            serve = Datagrams if protocol == "udp" else Stream
            one = serve(self._loop, socket.socket(fileno=fd), address, port)
            self._served.setdefault(body["owner"], []).append(one)


def main(_arguments: list[str]) -> None:
    """``forwarder``, its channel on descriptor 0."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    loop = Loop()
    Channel(loop, socket.socket(fileno=0), Forwarder(loop).hear, lambda _channel: loop.stop())
    loop.run()
