"""What a supervisor that was killed leaves to its successor: a small file for every running process.

``EXEC-ROOT/processes/CONTAINER[.EXEC]`` holds the marshalled fields below; it goes when the exit is acknowledged.
"""

from __future__ import annotations

import marshal
import os

from tare.linux import process as kernel
from tare.supervisor import exits
from tare.supervisor.notes import note
from tare.supervisor.process import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from tare.supervisor.loop import Loop


class Ledger:
    """The files under ``folder``, one for each process that runs or whose exit is not yet acknowledged."""

    __slots__ = ("_folder",)

    def __init__(self, folder: str) -> None:
        self._folder = folder
        os.makedirs(folder, 0o700, exist_ok=True)

    def keep(self, process: Process) -> None:
        """Remember a process that has come to life. Raises OSError."""
        fields = {
            "container": process.container,
            "exec": process.exec_id,
            "pid": process.pid,
            "start_time": process.start_time,
            "started_at": process.started_at,
            "cgroups": process.cgroups,
            "exit_record": process.exit_record,
        }
        exits.replace(self._path(process), marshal.dumps(fields, 2))

    def drop(self, process: Process) -> None:
        """Forget a process, and the record of its exit."""
        exits.remove(self._path(process))
        exits.remove(process.exit_record)

    def adopt(self, loop: Loop, ended: Callable[[Process], None]) -> list[Process]:
        """The processes that the last supervisor left: those that run are watched again, of the others the exit is known or
        honestly unknown (``ended`` is called for them too, soon). Their stdio went with the last supervisor: they are
        ``adopted`` until somebody has spare copies of it."""
        found = []
        for name in sorted(os.listdir(self._folder)):
            path = f"{self._folder}/{name}"
            try:
                with open(path, "rb") as file:
                    fields = marshal.loads(file.read())
                process = Process(
                    loop,
                    fields["container"],
                    fields["exec"],
                    cgroups=fields["cgroups"],
                    exit_record=fields["exit_record"],
                    ended=ended,
                )
                process.pid, process.start_time = fields["pid"], fields["start_time"]
                process.started_at = fields["started_at"]
            except (OSError, ValueError, EOFError, TypeError, KeyError) as error:
                note(f"{path} is passed over: {error}")
                exits.remove(path)
                continue
            self._resume(loop, process)
            found.append(process)
        return found

    @staticmethod
    def _resume(loop: Loop, process: Process) -> None:
        process.exit = exits.read_record(process.exit_record) if process.exit_record else None
        if process.exit is not None:
            return
        process.adopted = True
        pid, start_time = process.pid, process.start_time
        try:
            process.born(pid, child=False, start_time=start_time, started_at=process.started_at)
            # Compared after the descriptor is open: from then on the number cannot change hands unseen.
            same = kernel.start_time(pid) == start_time
        except OSError:
            same = False
        if not same:
            loop.after(0, process.lost)

    def _path(self, process: Process) -> str:
        name = f"{process.container}.{process.exec_id}" if process.exec_id else process.container
        return f"{self._folder}/{name}"
