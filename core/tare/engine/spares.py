"""Spare copies of what containers write to: a supervisor that dies takes no stream with it.

A process that still runs a moment after its start has the descriptors that the supervisor reads from copied into tared, in
the background. They cost nothing while all is well; a later supervisor is given them and reads on. The writing end of a
stdin is never among them: a copy would keep a process from seeing the end of its input. With them goes a pidfd, by which the
kernel (6.15) tells how a process ended that no supervisor lived to see. Copies take no more than half of the descriptors
that tared may have: the rest is for its clients, who come first.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from tare.engine.supervision import Supervision
from tare.errors import NotFound, TareError, Unavailable
from tare.linux import process as kernel
from tare.supervisor import exits

log = logging.getLogger(__name__)

Key = tuple[str, str]
"""Container and exec."""

AGE = 1.0
"""Seconds that a process must have run: most containers end sooner, and no start shall pay for this."""


class Spares:
    """Which processes are ``young``, which are being asked for, whose copies are here, and whose streams are lost."""

    def __init__(self, supervision: Supervision, spawn: Callable[[Awaitable[Any], str], None]) -> None:
        self._supervision = supervision
        self._spawn = spawn
        self._young: dict[Key, float] = {}
        self._asked: set[Key] = set()
        self._kept: dict[Key, tuple[dict[str, Any], list[int]]] = {}
        self._pidfds: dict[Key, int] = {}
        self._lost: set[Key] = set()
        self._late: set[Key] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._full = False

    def expect(self, container: str, exec: str = "") -> None:
        """A process has been started."""
        loop = asyncio.get_running_loop()
        self._young[container, exec] = loop.time() + AGE
        if self._timer is None:
            self._timer = loop.call_later(AGE, self._grown)

    def hold(self) -> None:
        """The supervisor has died: until the next one has had its copies, nothing is dropped. What a process wrote before it
        ended may be in them alone."""
        if self._late is None:
            self._late = set()

    def drop(self, container: str, exec: str = "") -> None:
        """It has ended, or will be said to have. Harmless for one that is not known."""
        key = container, exec
        if self._late is not None:
            self._late.add(key)
            return
        self._young.pop(key, None)
        self._asked.discard(key)
        self._lost.discard(key)
        _close(self._kept.pop(key, (None, ()))[1])

    def complete(self, container: str, exec: str, exit: dict[str, Any]) -> dict[str, Any]:
        """``exit`` of messages, for the last time; where the supervisor does not know it, as the kernel tells it, if it does."""
        pidfd = self._pidfds.pop((container, exec), -1)
        if pidfd < 0:
            return exit
        status = exits.of_stranger(pidfd) if exit.get("unknown") else None
        os.close(pidfd)
        if status is None:
            return exit
        return {**exit, **exits.of_status(status, exit["oom"]), "at": exit["at"], "unknown": False}

    def lost(self, container: str, exec: str = "") -> bool:
        """Whether it runs without streams: whoever held them was killed, and there was no copy."""
        return (container, exec) in self._lost

    async def adopt(self, processes: Sequence[dict[str, Any]]) -> None:
        """``processes`` of ``hello``: what a new supervisor has adopted gets its streams back, also what has ended since then
        and left its last words in them; of the rest they are fetched. Raises Unavailable when it has died meanwhile: the copies
        are kept for the next one."""
        known = {(one["container"], one["exec"]): one for one in processes}
        running = [key for key, one in known.items() if one["exit"] is None]
        for key, one in known.items():
            if one.get("adopted") and (key in self._kept or one["exit"] is None):
                await self._resume(key)
        late, self._late = self._late or set(), None
        for key in late | (self._kept.keys() - set(running)):
            self.drop(*key)
        for key in self._pidfds.keys() - known.keys():
            self.complete(*key, {})
        self._spawn(self._fetch([key for key in running if key not in self._lost]), "fetching spare copies of streams")

    def close(self) -> None:
        """Close every copy."""
        if self._timer is not None:
            self._timer.cancel()
        self._late = None
        for key in list(self._kept):
            self.drop(*key)
        _close(self._pidfds.values())
        self._pidfds.clear()

    def _grown(self) -> None:
        loop = asyncio.get_running_loop()
        due = [key for key, at in self._young.items() if at <= loop.time()]
        for key in due:
            del self._young[key]
        self._timer = loop.call_at(min(self._young.values()), self._grown) if self._young else None
        if due:
            self._spawn(self._fetch(due), "fetching spare copies of streams")

    async def _fetch(self, keys: Iterable[Key]) -> None:
        for key in keys:
            if key in self._kept or key in self._asked:
                continue
            if not self._room():
                return
            self._asked.add(key)
            received: list[int] = []
            try:
                container, exec = key
                answer = await self._supervision.ask("spares", {"container": container, "exec": exec}, received=received)
                # It may have ended while the answer was on its way.
                if key in self._asked and len(received) == len(answer["streams"]):
                    self._kept[key] = answer, received
                    received = []
                    self._watch(key, answer["pid"], answer["start_time"])
            except TareError as error:
                if not isinstance(error, NotFound | Unavailable):
                    log.warning("container %s: no spare copies of its streams: %s", container[:12], error)
            finally:
                self._asked.discard(key)
                _close(received)

    def _room(self) -> bool:
        """Whether another process may have copies: of its input or output, and a pidfd."""
        held = len(self._pidfds) + sum(len(fds) for _answer, fds in self._kept.values()) + 4 * len(self._asked)
        limit, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if limit == resource.RLIM_INFINITY or held + 4 <= limit // 2:
            self._full = False
        elif not self._full:
            self._full = True
            log.warning(
                "so many processes run that no more can have spare copies of their streams: if the supervisor is killed, they "
                "lose what they write (raise tared's limit of open files, LimitNOFILE)"
            )
        return not self._full

    def _watch(self, key: Key, pid: int, start_time: int) -> None:
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            return
        try:
            # Compared after the descriptor is open: from then on the number cannot change hands unseen.
            same = kernel.start_time(pid) == start_time
        except OSError:
            same = False
        if same:
            self._pidfds[key] = pidfd
        else:
            os.close(pidfd)

    async def _resume(self, key: Key) -> None:
        container, exec = key
        name = f"exec {exec[:12]} in container {container[:12]}" if exec else f"container {container[:12]}"
        if key not in self._kept:
            self._lost.add(key)
            log.warning("%s runs on without its output streams: they were lost with the supervisor; what it writes fails", name)
            return
        answer, fds = self._kept[key]
        try:
            await self._supervision.ask("resume", {"container": container, "exec": exec, **answer}, fds)
        except NotFound:
            self.drop(container, exec)
        except Unavailable:
            raise
        except TareError as error:
            log.error("%s: its streams cannot be resumed: %s", name, error)


def _close(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)
