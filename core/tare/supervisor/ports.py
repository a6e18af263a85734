"""Bound sockets kept for published ports, and the forwarder for those that the packet filter cannot serve."""

from __future__ import annotations

from tare.supervisor.companion import Companion
from tare.supervisor.messages import close_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tare.supervisor.channel import Channel
    from tare.supervisor.loop import Loop
    from tare.supervisor.messages import Body

    Forward = tuple[str, str, int]

PACKET = 200
"""Descriptors told to the forwarder in one message."""


class Ports:
    """Held by owner (a container). ``hold`` may come several times for one owner: a message carries 250 descriptors."""

    __slots__ = ("_forwarder", "_forwards", "_leaving", "_loop", "_sockets")

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._sockets: dict[str, list[int]] = {}
        self._forwards: dict[str, list[tuple[Forward, int]]] = {}
        self._leaving: dict[str, list[Callable[[Body], None]]] = {}
        self._forwarder: Companion | None = None

    @property
    def owners(self) -> list[str]:
        """For whom anything is held."""
        return list({**self._sockets, **self._forwards})

    def hold(self, owner: str, sockets: Sequence[int], forwards: Sequence[Forward], listening: Sequence[int]) -> None:
        """Keep bound ``sockets``; let the forwarder serve each of ``listening`` to its forward. The descriptors become ours."""
        self._sockets.setdefault(owner, []).extend(sockets)
        pairs = list(zip(forwards, listening, strict=True))
        if pairs:
            self._forwards.setdefault(owner, []).extend(pairs)
            if self._forwarder is None:
                # Its start tells it everything that is held, these included.
                self._forwarder = Companion(
                    self._loop, "forwarder", (), self._hear, started=self._started, lost=self._lost
                )
                self._forwarder.start()
            else:
                self._tell(owner, pairs)

    def release(self, owner: str, done: Callable[[Body], None]) -> None:
        """Close everything held for ``owner``; ``done({})`` when the ports are free, also of the forwarder's copies."""
        close_all(self._sockets.pop(owner, ()))
        pairs = self._forwards.pop(owner, ())
        close_all([fd for _forward, fd in pairs])
        if pairs and self._forwarder is not None and self._forwarder.channel.open:
            self._leaving.setdefault(owner, []).append(done)
            self._forwarder.send("release", 0, {"owner": owner})
        else:
            done({})

    def stop(self) -> None:
        """Let the forwarder go."""
        if self._forwarder is not None:
            self._forwarder.stop()

    def _hear(self, _channel: Channel, _kind: str, _serial: int, body: Body, _fds: list[int]) -> None:
        for done in self._leaving.pop(body["owner"], ()):
            done({})

    def _lost(self) -> None:
        """Its copies have died with it."""
        leaving, self._leaving = self._leaving, {}
        for waiting in leaving.values():
            for done in waiting:
                done({})

    def _started(self) -> None:
        for owner, pairs in self._forwards.items():
            self._tell(owner, pairs)

    def _tell(self, owner: str, pairs: Sequence[tuple[Forward, int]]) -> None:
        assert self._forwarder is not None
        for at in range(0, len(pairs), PACKET):
            some = pairs[at : at + PACKET]
            body = {"owner": owner, "forwards": [list(forward) for forward, _fd in some]}
            self._forwarder.send("forward", 0, body, [fd for _forward, fd in some])
