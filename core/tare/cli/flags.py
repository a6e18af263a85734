"""The one definition of a flag, and the parser for a command's flags.

Both the quick path and the click commands are built from the same tuples of ``Flag``. The rules are those of the pflag
library that Docker's users know: ``--name value``, ``--name=value``, ``-n value``, ``-nvalue``, ``-n=value``, clusters
(``-itd``), booleans with an optional ``=true|false``, ``--`` ends flags, and flags may follow positionals unless the
command hands its tail to somebody else.
"""

from __future__ import annotations

from tare.cli import values
from tare.cli.values import Misspelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any


class Misused(Exception):
    """The command line cannot be understood. The text is Docker's; ``exit_code`` too (125 for flags, 1 for arguments)."""

    def __init__(self, message: str, exit_code: int = 125) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


class HelpWanted(Exception):
    """--help was among the words."""


class Flag:
    """One flag. ``kind`` names a parser in ``values.KINDS``; kinds in ``values.REPEATED`` collect a list.

    ``key`` is the name under which the value is found (another flag's for a second spelling). ``refused`` is set where
    tare does not have what the flag asks for: any use of it is an error that names it.
    """

    __slots__ = ("help", "hidden", "key", "kind", "name", "refused", "short")

    def __init__(
        self, name: str, short: str = "", kind: str = "bool", help: str = "", *, key: str = "", hidden: bool = False,
        refused: bool = False,
    ) -> None:  # fmt: skip
        self.name = name
        self.short = short
        self.kind = kind
        self.help = help
        self.key = key or name
        self.hidden = hidden
        self.refused = refused

    @property
    def spelled(self) -> str:
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


class Options:
    """What a command was given: the flags' values by key, and the words that are no flags."""

    __slots__ = ("given", "words")

    def __init__(self, given: dict[str, Any], words: list[str]) -> None:
        self.given = given
        self.words = words

    def flag(self, key: str, default: bool = False) -> bool:
        return bool(self.given.get(key, default))

    def text(self, key: str, default: str = "") -> str:
        return str(self.given.get(key, default))

    def number(self, key: str, default: int = 0) -> int:
        return int(self.given.get(key, default))

    def many(self, key: str) -> list[str]:
        values: list[str] = self.given.get(key, [])
        return values


def parse(flags: Iterable[Flag], words: Sequence[str], *, interspersed: bool = True) -> Options:
    """Tell flags from words. Raises Misused or HelpWanted."""
    names = {flag.name: flag for flag in flags}
    shorts = {flag.short: flag for flag in names.values() if flag.short}
    given: dict[str, Any] = {}
    rest: list[str] = []
    queue = list(reversed(words))
    while queue:
        word = queue.pop()
        if word == "--":
            rest.extend(reversed(queue))
            break
        if word.startswith("--"):
            _long(word, names, queue, given)
        elif word.startswith("-") and word != "-":
            _cluster(word, shorts, queue, given)
        else:
            rest.append(word)
            if not interspersed:
                rest.extend(reversed(queue))
                break
    return Options(given, rest)


def _long(word: str, names: dict[str, Flag], queue: list[str], given: dict[str, Any]) -> None:
    name, equals, value = word[2:].partition("=")
    if not name or name.startswith("-"):
        raise Misused(f"bad flag syntax: {word}")
    flag = names.get(name)
    if flag is None:
        if name == "help":
            raise HelpWanted
        raise Misused(f"unknown flag: --{name}")
    if not equals:
        if flag.kind == "bool":
            value = "true"
        elif queue:
            value = queue.pop()
        else:
            raise Misused(f"flag needs an argument: --{name}")
    _take(flag, value, given)


def _cluster(word: str, shorts: dict[str, Flag], queue: list[str], given: dict[str, Any]) -> None:
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        flag = shorts.get(letter)
        if flag is None:
            if letter == "h":
                raise HelpWanted
            raise Misused(f"unknown shorthand flag: {letter!r} in {word}")
        if letters.startswith("="):
            value, letters = letters[1:], ""
        elif flag.kind == "bool":
            value = "true"
        elif letters:
            value, letters = letters, ""
        elif queue:
            value = queue.pop()
        else:
            raise Misused(f"flag needs an argument: {letter!r} in {word}")
        _take(flag, value, given)


def _take(flag: Flag, text: str, given: dict[str, Any]) -> None:
    try:
        value = values.KINDS[flag.kind](text)
    except Misspelled as wrong:
        raise Misused(f'invalid argument "{text}" for "{flag.spelled}" flag: {wrong}') from None
    if flag.kind in values.REPEATED:
        kept = given.setdefault(flag.key, [])
        kept.extend(value if isinstance(value, list) else [value])
    else:
        given[flag.key] = value
    if flag.refused and (value or flag.kind != "bool"):
        raise Misused(f"--{flag.name} is not supported yet")
