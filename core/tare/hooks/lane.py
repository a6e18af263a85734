"""Calling a plugin so that nothing it does can stop the daemon: a thread of its own, and a deadline on every call."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

log = logging.getLogger(__name__)

BACKLOG = 1000


class Late(Exception):
    """A call did not come back in time."""


Outcome = tuple[Any, BaseException | None]
"""What a function returned, or what it raised. A plugin's exception never travels as one through a future: SystemExit and
StopIteration would do harm there."""


def words(error: BaseException) -> str:
    """What was raised, also when it cannot say what it is."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


def outcome(function: Callable[[], Any]) -> Outcome:
    try:
        return function(), None
    except BaseException as error:
        return None, error


def call(function: Callable[[], Any], deadline: float, name: str) -> Outcome:
    """Call in a fresh thread and wait. Raises Late."""
    future: Future[Outcome] = Future()
    threading.Thread(target=lambda: future.set_result(outcome(function)), name=name, daemon=True).start()
    try:
        return future.result(deadline)
    except TimeoutError:
        raise Late from None


class Asking:
    """One plugin's ``before`` calls: one at a time, in order, each with an answer."""

    def __init__(self, plugin: str) -> None:
        self._plugin = plugin
        self._jobs: queue.SimpleQueue[tuple[Future[Outcome], Callable[[], Any]]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.late = 0

    def ask(self, function: Callable[[], Any]) -> Future[Outcome]:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=f"plugin-{self._plugin}", daemon=True)
            self._thread.start()
        future: Future[Outcome] = Future()
        self._jobs.put((future, function))
        return future

    def give_up(self, future: Future[Outcome]) -> None:
        """The caller has stopped waiting. A call that has begun counts as late until it comes back."""
        if not future.cancel():
            self.late += 1
            future.add_done_callback(self._came_back)

    def _came_back(self, _future: Future[Outcome]) -> None:
        self.late -= 1

    def _work(self) -> None:
        while True:
            future, function = self._jobs.get()
            if future.set_running_or_notify_cancel():
                future.set_result(outcome(function))


class Telling:
    """One plugin's ``after`` calls: one at a time, in order; nobody waits. What raises or is late is logged."""

    def __init__(self, plugin: str, deadline: float) -> None:
        self._plugin = plugin
        self._deadline = deadline
        self._changed = threading.Condition()
        self._waiting: deque[tuple[str, Callable[[], Any]]] = deque()
        self._current = ""
        self._since = 0.0
        self._dropped = 0
        self._started = False
        self._closing = False

    def tell(self, hook: str, function: Callable[[], Any]) -> None:
        with self._changed:
            if len(self._waiting) >= BACKLOG:
                if not self._dropped:
                    log.error("plugin %s does not keep up: it is no longer told of %s and more", self._plugin, hook)
                self._dropped += 1
                return
            self._waiting.append((hook, function))
            self._changed.notify_all()
            if not self._started:
                self._started = True
                for target in (self._work, self._watch):
                    threading.Thread(target=target, name=f"plugin-{self._plugin}", daemon=True).start()

    def settle(self, seconds: float) -> bool:
        """Wait until it has been told everything; False when that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._current, seconds)

    def close(self) -> None:
        """Let the threads end; a call that hangs keeps its own until the process ends."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                self._current, function = self._waiting.popleft()
                self._since = time.monotonic()
                self._changed.notify_all()
            _, error = outcome(function)
            if error is not None:
                log.error("plugin %s: %s: %s", self._plugin, self._current, words(error), exc_info=error)
            with self._changed:
                if self._dropped and not self._waiting:
                    log.error("plugin %s was not told %d times", self._plugin, self._dropped)
                    self._dropped = 0
                self._current = ""
                self._changed.notify_all()

    def _watch(self) -> None:
        """Says once of each call that it has missed its deadline."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._current or (self._closing and not self._waiting))
                if not self._current:
                    return
                since = self._since
                in_time = self._changed.wait_for(
                    lambda since=since: self._since != since or not self._current,  # type: ignore[misc]
                    self._deadline,
                )
                if not in_time:
                    log.error("plugin %s: %s did not come back within %g s", self._plugin, self._current, self._deadline)
                    self._changed.wait_for(lambda since=since: self._since != since or not self._current)  # type: ignore[misc]
