"""The supervisor's side of the janitor: what is removed in the background, and who must wait for it.

Messages: supervisor → janitor ``clean`` {"tasks": [[number, [cgroup, ...], [path, ...]], ...]}; janitor → supervisor ``done``
{"tasks": [number, ...], "left": [[path, why], ...]}.
"""

from __future__ import annotations

from tare.supervisor.companion import Companion
from tare.supervisor.notes import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tare.supervisor.channel import Channel
    from tare.supervisor.loop import Loop, Timer
    from tare.supervisor.messages import Body

    Task = tuple[int, list[str], list[str]]

CGROUPS = "/sys/fs/cgroup/"
PAUSE = 0.01
"""Seconds until the janitor is told: nobody waits, the end of a container brings two tasks, and its last process must be
quite gone before its cgroups can go."""


class Cleaning:
    """Knows what is being removed, tells it again to a janitor that was started again, and calls those who wait."""

    __slots__ = ("_janitor", "_loop", "_number", "_tasks", "_timer", "_untold", "_waiting")

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._tasks: dict[int, Task] = {}
        self._untold: list[Task] = []
        self._number = 0
        self._timer: Timer | None = None
        self._waiting: list[tuple[frozenset[str], Callable[[], None]]] = []
        self._janitor = Companion(loop, "janitor", (), self._hear, started=self._started)
        self._janitor.start()

    def remove(self, paths: Sequence[str]) -> None:
        """Remove trees, and cgroups where a path lies in the cgroup file system, in the background."""
        cgroups = [path for path in paths if path.startswith(CGROUPS)]
        trees = [path for path in paths if not path.startswith(CGROUPS)]
        # Told apart, so that who waits for cgroups does not wait for trees.
        kinds: tuple[tuple[list[str], list[str]], ...] = ((cgroups, []), ([], trees))
        for task in kinds:
            if any(task):
                self._number += 1
                self._tasks[self._number] = (self._number, *task)
                self._untold.append(self._tasks[self._number])
        if self._untold and self._timer is None:
            self._timer = self._loop.after(PAUSE, self._tell)

    def when_gone(self, cgroups: Sequence[str], action: Callable[[], None]) -> None:
        """Call ``action`` when none of these cgroups is being removed: at once if that is so now. Whoever makes a cgroup that
        the janitor is about to remove would lose it before its first process is in."""
        wanted = frozenset(cgroups)
        if self._tasks and wanted & self._going():
            self._waiting.append((wanted, action))
            self._tell()
        else:
            action()

    def stop(self) -> None:
        """Let the janitor finish and go."""
        self._tell()
        self._janitor.stop()

    def _tell(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._untold:
            untold, self._untold = self._untold, []
            self._janitor.send("clean", 0, {"tasks": untold})

    def _going(self) -> set[str]:
        return {path for _, cgroups, _ in self._tasks.values() for path in cgroups}

    def _hear(self, _channel: Channel, _kind: str, _serial: int, body: Body, _fds: list[int]) -> None:
        for number in body["tasks"]:
            self._tasks.pop(number, None)
        for path, why in body["left"]:
            note(f"janitor: {path}: {why}")
        if self._waiting:
            going = self._going()
            waiting, self._waiting = self._waiting, []
            for wanted, action in waiting:
                if wanted & going:
                    self._waiting.append((wanted, action))
                else:
                    action()

    def _started(self) -> None:
        self._untold = list(self._tasks.values())
        self._tell()
