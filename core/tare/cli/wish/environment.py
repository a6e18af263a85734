"""Environment variables and labels, from flags and from files."""

from __future__ import annotations

from tare.cli.surroundings import variable
from tare.errors import Invalid


def environment(given: list[str], files: list[str]) -> list[str]:
    """``NAME=value`` words: those of files first. A bare NAME takes our own value; where we have none, one of a file is
    left out and one of a flag stays bare, which takes the image's variable away."""
    words = [word for path in files for word in _lines(path, "environment file")]
    for word in given:
        if word.startswith("="):
            raise Invalid(f"invalid environment variable: {word}", subject=word)
    from_files = [named for word in words if "=" in (named := _with_value(word))]
    return from_files + [_with_value(word) for word in given]


def _with_value(word: str) -> str:
    if "=" in word or (ours := variable(word)) is None:
        return word
    return f"{word}={ours}"


def labels(given: list[str], files: list[str]) -> dict[str, str]:
    for word in given:
        if not word or word.startswith("="):
            raise Invalid(f"invalid label {word!r}: empty name", subject=word, hint="write NAME=value")
    return pairs([word for path in files for word in _lines(path, "label file")] + given)


def pairs(words: list[str]) -> dict[str, str]:
    """``name=value`` words as a dict; a bare name has an empty value."""
    found = {}
    for word in words:
        name, _, value = word.partition("=")
        found[name] = value
    return found


def _lines(path: str, what: str) -> list[str]:
    """The words of a file: one a line, without comments and blanks (docker(1), "--env-file")."""
    try:
        with open(path, "rb") as file:
            text = file.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Invalid(f"{what} {path} is not UTF-8", subject=path) from None
    except OSError as error:
        raise Invalid(f"cannot read {what} {path}: {(error.strerror or '').lower()}", subject=path) from None
    words = []
    # Not splitlines: a value may hold what Unicode calls the end of a line.
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r").lstrip()
        if not line or line.startswith("#"):
            continue
        name = line.partition("=")[0]
        if not name or name != "".join(name.split()):
            raise Invalid(f"{what} {path}, line {number}: {name!r} is no name", subject=path, hint="names have no spaces")
        words.append(line)
    return words
