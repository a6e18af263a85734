"""The supervisor's side of a runtime's template: asks for clones and starts the template again when it has died."""

from __future__ import annotations

from tare.errors import TareError, Unavailable, from_fields
from tare.supervisor.companion import Companion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tare.supervisor.channel import Channel
    from tare.supervisor.loop import Loop
    from tare.supervisor.messages import Body

    Answer = Callable[[Body | TareError], None]

LOADING = 30.0
"""Seconds that an entry may take to be imported. Until then it holds up the clones of its runtime, and nobody else."""


class Template:
    """One per runtime, of one ``build`` of the code. A template that dies before it ever answered (its driver cannot be imported
    without crashing) is not started again until somebody asks for it. One that hangs in an import is killed."""

    __slots__ = ("_asked", "_companion", "_entries", "_loop", "_proven", "_retired", "_runtime", "_serial", "build")

    def __init__(self, loop: Loop, runtime: str, build: str, soft_files: int, executable: str) -> None:
        self.build = build
        self._loop = loop
        self._runtime = runtime
        self._retired = False
        self._entries: dict[str, Body] = {}
        self._asked: dict[int, Answer] = {}
        self._serial = 0
        self._proven = False
        self._companion = Companion(
            loop,
            "template",
            (runtime, str(soft_files)),
            self._hear,
            started=self._started,
            lost=self._lost,
            executable=executable,
        )
        self._companion.start()

    def prepare(self, entry: str, path: Sequence[str], answer: Answer) -> None:
        """Let it import ``entry``; the answer is an error when it cannot."""
        self._companion.ensure()
        self._entries[entry] = {"entry": entry, "path": list(path)}

        def keep(said: Body | TareError) -> None:
            if isinstance(said, TareError):
                self._entries.pop(entry, None)
            answer(said)

        self._load(self._entries[entry], keep)

    def clone(self, body: Body, fds: Sequence[int], answer: Answer) -> None:
        """``clone`` of messages; the answer is that of ``cloned`` or an error."""
        self._companion.ensure()
        self._ask("clone", body, fds, answer)

    def retire(self) -> None:
        """Another takes its place: it answers what it was asked, and goes."""
        self._retired = True
        if not self._asked:
            self.stop()

    def stop(self) -> None:
        """Let it go."""
        self._companion.stop()

    def _load(self, wish: Body, answer: Answer) -> None:
        self._ask("template", wish, (), answer)
        serial = self._serial
        self._loop.after(LOADING, lambda: self._late(serial, wish["entry"]))

    def _late(self, serial: int, entry: str) -> None:
        answer = self._asked.pop(serial, None)
        if answer is None:
            return
        # Before the next template begins by loading what the last one had.
        self._entries.pop(entry, None)
        answer(
            Unavailable(
                f"the runtime's entry {entry} has not been imported within {LOADING:.0f} s",
                subject=entry,
                hint="its module waits for something while it is imported; mend or remove the plugin",
            )
        )
        self._companion.kill()

    def _ask(self, kind: str, body: Body, fds: Sequence[int], answer: Answer) -> None:
        self._serial += 1
        self._asked[self._serial] = answer
        self._companion.send(kind, self._serial, body, fds)

    def _hear(self, _channel: Channel, kind: str, serial: int, body: Body, _fds: list[int]) -> None:
        self._proven = True
        answer = self._asked.pop(serial, None)
        if answer is not None:
            answer(from_fields(**body) if kind == "error" else body)
        if self._retired and not self._asked:
            self.stop()

    def _started(self) -> None:
        for wish in self._entries.values():
            self._load(wish, _ignore)

    def _lost(self) -> None:
        self._companion.wanted = self._proven and not self._retired
        self._proven = False
        asked, self._asked = self._asked, {}
        entries = ", ".join(self._entries)
        for answer in asked.values():
            answer(Unavailable(f"the template of runtime {self._runtime} died ({entries})", subject=self._runtime))


def _ignore(_answer: Body | TareError) -> None:
    """An entry that was imported before is imported again; whoever needs it next hears of a failure."""
