"""Go's text/template notation cut into tokens (pkg.go.dev/text/template)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_KEYWORDS = ("block", "break", "continue", "define", "else", "end", "if", "range", "nil", "template", "with")
_SPACES = " \t\r\n"


class SyntaxFault(Exception):
    """What is wrong and in which line of the template."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(f"template: :{line}: {message}")


class Token:
    __slots__ = ("kind", "line", "position", "text")

    def __init__(self, kind: str, position: int, text: str, line: int) -> None:
        self.kind = kind
        self.position = position
        self.text = text
        self.line = line

    def __str__(self) -> str:
        if self.kind == "eof":
            return "EOF"
        if self.kind in _KEYWORDS:
            return f"<{self.text}>"
        return quoted(self.text[:10]) + "..." if len(self.text) > 10 else quoted(self.text)


def quoted(text: str) -> str:
    """As Go's %q writes a string."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    out = ['"']
    for letter in text:
        code = ord(letter)
        if letter in '"\\':
            out.append("\\" + letter)
        elif letter in "\a\b\f\n\r\t\v":
            out.append("\\" + "abfnrtv"["\a\b\f\n\r\t\v".index(letter)])
        elif letter == " " or letter.isprintable():
            out.append(letter)
        elif code < 0x80:
            out.append(f"\\x{code:02x}")
        else:
            out.append(f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return "".join(out) + '"'


def tokens(text: str) -> Iterator[Token]:
    """Text and actions alternately; inside an action one token each for what Go's lexer separates."""
    place, line, trim = 0, 1, False
    while True:
        start = text.find("{{", place)
        end = len(text) if start < 0 else start
        plain = text[place:end]
        following = text[start + 2 : start + 4] if start >= 0 else ""
        kept = plain.lstrip(_SPACES) if trim else plain
        lost = len(plain) - len(kept)
        if _trims(following):
            kept = kept.rstrip(_SPACES)
        if kept:
            yield Token("text", place + lost, kept, line + plain[:lost].count("\n"))
        line += plain.count("\n")
        if start < 0:
            yield Token("eof", len(text), "", line)
            return
        place = start + 2
        if _trims(following):
            place += 2
            line += following.count("\n")
        if text.startswith("/*", place):
            close = text.find("*/", place)
            if close < 0:
                raise SyntaxFault("unclosed comment", line)
            line += text.count("\n", place, close)
            place = close + 2
            trim = _trims_after(text, place)
            place += 2 if trim else 0
            if not text.startswith("}}", place):
                raise SyntaxFault("comment ends before closing delimiter", line)
            place += 2
            continue
        yield Token("left", start, "{{", line)
        depth = 0
        while True:
            if text.startswith("}}", place) or _trims_after(text, place):
                if depth:
                    raise SyntaxFault("unclosed left paren", line)
                trim = text[place] != "}"
                yield Token("right", place, "}}", line)
                line += text.count("\n", place, place + 1)
                place += 4 if trim else 2
                break
            token, after = _token(text, place, line)
            depth += {"(": 1, ")": -1}.get(token.kind, 0)
            if depth < 0:
                raise SyntaxFault("unexpected right paren", line)
            yield token
            line += text.count("\n", place, after)
            place = after


def _trims(opening: str) -> bool:
    """Does what follows ``{{`` cut the space before it?"""
    return opening[:1] == "-" and opening[1:].strip(_SPACES) == "" != opening[1:]


def _trims_after(text: str, place: int) -> bool:
    """Is here a closing delimiter that cuts the space after it?"""
    return text[place : place + 1].strip(_SPACES) == "" and text.startswith("-}}", place + 1)


