"""The supervisor's side of the janitor: what is removed in the background, and who must wait for it.

Messages: supervisor → janitor ``clean`` {"paths": [...], "cgroups": [...]}, answered with ``ok`` {"left": [[path, why]]}.
"""

from __future__ import annotations

from tare.supervisor.companion import Companion
from tare.supervisor.loop import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tare.supervisor.channel import Channel
    from tare.supervisor.loop import Loop
    from tare.supervisor.messages import Body

CGROUPS = "/sys/fs/cgroup/"


class Cleaning:
    """Knows what is being removed, tells it again to a janitor that was started again, and calls those who wait."""

    __slots__ = ("_janitor", "_serial", "_tasks", "_waiting")

    def __init__(self, loop: Loop) -> None:
        self._tasks: dict[int, Body] = {}
        self._serial = 0
        self._waiting: list[tuple[frozenset[str], Callable[[], None]]] = []
        self._janitor = Companion(loop, "janitor", (), self._hear, started=self._started)
        self._janitor.start()

    def remove(self, paths: Sequence[str]) -> None:
        """Remove trees, and cgroups where a path lies in the cgroup file system, in the background."""
        cgroups = [path for path in paths if path.startswith(CGROUPS)]
        trees = [path for path in paths if not path.startswith(CGROUPS)]
        # Told apart, so that who waits for cgroups does not wait for trees.
        for task in ({"cgroups": cgroups, "paths": []}, {"cgroups": [], "paths": trees}):
            if task["cgroups"] or task["paths"]:
                self._serial += 1
                self._tasks[self._serial] = task
                self._janitor.send("clean", self._serial, task)

    def when_gone(self, cgroups: Sequence[str], action: Callable[[], None]) -> None:
        """Call ``action`` when none of these cgroups is being removed: at once if that is so now. Whoever makes a cgroup that
        the janitor is about to remove would lose it before its first process is in."""
        wanted = frozenset(cgroups)
        if wanted and wanted & self._going():
            self._waiting.append((wanted, action))
        else:
            action()

    def stop(self) -> None:
        """Let the janitor finish and go."""
        self._janitor.stop()

    def _going(self) -> set[str]:
        return {path for task in self._tasks.values() for path in task["cgroups"]}

    def _hear(self, _channel: Channel, _kind: str, serial: int, body: Body, _fds: list[int]) -> None:
        self._tasks.pop(serial, None)
        for path, why in body.get("left", ()):
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
        for serial, task in self._tasks.items():
            self._janitor.send("clean", serial, task)
