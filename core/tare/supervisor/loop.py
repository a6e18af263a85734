"""The supervisor's one loop: descriptors by epoll(7), and timers."""

from __future__ import annotations

import heapq
import select
import time

from tare.supervisor.messages import buffer
from tare.supervisor.notes import report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

IN = select.EPOLLIN
OUT = select.EPOLLOUT
ENDED = select.EPOLLHUP | select.EPOLLERR
"""What epoll reports unasked: the other side is gone."""


class Timer:
    """An action to come. ``cancel`` may be called at any time, also after it."""

    __slots__ = ("action", "due")

    def __init__(self, due: float, action: Callable[[], None]) -> None:
        self.due = due
        self.action: Callable[[], None] | None = action

    def __lt__(self, other: Timer) -> bool:
        return self.due < other.due

    def cancel(self) -> None:
        self.action = None


class Loop:
    """Calls handlers, one at a time; ``room`` is for whichever receives. A handler that raises is reported on stderr and stays
    registered: nothing that one container does may end the supervisor. Handlers must bear a call for which there is nothing
    to do."""

    __slots__ = ("_epoll", "_forgotten", "_handlers", "_running", "_timers", "room")

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._forgotten: set[int] = set()
        self._timers: list[Timer] = []
        self._running = False
        self.room = buffer()

    def watch(self, fd: int, events: int, handler: Callable[[int], None]) -> None:
        """Call ``handler(events)`` whenever one of ``events`` (or ENDED) holds for ``fd``."""
        self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def change(self, fd: int, events: int) -> None:
        """Wait for other events on a watched descriptor."""
        self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """No longer watch ``fd``; call it before the descriptor is closed. Forgetting twice is harmless."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)
            self._forgotten.add(fd)

    def after(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Call ``action`` once, later."""
        timer = Timer(time.monotonic() + seconds, action)
        heapq.heappush(self._timers, timer)
        return timer

    def stop(self) -> None:
        """Let ``run`` return."""
        self._running = False

    def run(self) -> None:
        """Serve until ``stop``."""
        self._running = True
        poll, handlers, forgotten = self._epoll.poll, self._handlers, self._forgotten
        while self._running:
            forgotten.clear()
            for fd, events in poll(self._timeout(), 64):
                handler = handlers.get(fd)
                # A number that was forgotten in this round may be somebody else's by now, whose events come in the next.
                if handler is not None and fd not in forgotten:
                    try:
                        handler(events)
                    except Exception:
                        report()
            self._fire()

    def _timeout(self) -> float:
        timers = self._timers
        while timers and timers[0].action is None:
            heapq.heappop(timers)
        return max(0.0, timers[0].due - time.monotonic()) if timers else -1

    def _fire(self) -> None:
        timers = self._timers
        while timers and (timers[0].action is None or timers[0].due <= time.monotonic()):
            action = heapq.heappop(timers).action
            if action is not None:
                try:
                    action()
                except Exception:
                    report()