def _token(text: str, place: int, line: int) -> tuple[Token, int]:
    letter = text[place : place + 1]
    if not letter:
        raise SyntaxFault("unclosed action", line)
    if letter in _SPACES:
        end = place
        while text[end : end + 1] in _SPACES and end < len(text) and not _trims_after(text, end):
            end += 1
        return Token("space", place, text[place:end], line), end
    if text.startswith(":=", place):
        return Token("declare", place, ":=", line), place + 2
    if letter in "=|()":
        return Token({"=": "assign", "|": "pipe"}.get(letter, letter), place, letter, line), place + 1
    if letter in "\"'`":
        return _quotation(text, place, line)
    digits = "0123456789"
    if (
        letter in digits
        or (letter in "+-" and _next_in(text, place, digits + "."))
        or (letter == "." and _next_in(text, place, digits))
    ):
        return _number(text, place, line)
    if letter in ".$" or letter == "_" or letter.isalpha():
        end = place + 1
        while end < len(text) and (text[end] == "_" or text[end].isalnum()):
            end += 1
        word = text[place:end]
        if end < len(text) and text[end] not in _SPACES + ".,|:=)(" and not text.startswith("}}", end):
            raise SyntaxFault(f"bad character U+{ord(text[end]):04X} {_rune(text[end])}", line)
        kind = "field" if letter == "." and len(word) > 1 else {".": "dot", "$": "variable"}.get(letter, "identifier")
        if kind == "identifier":
            kind = word if word in _KEYWORDS else "bool" if word in ("true", "false") else kind
        return Token(kind, place, word, line), end
    if letter == ",":
        return Token("char", place, letter, line), place + 1
    if " " < letter < "\x7f":
        return Token("char", place, letter, line), place + 1
    raise SyntaxFault(f"unrecognized character in action: U+{ord(letter):04X} {_rune(letter)}", line)


def _rune(letter: str) -> str:
    return f"'{letter}'" if letter.isprintable() else ""


def _next_in(text: str, place: int, letters: str) -> bool:
    return text[place + 1 : place + 2] != "" and text[place + 1] in letters


def _quotation(text: str, place: int, line: int) -> tuple[Token, int]:
    mark = text[place]
    names = {'"': "quoted string", "'": "character constant", "`": "raw quoted string"}
    end = place + 1
    while True:
        letter = text[end : end + 1]
        if not letter or (letter == "\n" and mark != "`"):
            raise SyntaxFault(f"unterminated {names[mark]}", line)
        if letter == mark:
            break
        end += 2 if letter == "\\" and mark != "`" else 1
    return Token({'"': "string", "'": "number", "`": "string"}[mark], place, text[place : end + 1], line), end + 1


def _number(text: str, place: int, line: int) -> tuple[Token, int]:
    end = place + 1
    while end < len(text) and (text[end].isalnum() or text[end] in "._" or (text[end] in "+-" and text[end - 1] in "eEpP")):
        end += 1
    word = text[place:end]
    if isinstance(number(word), str):
        raise SyntaxFault(f"bad number syntax: {quoted(word)}", line)
    return Token("number", place, word, line), end


def number(word: str) -> int | float | str:
    """The value of a Go number or character constant; a string with the fault where it is none."""
    if word.startswith("'"):
        letter = unquoted(word)
        return ord(letter) if len(letter) == 1 else f"malformed character constant: {word}"
    bare = word.lstrip("+-")
    if len(bare) > 1 and bare[0] == "0" and bare.replace("_", "").isdigit():
        word = word.replace(bare, "0o" + bare[1:])
    try:
        return int(word, 0)
    except ValueError:
        pass
    try:
        return float.fromhex(word) if bare[:2] in ("0x", "0X") else float(word)
    except ValueError:
        return f"bad number syntax: {word}"


def unquoted(text: str) -> str:
    """The value of a Go string, raw string or character literal; ValueError where an escape is none."""
    inner = text[1:-1]
    if text[0] == "`" or "\\" not in inner:
        return inner
    plain = dict(zip("abfnrtv\\'\"", "\a\b\f\n\r\t\v\\'\"", strict=True))
    out, place = [], 0
    while place < len(inner):
        letter = inner[place]
        if letter != "\\":
            out.append(letter)
            place += 1
            continue
        kind = inner[place + 1]
        digits = {"x": 2, "u": 4, "U": 8}.get(kind, 0)
        if kind in plain:
            out.append(plain[kind])
            place += 2
        elif digits:
            out.append(chr(int(inner[place + 2 : place + 2 + digits], 16)))
            place += 2 + digits
        else:
            out.append(chr(int(inner[place + 1 : place + 4], 8)))
            place += 4
    return "".join(out)
