"""tared's flags: dockerd's spellings for the keys of the configuration, from the table in tare.config.keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tare.config import values
from tare.config.keys import FORMER_FLAGS, KEYS, Key
from tare.config.load import nearest
from tare.errors import Invalid

_LISTS = {"strings", "pairs", "labels", "hosts", "ips"}
_TABLES = {"log-opts", "ulimits", "runtimes"}
_TRUTH = dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True) | dict.fromkeys(
    ("0", "f", "F", "FALSE", "false", "False"), False
)


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag of tared. ``key`` is empty for those that are no keys (``--config-file``, ``--validate`` …)."""

    names: tuple[str, ...]
    type: str
    says: str
    key: str = ""

    @property
    def boolean(self) -> bool:
        return self.type == "bool"

    @property
    def repeated(self) -> bool:
        return self.type in _LISTS or self.type in _TABLES or self.type == "pools"


OWN = (
    Flag(("--config-file",), "path", "the configuration file (default /etc/tare/daemon.toml)"),
    Flag(("--validate",), "bool", "check the configuration and exit"),
    Flag(("--version", "-v"), "bool", "print the version and exit"),
    Flag(("--help", "-h"), "bool", "print this and exit"),
)


def flags_for_tared() -> tuple[Flag, ...]:
    """Every flag of tared, sorted by name; those of keys that are not supported are left out."""
    keyed = (Flag(key.flags, key.type, key.says, key.path) for key in KEYS.values() if key.flags and key.supported)
    return tuple(sorted((*OWN, *keyed), key=lambda flag: flag.names[0]))


@dataclass(slots=True)
class CommandLine:
    """A parsed command line: ``values`` by key path in TOML's types, as tare.config.load.load takes them."""

    values: dict[str, Any] = field(default_factory=dict)
    config_file: Path | None = None
    validate: bool = False
    version: bool = False
    help: bool = False


def parse(arguments: Sequence[str], own: Sequence[Flag] = ()) -> tuple[CommandLine, dict[str, str]]:
    """Parse tared's arguments as dockerd's are: ``--flag value``, ``--flag=value``, ``-Dl debug``, ``--flag=false``.

    ``own`` are further flags that take a value; what was given for them comes back by their first name. Raises Invalid
    for an unknown flag, a missing or bad value, or an argument that is no flag.
    """
    table = {name: flag for flag in (*flags_for_tared(), *own) for name in flag.names}
    line, rest = CommandLine(), {}
    queue = list(arguments)
    while queue:
        name, value, queue = _next(queue, table)
        flag = table[name]
        if flag.boolean:
            if value is not None and value not in _TRUTH:
                raise Invalid(f"invalid value {value!r} for {name}: must be true or false", subject=name)
            truth = value is None or _TRUTH[value]
            if flag.key:
                line.values[flag.key] = truth
            else:
                setattr(line, flag.names[0].lstrip("-"), truth)
            continue
        if value is None:
            if not queue:
                raise Invalid(f"flag needs an argument: {name}", subject=name)
            value, *queue = queue
        if flag.key:
            _put(line.values, flag, name, value)
        elif flag.names[0] == "--config-file":
            line.config_file = Path(value).absolute()
        else:
            rest[flag.names[0]] = value
    return line, rest


def _next(queue: list[str], table: dict[str, Flag]) -> tuple[str, str | None, list[str]]:
    """(flag's name, its attached value or None, what is left)."""
    word, *queue = queue
    if word.startswith("--") and word != "--":
        name, equals, value = word.partition("=")
        name = _known(name, table)
        return name, value if equals else None, queue
    if word.startswith("-") and len(word) > 1 and word != "--":
        name, value = _known(word[:2], table), word[2:]
        if table[name].boolean and value and not value.startswith("="):
            return name, None, ["-" + value, *queue]
        return name, value.removeprefix("=") if value else None, queue
    raise Invalid(f"tared takes no arguments: {word}", subject=word, hint="see 'tared --help'")


def _known(name: str, table: dict[str, Flag]) -> str:
    if name in table:
        return name
    if name in FORMER_FLAGS:
        return KEYS[FORMER_FLAGS[name]].flags[0]
    for key in KEYS.values():
        if name in key.flags:
            raise Invalid(f"{name}: {key.refused or key.ignored}", subject=name)
    kind = "shorthand flag" if not name.startswith("--") else "flag"
    raise Invalid(f"unknown {kind}: {name}{nearest(name, (), table)}", subject=name, hint="see 'tared --help'")


def _put(taken: dict[str, Any], flag: Flag, name: str, text: str) -> None:
    """Turn a flag's text into what the same key holds in TOML."""
    try:
        if flag.type in _LISTS:
            taken.setdefault(flag.key, []).append(text)
        elif flag.type in _TABLES:
            part, value = _PARTS[flag.type](text)
            taken.setdefault(flag.key, {})[part] = value
        elif flag.type == "pools":
            taken.setdefault(flag.key, []).append(_pool(text))
        else:
            taken[flag.key] = scalar(KEYS[flag.key], text)
    except ValueError as error:
        raise Invalid(f"invalid value {text!r} for {name}: {error}", subject=name) from None
    except values.Wrong as wrong:
        raise Invalid(f"invalid value {text!r} for {name}: {wrong.message}", subject=name, hint=wrong.hint) from None


def scalar(key: Key, text: str) -> Any:
    """The TOML value that a text on a command line stands for. Raises ValueError."""
    if key.type in ("seconds", "mtu", "int"):
        if not text.removeprefix("-").isdecimal():
            raise ValueError("must be an integer")
        return int(text)
    if key.type == "path":
        return str(Path(text).absolute())
    return text


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError("must be NAME=VALUE")
    return name, value


def _ulimit(text: str) -> tuple[str, Any]:
    name, value = _pair(text)
    soft, _, hard = value.partition(":")
    return name, {"Soft": int(soft), "Hard": int(hard or soft)}


def _runtime(text: str) -> tuple[str, Any]:
    name, value = _pair(text)
    return name, {"path": value}


def _pool(text: str) -> dict[str, Any]:
    pool: dict[str, Any] = dict(_pair(part) for part in text.split(","))
    if "size" in pool:
        pool["size"] = int(pool["size"])
    return pool


_PARTS: dict[str, Callable[[str], tuple[str, Any]]] = {"log-opts": _pair, "ulimits": _ulimit, "runtimes": _runtime}
