"""Somebody who flushes or reloads the host's rules takes ours with them: a thread that hears of it and puts them back."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable

QUIET = 0.2
"""Seconds without another change before anything is put back: a reload is many changes."""


class Guard:
    """``watch`` is a descriptor that becomes readable with each change, ``disturbed`` says whether others made it (and
    empties it), ``repair`` is called, in the thread of the guard, when the others have come to rest."""

    def __init__(self, watch: int, disturbed: Callable[[], bool], repair: Callable[[], None]) -> None:
        self._watch = watch
        self._disturbed = disturbed
        self._repair = repair
        self._end, self._ender = os.pipe2(os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="network-guard", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Safe twice."""
        if self._ender >= 0:
            # A process that was forked meanwhile has the pipe too, so closing it would say nothing.
            os.write(self._ender, b"\0")
            os.close(self._ender)
            self._ender = -1
            self._thread.join()
            os.close(self._end)

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._watch, select.POLLIN)
        poll.register(self._end, select.POLLIN)
        due = False
        while True:
            ready = [fd for fd, _events in poll.poll(QUIET * 1000 if due else None)]
            if self._end in ready:
                return
            if ready:
                due = self._disturbed() or due
            elif due:
                due = False
                self._repair()
