"""Who hears of what happens. One event loop owns a bus: publish and subscribe are called from it alone."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from weakref import WeakSet

from tare.events.filters import Filters, Test, compile_filters
from tare.model.event import Event

REMEMBERED = 256
BACKLOG = 1024


class Bus:
    """Remembers the last 256 events, as Docker does, and hands each one to every subscription that wants it."""

    def __init__(self) -> None:
        self._remembered: deque[Event] = deque(maxlen=REMEMBERED)
        self._subscriptions: WeakSet[Subscription] = WeakSet()

    @property
    def listeners(self) -> int:
        return len(self._subscriptions)

    def publish(self, event: Event) -> None:
        """Tell everybody. Never waits: a listener that does not read loses events and is told how many."""
        self._remembered.append(event)
        if self._subscriptions:
            for subscription in self._subscriptions:
                subscription.offer(event)

    def subscribe(self, since: int = 0, until: int = 0, filters: Filters | None = None) -> Subscription:
        """Listen from now on. Times are ns since the epoch, 0 for none; with either, remembered events come first. It ends
        at ``until``. Raises Invalid for an unknown filter."""
        wants = compile_filters(filters or {})
        past = [event for event in self._remembered if event.time >= since] if since or until else []
        subscription = Subscription(wants, until, past)
        if not until or until > time.time_ns():
            self._subscriptions.add(subscription)
        return subscription


class Subscription:
    """An asynchronous iterator over events; ``close`` it or just let go of it."""

    def __init__(self, wants: Test, until: int, past: list[Event]) -> None:
        self._wants = wants
        self._until = until
        self._waiting: deque[Event] = deque()
        self._dropped = 0
        self._closed = False
        self._news = asyncio.Event()
        for event in past:
            self.offer(event)

    def offer(self, event: Event) -> None:
        """Called by the bus."""
        if self._closed or (self._until and event.time > self._until) or not self._wants(event):
            return
        if len(self._waiting) >= BACKLOG:
            self._dropped += 1
        else:
            self._waiting.append(event)
        self._news.set()

    def close(self) -> None:
        """End the iteration once what waits has been read."""
        self._closed = True
        self._news.set()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Event:
        while not self._waiting:
            if self._dropped:
                return self._marker()
            if self._closed or self._over():
                raise StopAsyncIteration
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), self._left())
            except TimeoutError:
                continue
        return self._waiting.popleft()

    def _marker(self) -> Event:
        """Stands where events were lost."""
        count, self._dropped = self._dropped, 0
        return Event("daemon", "dropped", "", time.time_ns(), {"count": str(count)})

    def _over(self) -> bool:
        return bool(self._until) and time.time_ns() >= self._until

    def _left(self) -> float | None:
        return max(0.0, (self._until - time.time_ns()) / 1e9) if self._until else None
