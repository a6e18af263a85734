"""In which line of a TOML file a key stands. tomllib gives values without positions; this scans the source again.

The scanner expects text that tomllib has accepted and therefore checks nothing; it follows TOML 1.0 (toml.io) as far as
one must to know where keys are: comments, the four kinds of string, arrays, inline tables, dotted and quoted keys,
tables and arrays of tables.
"""

from __future__ import annotations

from collections.abc import Mapping

Path = tuple[str | int, ...]

_SPACE = " \t"
_BLANK = " \t\r\n"
_BARE_END = " \t\r\n=.]#,}"
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}


def lines(text: str) -> Mapping[Path, int]:
    """Each key path of a valid TOML text → the line (from 1) in which it is first named. Items of arrays are integers."""
    return _Scanner(text).scan()


def line(found: Mapping[Path, int], path: Path) -> int:
    """The line of a path, or of its nearest ancestor, or 0."""
    while path:
        if path in found:
            return found[path]
        path = path[:-1]
    return 0


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._counted = 0
        self._found: dict[Path, int] = {}
        self._tables: dict[Path, int] = {}

    def scan(self) -> Mapping[Path, int]:
        table: Path = ()
        while self._skip(_BLANK):
            if self._peek("["):
                table = self._header()
            else:
                self._pair(table)
        return self._found

    def _peek(self, token: str) -> bool:
        return self._text.startswith(token, self._at)

    def _skip(self, blank: str) -> bool:
        """Go to the next character that is neither blank nor comment; False at the end of the text."""
        text = self._text
        while self._at < len(text):
            if text[self._at] in blank:
                self._at += 1
            elif text[self._at] == "#" and blank is _BLANK:
                end = text.find("\n", self._at)
                self._at = len(text) if end < 0 else end
            else:
                return True
        return False

    def _note(self, path: Path) -> None:
        """Remember the current line for a path and for parents that have none yet."""
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        for depth in range(1, len(path) + 1):
            self._found.setdefault(path[:depth], self._line)

    def _header(self) -> Path:
        array = self._peek("[[")
        self._at += 1 + array
        names = self._dotted()
        path = (*self._within(names[:-1]), names[-1])
        if array:
            count = self._tables.get(path, -1) + 1
            self._tables[path] = count
            path = (*path, count)
        self._note(path)
        self._at = self._text.index("]", self._at) + 1 + array
        return self._within(names)

    def _within(self, names: list[str]) -> Path:
        """The path of a header's names: an array of tables on the way means its newest table."""
        path: Path = ()
        for name in names:
            path = (*path, name)
            if path in self._tables:
                path = (*path, self._tables[path])
        return path

    def _pair(self, table: Path) -> None:
        path = (*table, *self._dotted())
        self._note(path)
        self._at = self._text.index("=", self._at) + 1
        self._skip(_SPACE)
        self._value(path)

    def _dotted(self) -> list[str]:
        names: list[str] = []
        while True:
            self._skip(_SPACE)
            names.append(self._string() if self._text[self._at] in "\"'" else self._bare())
            self._skip(_SPACE)
            if not self._peek("."):
                return names
            self._at += 1

    def _bare(self) -> str:
        start = self._at
        while self._at < len(self._text) and self._text[self._at] not in _BARE_END:
            self._at += 1
        return self._text[start : self._at]

    def _value(self, path: Path) -> None:
        character = self._text[self._at]
        if character in "\"'":
            self._string()
        elif character == "[":
            self._at += 1
            index = 0
            while self._skip(_BLANK + ",") and not self._peek("]"):
                if self._peek("#"):
                    self._skip(_BLANK)
                    continue
                self._note((*path, index))
                self._value((*path, index))
                index += 1
            self._at += 1
        elif character == "{":
            self._at += 1
            while self._skip(_BLANK + ",") and not self._peek("}"):
                self._pair(path)
            self._at += 1
        else:
            while self._at < len(self._text) and self._text[self._at] not in "\r\n#,]}":
                self._at += 1

    def _string(self) -> str:
        quote = self._text[self._at]
        if self._peek(quote * 3):
            return self._long(quote)
        self._at += 1
        parts: list[str] = []
        while (character := self._text[self._at]) != quote:
            if character == "\\" and quote == '"':
                parts.append(self._escape())
            else:
                parts.append(character)
                self._at += 1
        self._at += 1
        return "".join(parts)

    def _escape(self) -> str:
        kind = self._text[self._at + 1]
        if kind in "uU":
            width = 4 if kind == "u" else 8
            digits = self._text[self._at + 2 : self._at + 2 + width]
            self._at += 2 + width
            return chr(int(digits, 16))
        self._at += 2
        return _ESCAPES.get(kind, kind)

    def _long(self, quote: str) -> str:
        """A multi-line string: never a key, so its content does not matter. It may end in up to two more quotes."""
        self._at += 3
        while not self._peek(quote * 3):
            self._at += 2 if quote == '"' and self._peek("\\") else 1
        self._at += 3
        while self._peek(quote):
            self._at += 1
        return ""
