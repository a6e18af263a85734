"""What a value of each type may be. One function a type: TOML value in, checked value out, or Wrong."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tare.config.keys import Key
from tare.model.container import Ulimit


class Wrong(Exception):
    """A value cannot be taken. ``at`` is where inside the value; ``hint`` the cure."""

    def __init__(self, message: str, *at: str | int, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.at = at
        self.hint = hint


class NotYet(Wrong):
    """A value is right in Docker, and tare cannot do it."""


@dataclass(frozen=True, slots=True)
class RuntimeEntry:
    """``[runtime.runtimes.NAME]``: either another name for a driver (``runtime_type``) with options of its own, or the
    command ``path`` with ``runtime_args`` for a driver that runs command lines."""

    path: str = ""
    runtime_args: tuple[str, ...] = ()
    runtime_type: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AddressPool:
    """Subnets of ``size`` bits are taken from ``base`` (a CIDR)."""

    base: str
    size: int


_NAMES = {bool: "a boolean", int: "an integer", float: "a float", str: "a string", list: "an array", dict: "a table"}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(i?b)?", re.IGNORECASE)
_ULIMITS = (
    *("as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue"),
    *("nice", "nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack"),
)


def named(value: object) -> str:
    """What sort of TOML value this is, in words."""
    return next((word for kind, word in _NAMES.items() if isinstance(value, kind)), "a date")


def _expect(value: object, kind: type) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise Wrong(f"must be {_NAMES[kind]}, not {named(value)}")
    return value


def string(value: object) -> str:
    text: str = _expect(value, str)
    if "\0" in text:
        raise Wrong("must not contain a NUL character")
    return text


def integer(value: object) -> int:
    number: int = _expect(value, int)
    return number


def boolean(value: object) -> bool:
    truth: bool = _expect(value, bool)
    return truth


def seconds(value: object) -> int:
    """Whole seconds; -1 means no limit, as in Docker."""
    number = integer(value)
    if number < -1:
        raise Wrong(f"must be -1 (no limit) or more seconds, not {number}")
    return number


def size(value: object) -> int:
    """Bytes: an integer, or text such as ``64m``, ``1.5GiB`` (powers of 1024, as Docker's)."""
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    else:
        match = _SIZE.fullmatch(string(value).strip()) if isinstance(value, str) else None
        if match is None:
            raise Wrong(f"must be a size such as 64m or 10g, not {json.dumps(value, default=str)}")
        number = int(float(match[1]) * 1024 ** " kmgtp".index(match[2].lower() or " "))
    if number < 0:
        raise Wrong("must not be negative")
    return number


def mtu(value: object) -> int:
    number = integer(value)
    if number != 0 and not 68 <= number <= 65535:
        raise Wrong(f"must be 68 to 65535, not {number}")
    return number


def path(value: object) -> Path:
    text = string(value)
    if not text.startswith("/"):
        raise Wrong(f"must be an absolute path, not {text!r}")
    return Path(text)


def each(check: Callable[[object], Any]) -> Callable[[object], tuple[Any, ...]]:
    """An array, every item of which passes ``check``."""

    def items(value: object) -> tuple[Any, ...]:
        checked = []
        for index, item in enumerate(_expect(value, list)):
            try:
                checked.append(check(item))
            except Wrong as wrong:
                raise type(wrong)(wrong.message, index, *wrong.at, hint=wrong.hint) from None
        return tuple(checked)

    return items


def pair(value: object) -> str:
    text = string(value)
    if "=" not in text[1:]:
        raise Wrong(f"must be KEY=VALUE, not {text!r}")
    return text


def labels(value: object) -> tuple[str, ...]:
    """``key=value`` items; the same key twice with different values is refused as dockerd does."""
    seen: dict[str, str] = {}
    for index, item in enumerate(each(pair)(value)):
        name, _, worth = item.partition("=")
        if seen.setdefault(name, worth) != worth:
            raise Wrong(f"label {name} is given with different values", index)
    return tuple(f"{name}={worth}" for name, worth in seen.items())


def host(value: object) -> str:
    """A URL to listen on. Without a scheme it is TCP, as with dockerd."""
    text = string(value)
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "tcp", text
    if scheme == "unix":
        if not rest.startswith("/"):
            raise Wrong(f"must name an absolute path: unix:///…, not {text!r}")
        if len(rest.encode()) > 107:
            raise Wrong(f"socket path is longer than 107 bytes: {rest}", hint="unix(7) allows no more")
    elif scheme == "tcp":
        _address, colon, port = rest.rpartition(":")
        if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
            raise Wrong(f"must be tcp://ADDRESS:PORT, not {text!r}")
    elif scheme != "fd":
        raise Wrong(f"unknown scheme {scheme}:// in {text!r}", hint="use unix://, tcp:// or fd://")
    return f"{scheme}://{rest}"


def api_version(value: object) -> str:
    text = string(value)
    major, _, minor = text.partition(".")
    if major != "1" or not minor.isdecimal() or int(minor) < 24:
        raise Wrong(f"must be an API version from 1.24 on, not {text!r}")
    return text


def _address(parse: Callable[[str], object], what: str, *, empty: bool = True) -> Callable[[object], str]:
    def check(value: object) -> str:
        text = string(value)
        if text or not empty:
            try:
                parse(text)
            except ValueError:
                raise Wrong(f"must be {what}, not {text!r}") from None
        return text

    return check


def device(value: object) -> str:
    text = string(value)
    if len(text.encode()) > 15 or text in (".", "..") or any(c.isspace() or c in "/:" for c in text):
        raise Wrong(f"not a network device name: {text!r}", hint="at most 15 bytes without space, slash and colon")
    return text


def seccomp(value: object) -> str:
    """``builtin``, ``unconfined`` or the path of a file that holds a JSON object."""
    text = string(value)
    if text in ("", "builtin", "unconfined"):
        return text or "builtin"
    try:
        if not isinstance(json.loads(path(text).read_bytes()), dict):
            raise ValueError("not a JSON object")
    except OSError as error:
        raise Wrong(f"cannot read the seccomp profile {text}: {error.strerror}") from None
    except ValueError as error:
        raise Wrong(f"{text} is no seccomp profile: {error}") from None
    return text


def _table(value: object, fields: Mapping[str, Callable[[object], Any]], required: tuple[str, ...] = ()) -> dict[str, Any]:
    """A table whose names are those of ``fields`` whatever their case, as daemon.json has it."""
    known = {name.lower(): name for name in fields}
    taken: dict[str, Any] = {}
    for name, item in _expect(value, dict).items():
        if name.lower() not in known:
            raise Wrong("unknown key", name, hint=f"known are {', '.join(fields)}")
        try:
            taken[known[name.lower()]] = fields[known[name.lower()]](item)
        except Wrong as wrong:
            raise type(wrong)(wrong.message, name, *wrong.at, hint=wrong.hint) from None
    for name in required:
        if name not in taken:
            raise Wrong(f"lacks {name}")
    return taken


def _entries(value: object, check: Callable[[str, object], Any]) -> dict[str, Any]:
    checked = {}
    for name, item in _expect(value, dict).items():
        try:
            checked[name] = check(name, item)
        except Wrong as wrong:
            raise type(wrong)(wrong.message, name, *wrong.at, hint=wrong.hint) from None
    return checked


def ulimits(value: object) -> tuple[Ulimit, ...]:
    """A table by name; each a table of ``soft`` and ``hard`` (and ``name``, which must agree), or one number for both."""

    def one(name: str, item: object) -> Ulimit:
        if name not in _ULIMITS:
            raise Wrong("unknown resource limit", hint=f"known are {', '.join(_ULIMITS)}")
        if isinstance(item, int) and not isinstance(item, bool):
            return Ulimit(name, item, item)
        got = _table(item, {"Name": string, "Soft": integer, "Hard": integer}, ("Soft", "Hard"))
        if got.get("Name", name) != name:
            raise Wrong(f"is named {got['Name']} inside", "Name")
        if got["Hard"] != -1 and (got["Soft"] == -1 or got["Soft"] > got["Hard"]):
            raise Wrong(f"soft limit {got['Soft']} is above the hard limit {got['Hard']}")
        return Ulimit(name, got["Soft"], got["Hard"])

    return tuple(_entries(value, one).values())


def runtimes(value: object) -> Mapping[str, RuntimeEntry]:
    fields = {"path": string, "runtimeArgs": each(string), "runtimeType": string, "options": lambda v: _expect(v, dict)}

    def one(_name: str, item: object) -> RuntimeEntry:
        got = _table(item, fields)
        if ("path" in got) == ("runtimeType" in got):
            raise Wrong("needs either path or runtimeType")
        if "runtimeArgs" in got and "path" not in got:
            raise Wrong("goes with path alone", "runtimeArgs")
        return RuntimeEntry(got.get("path", ""), got.get("runtimeArgs", ()), got.get("runtimeType", ""), got.get("options", {}))

    return MappingProxyType(_entries(value, one))


def pools(value: object) -> tuple[AddressPool, ...]:
    def one(item: object) -> AddressPool:
        got = _table(item, {"base": TYPES["cidr"], "size": integer}, ("base", "size"))
        network = ipaddress.ip_network(got["base"], strict=False)
        if not network.prefixlen <= got["size"] <= network.max_prefixlen:
            raise Wrong(f"must be between {network.prefixlen} and {network.max_prefixlen}, not {got['size']}", "size")
        return AddressPool(str(network), got["size"])

    return each(one)(value)


def log_options(value: object) -> Mapping[str, str]:
    """Texts by name, as daemon.json has them; numbers are taken too."""

    def one(name: str, item: object) -> str:
        if name not in ("max-size", "max-file"):
            raise NotYet("log option is not supported yet", hint="there are max-size and max-file")
        text = str(integer(item)) if not isinstance(item, str) else item
        if name == "max-size":
            size(text)
        elif not text.isdecimal() or int(text) < 1:
            raise Wrong(f"must be 1 or more files, not {text!r}")
        return text

    return MappingProxyType(_entries(value, one))


TYPES: dict[str, Callable[[object], Any]] = {
    "string": string,
    "bool": boolean,
    "int": integer,
    "seconds": seconds,
    "bytes": size,
    "mtu": mtu,
    "path": path,
    "strings": each(string),
    "pairs": each(pair),
    "labels": labels,
    "hosts": each(host),
    "api-version": api_version,
    "ip": _address(ipaddress.ip_address, "an IP address"),
    "ip4": _address(ipaddress.IPv4Address, "an IPv4 address"),
    "ip6": _address(ipaddress.IPv6Address, "an IPv6 address"),
    "ips": each(_address(ipaddress.ip_address, "an IP address", empty=False)),
    "cidr": _address(lambda text: ipaddress.ip_network(text, strict=False), "a subnet such as 10.1.0.0/16", empty=False),
    "cidr4": _address(lambda text: ipaddress.IPv4Network(text, strict=False), "an IPv4 subnet such as 10.1.0.0/24"),
    "cidr6": _address(lambda text: ipaddress.IPv6Network(text, strict=False), "an IPv6 subnet such as fd00::/64"),
    "interface4": _address(ipaddress.IPv4Interface, "an IPv4 address with prefix such as 10.1.0.1/24"),
    "interface6": _address(ipaddress.IPv6Interface, "an IPv6 address with prefix such as fd00::1/64"),
    "device": device,
    "seccomp": seccomp,
    "ulimits": ulimits,
    "runtimes": runtimes,
    "pools": pools,
    "log-opts": log_options,
}


def check(key: Key, value: object) -> Any:
    """The checked value of a key. Raises Wrong."""
    checked = TYPES[key.type](value)
    if key.choices:
        for item in checked if isinstance(checked, tuple) else (checked,):
            text = str(item).lower() if isinstance(item, bool) else item
            if text not in key.choices and (text or key.default):
                raise NotYet(f"{json.dumps(item)} is not supported", hint=f"there is {', '.join(key.choices)}")
    return checked


# What tare.drivers.registration.Driver.options may declare.
OPTION_TYPES: dict[str, Callable[[object], Any]] = {
    "string": string,
    "bool": boolean,
    "int": integer,
    "bytes": size,
    "list": lambda value: list(_expect(value, list)),
    "table": lambda value: dict(_expect(value, dict)),
}
