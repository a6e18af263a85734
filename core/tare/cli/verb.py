"""What a command is: a function and everything that its help and its parser need."""

from __future__ import annotations

from tare.cli.flags import Misused, Options, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tare.cli.flags import Flag
    from tare.client.client import Client


class Verb:
    """``perform(options, client)`` does the work and gives the exit code. ``failure`` is the exit code of its errors.

    ``least`` and ``most`` bound the words that are no flags (``most`` None: any number). Without ``interspersed`` the
    flags end at the first such word, because the rest is a command for the container.
    """

    __slots__ = ("failure", "flags", "interspersed", "least", "most", "perform", "summary", "usage")

    def __init__(
        self,
        perform: Callable[[Options, Client], int],
        summary: str,
        usage: str = "[OPTIONS]",
        flags: Sequence[Flag] = (),
        *,
        least: int = 0,
        most: int | None = 0,
        interspersed: bool = True,
        failure: int = 1,
    ) -> None:
        self.perform = perform
        self.summary = summary
        self.usage = usage
        self.flags = flags
        self.least = least
        self.most = most
        self.interspersed = interspersed
        self.failure = failure

    def read(self, path: str, words: Sequence[str]) -> Options:
        """The options in ``words``. ``path`` is the command as the user typed it. Raises Misused or HelpWanted."""
        options = parse(self.flags, words, interspersed=self.interspersed)
        count = len(options.words)
        if self.most is None:
            if count < self.least:
                raise Misused(f"'tare {path}' requires at least {_arguments(self.least)}", 1)
        elif self.most == 0 and count:
            raise Misused(f"'tare {path}' accepts no arguments", 1)
        elif self.least == self.most != count:
            raise Misused(f"'tare {path}' requires {_arguments(self.least)}", 1)
        elif not self.least <= count <= self.most:
            few = count < self.least
            bound = f"at least {_arguments(self.least)}" if few else f"at most {_arguments(self.most)}"
            raise Misused(f"'tare {path}' requires {bound}", 1)
        return options


def _arguments(count: int) -> str:
    return f"{count} argument" + ("" if count == 1 else "s")
