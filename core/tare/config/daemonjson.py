"""``tare config import daemon.json``: Docker's configuration as tare's TOML.

The file may be UTF-8 or BOM-marked UTF-16, as dockerd accepts. What real files have and JSON has not (comments, a comma
before a closing bracket) is taken with a warning. A key that Docker does not know is an error; one that tare does not
honour is written as a comment with the reason.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tare.config import toml, values
from tare.config.keys import ALIASES, FORMER, KEYS
from tare.config.load import nearest, sentence, spell
from tare.errors import Invalid, NotFound

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))

# daemon.json flattens these tables, whose keys then stand on their own.
_FLATTENED = ("proxies",)


@dataclass(slots=True)
class Imported:
    """``text`` is a TOML document; ``warnings`` are lines for stderr."""

    text: str
    warnings: list[str] = field(default_factory=list)


def import_json(path: Path) -> Imported:
    """Convert a file. Raises NotFound, Invalid with a line for each problem."""
    source = _read(path)
    stripped, warnings = _without_extras(source)
    try:
        document = json.loads(stripped if stripped.strip() else "{}", object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise Invalid(f"{path}:{error.lineno}: {error.msg.lower()}", subject=str(path)) from None
    except ValueError as error:
        raise Invalid(f"{path}: {error}", subject=str(path)) from None
    except RecursionError:
        raise Invalid(f"{path}: is nested too deeply", subject=str(path)) from None
    if not isinstance(document, dict):
        raise Invalid(f"{path}: must be an object, not {values.named(document)}", subject=str(path))
    imported = Imported("", [f"{path}: {warning}" for warning in warnings])
    _convert(path, document, imported)
    return imported


def _convert(path: Path, document: Mapping[str, Any], imported: Imported) -> None:
    taken: dict[str, Any] = {}
    left: list[str] = []
    problems: list[str] = []
    for name, value in _flat(document).items():
        target = ALIASES.get(name, "")
        key = KEYS.get(target)
        if key is None:
            problems.append(f"{path}: {spell((name,))}: unknown key{nearest(name, (), ALIASES)}")
            continue
        if target in taken:
            problems.append(f"{path}: {name}: the same as another key of this file ({target})")
            continue
        if name in FORMER:
            imported.warnings.append(f"{path}: {name} is an old name for {target}")
        value = [value] if name == "host-gateway-ip" else value
        why = key.refused or key.ignored
        if target == "runtime.default" and value == "runc":
            why = "tare's own runtime, ns, is the default"
        try:
            if not why:
                values.check(key, value)
        except values.NotYet as wrong:
            why = sentence(wrong)
        except values.Wrong as wrong:
            problems.append(f"{path}: {spell((name, *wrong.at))}: {sentence(wrong)}")
        if why:
            imported.warnings.append(f"{path}: {name} is left out: {why}")
            left += [f"# {why}:", *(f"# {line}" for line in f"{name} = {_shown(value)}".splitlines())]
        else:
            taken[target] = value
    if problems:
        raise Invalid("\n".join(problems), subject=str(path))
    if any(str(host).startswith("tcp://") for host in taken.get("api.hosts", ())):
        imported.warnings.append(f"{path}: hosts has a tcp:// address: tared refuses it without api.allow-plain-tcp = true")
    ordered = {key: taken[key] for key in KEYS if key in taken}
    head = [f"# from {path}", *left, *([""] if left else [])]
    imported.text = "\n".join([*head, *toml.lines(ordered)]) + "\n"


def _flat(document: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in document.items():
        if name in _FLATTENED and isinstance(value, dict):
            flat.update(value)
        else:
            flat[name] = value
    return flat


def _shown(value: object) -> str:
    try:
        return toml.value(value)
    except TypeError:
        return json.dumps(value)


def _read(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"no file {path}", subject=str(path)) from None
    except OSError as error:
        raise Invalid(f"{path}: cannot be read: {error.strerror}", subject=str(path)) from None
    encoding = "utf-8"
    for bom, named in _BOMS:
        if raw.startswith(bom):
            raw, encoding = raw.removeprefix(bom), named
            break
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise Invalid(f"{path}: is not {encoding.upper()}: {error.reason}", subject=str(path)) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in pairs:
        if name in made:
            raise ValueError(f"{name} is given twice")
        made[name] = value
    return made


def _without_extras(source: str) -> tuple[str, list[str]]:
    """(strict JSON with every line where it was, warnings for what had to go)."""
    kept: list[str] = []
    warnings: list[str] = []
    at, line, comma = 0, 1, -1
    while at < len(source):
        character = source[at]
        length, gone = 1, False
        if character == '"':
            length = _string_length(source, at)
        elif character == "#" or source.startswith(("//", "/*"), at):
            length, gone = _comment_length(source, at), True
            warnings.append(f"line {line}: a comment is no JSON")
        elif character in "]}" and comma >= 0:
            kept[comma] = ""
            warnings.append(f"line {line}: a comma before {character} is no JSON")
        piece = source[at : at + length]
        line += piece.count("\n")
        at += length
        if character == ",":
            comma = len(kept)
        elif not gone and not character.isspace():
            comma = -1
        kept.append("\n" * piece.count("\n") if gone else piece)
    return "".join(kept), warnings


def _string_length(source: str, at: int) -> int:
    end = at + 1
    while end < len(source) and source[end] not in '"\n':
        end += 2 if source[end] == "\\" else 1
    return end + 1 - at


def _comment_length(source: str, at: int) -> int:
    block = source.startswith("/*", at)
    end = source.find("*/" if block else "\n", at + 2 if block else at)
    if end < 0:
        return len(source) - at
    return end - at + (2 if block else 0)
