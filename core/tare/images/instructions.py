"""The Dockerfile instructions that ``import --change`` takes: what becomes of an image's ``config`` (Dockerfile reference)."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tare.errors import Invalid

SHELL = ["/bin/sh", "-c"]
_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", re.IGNORECASE)
_TRIGGER_FORBIDDEN = ("ONBUILD", "FROM", "MAINTAINER")


def apply_changes(config: Mapping[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """``config`` (OCI image spec, config.md, member ``config``) after ``changes``, one instruction each. Raises Invalid."""
    result = dict(config)
    for text in changes:
        for line in text.splitlines():
            if line.strip():
                _apply(result, line.strip())
    return result


def _apply(config: dict[str, Any], line: str) -> None:
    word, _, rest = line.partition(" ")
    name, rest = word.upper(), rest.strip()
    action = _ACTIONS.get(name)
    if action is None:
        raise Invalid(f"{name} is not a valid change command", subject=line, hint=f"one of {', '.join(sorted(_ACTIONS))}")
    if not rest and name not in ("CMD", "ENTRYPOINT"):
        raise Invalid(f"{name} requires at least one argument", subject=line)
    action(config, rest)


def _command(config: dict[str, Any], rest: str) -> list[str]:
    """A JSON list, or a line for the shell."""
    if rest.startswith("["):
        try:
            words = json.loads(rest)
        except ValueError:
            words = None
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            return words
    return [*config.get("Shell", SHELL), rest] if rest else []


def _words(rest: str) -> list[str]:
    if rest.startswith("["):
        try:
            words = json.loads(rest)
        except ValueError:
            words = None
        if isinstance(words, list) and words and all(isinstance(word, str) for word in words):
            return words
    return rest.split()


def _pairs(name: str, rest: str) -> list[tuple[str, str]]:
    """``a=b "c=d e"``, or the old form ``a b c`` for one pair."""
    first = rest.split(None, 1)
    if "=" not in first[0]:
        if len(first) < 2:
            raise Invalid(f"{name} must have two arguments", subject=rest)
        return [(first[0], first[1])]
    try:
        words = shlex.split(rest)
    except ValueError as error:
        raise Invalid(f"{name}: {str(error).lower()}", subject=rest) from None
    pairs = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise Invalid(f"syntax error - can't find = in {word!r}. Must be of the form: name=value", subject=rest)
        if not key:
            raise Invalid(f"{name} names can not be blank", subject=rest)
        pairs.append((key, value))
    return pairs


def _env(config: dict[str, Any], rest: str) -> None:
    environment = dict(item.partition("=")[::2] for item in config.get("Env") or [])
    environment.update(_pairs("ENV", rest))
    config["Env"] = [f"{key}={value}" for key, value in environment.items()]


def _label(config: dict[str, Any], rest: str) -> None:
    config["Labels"] = {**(config.get("Labels") or {}), **dict(_pairs("LABEL", rest))}


def _expose(config: dict[str, Any], rest: str) -> None:
    ports = dict(config.get("ExposedPorts") or {})
    for word in rest.split():
        match = _PORT.fullmatch(word)
        first = int(match[1]) if match else 0
        last = int(match[2] or match[1]) if match else 0
        if match is None or not 0 < first <= last < 65536:
            raise Invalid(f"invalid containerPort: {word}", subject=word)
        ports.update({f"{port}/{(match[3] or 'tcp').lower()}": {} for port in range(first, last + 1)})
    config["ExposedPorts"] = ports


def _volume(config: dict[str, Any], rest: str) -> None:
    config["Volumes"] = {**(config.get("Volumes") or {}), **{word: {} for word in _words(rest)}}


def _workdir(config: dict[str, Any], rest: str) -> None:
    before = str(config.get("WorkingDir") or "/")
    config["WorkingDir"] = rest if rest.startswith("/") else f"{before.rstrip('/')}/{rest}"


def _cmd(config: dict[str, Any], rest: str) -> None:
    config["Cmd"] = _command(config, rest)


def _entrypoint(config: dict[str, Any], rest: str) -> None:
    config["Entrypoint"] = _command(config, rest)


def _user(config: dict[str, Any], rest: str) -> None:
    if len(rest.split()) != 1:
        raise Invalid("USER requires exactly one argument", subject=rest)
    config["User"] = rest


def _stop_signal(config: dict[str, Any], rest: str) -> None:
    if len(rest.split()) != 1:
        raise Invalid("STOPSIGNAL requires exactly one argument", subject=rest)
    config["StopSignal"] = rest


def _shell(config: dict[str, Any], rest: str) -> None:
    words = _words(rest)
    if not rest.startswith("["):
        raise Invalid("SHELL requires the arguments to be in JSON form", subject=rest)
    config["Shell"] = words


def _on_build(config: dict[str, Any], rest: str) -> None:
    trigger = rest.split()[0].upper()
    if trigger in _TRIGGER_FORBIDDEN:
        raise Invalid(f"{trigger} isn't allowed as an ONBUILD trigger", subject=rest)
    config["OnBuild"] = [*(config.get("OnBuild") or []), rest]


def _health_check(config: dict[str, Any], rest: str) -> None:
    words = rest.split()
    check: dict[str, Any] = {}
    while words and words[0].startswith("--"):
        key, _, value = words.pop(0)[2:].partition("=")
        if key == "retries" and value.isdigit():
            check["Retries"] = int(value)
        elif key in _DURATIONS:
            check[_DURATIONS[key]] = _nanoseconds(value)
        else:
            raise Invalid(f"unknown flag: --{key}", subject=rest)
    form = words.pop(0).upper() if words else ""
    if form == "NONE" and not words and not check:
        check["Test"] = ["NONE"]
    elif form == "CMD" and words:
        command = rest[rest.upper().index("CMD") + 3 :].strip()
        listed = _words(command) if command.startswith("[") else []
        check["Test"] = ["CMD", *listed] if listed else ["CMD-SHELL", command]
    else:
        raise Invalid("HEALTHCHECK must be NONE or CMD with a command", subject=rest)
    config["Healthcheck"] = check


def _nanoseconds(text: str) -> int:
    units = {"ns": 1, "us": 1000, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
    if not re.fullmatch(r"(?:\d+(?:\.\d+)?(?:ns|us|ms|s|m|h))+", text):
        raise Invalid(f"invalid duration: {text!r}", subject=text, hint="such as 30s or 1m30s")
    return int(sum(float(number) * units[unit] for number, unit in re.findall(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)", text)))


_DURATIONS = {"interval": "Interval", "timeout": "Timeout", "start-period": "StartPeriod", "start-interval": "StartInterval"}
_ACTIONS: dict[str, Callable[[dict[str, Any], str], None]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _health_check,
    "LABEL": _label,
    "ONBUILD": _on_build,
    "SHELL": _shell,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
