"""Reading the configuration: file, environment and flags into Settings, with every problem at its place."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tare.config import locate, values
from tare.config.keys import ALIASES, DRIVER_SECTIONS, FORMER, KEYS, SECTIONS, Key
from tare.config.settings import Settings, build
from tare.errors import Invalid, NotFound

DEFAULT_FILE = Path("/etc/tare/daemon.toml")

Flags = Mapping[str, Any]
"""Values by key path, in TOML's types (tare.config.flags makes them from a command line)."""


def load(path: Path | None = None, flags: Flags | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The effective settings: a flag wins over the environment, that over the file, that over the default.

    ``path`` None means /etc/tare/daemon.toml if there is one. Raises NotFound for a missing file, and Invalid with one
    line for each problem: ``FILE:LINE: KEY: MESSAGE``. Drivers' own tables are only collected (tare.config.drivers).
    """
    flags, environ = flags or {}, environ or {}
    reading = read(path or DEFAULT_FILE) if path or DEFAULT_FILE.exists() else Reading("", {}, {})
    reading.take_table(reading.document, ())
    flags = _join(flags, reading)
    chosen: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for key in KEYS.values():
        given = _given(key, flags, environ, reading)
        if given is None:
            if key.supported:
                chosen[key.path], origins[key.path] = key.default, "default"
            continue
        value, origin, spelled = given
        if key.refused:
            reading.problem(spelled, key.refused, origin)
        elif key.ignored:
            reading.warnings.append(f"{origin}: {key.path} changes nothing: {key.ignored}")
        else:
            try:
                chosen[key.path], origins[key.path] = values.check(key, value), origin
            except values.Wrong as wrong:
                reading.problem((*spelled, *wrong.at), sentence(wrong), origin if not reading.owns(origin) else "")
    _check_together(chosen, origins, reading)
    reading.raise_problems()
    _storage_options(chosen["storage.opts"], origins["storage.opts"], reading)
    reading.raise_problems()
    return build(chosen, origins={**origins, **reading.origins}, tables=reading.tables, warnings=tuple(reading.warnings))


def sentence(wrong: values.Wrong) -> str:
    """What is wrong with a value and the cure."""
    return f"{wrong.message} ({wrong.hint})" if wrong.hint else wrong.message


def _given(key: Key, flags: Flags, environ: Mapping[str, str], reading: Reading) -> tuple[Any, str, locate.Path] | None:
    """(value, origin, path as spelled) from the strongest source that names a key."""
    dotted = tuple(key.path.split("."))
    if key.path in flags:
        return flags[key.path], f"flag {key.flags[0] if key.flags else key.path}", dotted
    if key.environ and environ.get(key.environ):
        return environ[key.environ], f"environment {key.environ}", dotted
    if key.path in reading.given:
        value, spelled = reading.given[key.path]
        return value, reading.origin(spelled), spelled
    return None


class Reading:
    """A configuration file while it is read: what it says, where, and what is wrong with it."""

    def __init__(self, name: str, document: Mapping[str, Any], lines: Mapping[locate.Path, int]) -> None:
        self.name = name
        self.document = document
        self.given: dict[str, tuple[Any, locate.Path]] = {}
        self.tables: dict[tuple[str, str], dict[str, Any]] = {}
        self.warnings: list[str] = []
        self.origins: dict[str, str] = {}
        self._lines = lines
        self._problems: list[tuple[int, str]] = []

    def origin(self, path: locate.Path) -> str:
        return f"{self.name}:{locate.line(self._lines, path)}"

    def owns(self, origin: str) -> bool:
        """Does an origin lie in this file?"""
        return bool(self.name) and origin.startswith(f"{self.name}:")

    def problem(self, path: locate.Path, message: str, origin: str = "") -> None:
        """Note a problem at a path of the file, or of another origin."""
        at = 0 if origin and not self.owns(origin) else locate.line(self._lines, path)
        self._problems.append((at, f"{origin or self.origin(path)}: {spell(path)}: {message}"))

    def raise_problems(self) -> None:
        if self._problems:
            raise Invalid("\n".join(text for _, text in sorted(self._problems)), subject=self.name)

    def take_table(self, table: Mapping[str, Any], prefix: tuple[str, ...]) -> None:
        """Sort what a table holds into keys, sections, aliases from daemon.json and drivers' tables."""
        for name, value in table.items():
            spelled = (*prefix, name)
            path = ".".join(spelled)
            is_table = isinstance(value, dict)
            if path in KEYS and not (path in SECTIONS and is_table):
                self._take(path, value, spelled)
            elif path in SECTIONS and is_table:
                self.take_table(value, spelled)
            elif not prefix and name in ALIASES:
                if name in FORMER:
                    self.warnings.append(f"{self.origin(spelled)}: {name} is an old name for {ALIASES[name]}")
                self._take(ALIASES[name], [value] if name == "host-gateway-ip" else value, spelled)
            elif path in SECTIONS:
                self.problem(spelled, f"must be a table, not {values.named(value)}")
            elif is_table and len(prefix) == 1 and prefix[0] in DRIVER_SECTIONS:
                self._take_options(prefix[0], name, value)
            elif prefix == ("network", "bridge"):
                self._take_options("network", "bridge", {name: value})
            else:
                self.problem(spelled, f"unknown key{nearest(name, prefix)}")

    def _take_options(self, kind: str, driver: str, options: Mapping[str, Any]) -> None:
        """A driver's own options, judged when it is known who offers it."""
        self.tables.setdefault((kind, driver), {}).update(options)
        self.origins[f"{kind}.{driver}"] = self.origin((kind, driver))
        for name in options:
            self.origins[f"{kind}.{driver}.{name}"] = self.origin((kind, driver, name))

    def _take(self, path: str, value: Any, spelled: locate.Path) -> None:
        if path in self.given:
            other = self.given[path][1]
            self.problem(spelled, f"the same as {spell(other)} in line {locate.line(self._lines, other)}: give one of them")
        else:
            self.given[path] = (value, spelled)


def read(path: Path) -> Reading:
    """Read and parse a file. Raises NotFound, Invalid (``FILE:LINE: …`` where there is a line)."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"no configuration file {path}", subject=str(path)) from None
    except IsADirectoryError:
        raise Invalid(f"{path}: is a directory, not a configuration file", subject=str(path)) from None
    except OSError as error:
        raise Invalid(f"{path}: cannot be read: {error.strerror}", subject=str(path)) from None
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Invalid(f"{path}: is UTF-16, TOML is UTF-8", subject=str(path), hint="save it as UTF-8")
    try:
        text = raw.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise Invalid(f"{path}:{line}: is not UTF-8: byte 0x{raw[error.start]:02x}", subject=str(path)) from None
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Invalid(_syntax(path, text, str(error)), subject=str(path), hint=_json_hint(text)) from None
    except RecursionError:
        raise Invalid(f"{path}: is nested too deeply", subject=str(path)) from None
    return Reading(str(path), document, locate.lines(text))


def _syntax(path: Path, text: str, message: str) -> str:
    """tomllib's message with its position first: ``FILE:LINE: …``."""
    words, _, position = message.removesuffix(")").rpartition(" (at ")
    if position.startswith("line "):
        line = position.removeprefix("line ").split(",")[0]
    else:
        line = str(text.count("\n") + (not text.endswith("\n")))
    return f"{path}:{line}: {(words[:1].lower() + words[1:]) or message}"


def _json_hint(text: str) -> str:
    return "this looks like JSON: 'tare config import FILE' makes TOML of a daemon.json" if text.lstrip()[:1] == "{" else ""


def spell(path: locate.Path) -> str:
    """A key path as one would type it: ``api.hosts[1]``, ``runtime.runtimes."a b".path``."""
    out = ""
    for part in path:
        if isinstance(part, int):
            out += f"[{part}]"
        else:
            bare = part and all(c.isascii() and (c.isalnum() or c in "-_") for c in part)
            quoted = part if bare else '"' + part.encode("unicode_escape").decode().replace('"', '\\"') + '"'
            out += f".{quoted}" if out else quoted
    return out


def nearest(name: str, prefix: tuple[str, ...], known: Iterable[str] | None = None) -> str:
    """``; did you mean X`` for the key that an unknown one may have been meant as, or ``""``."""
    wanted = name.lower().replace("_", "-")
    here = ".".join(prefix) + "." if prefix else ""
    if known is not None:
        close = difflib.get_close_matches(wanted, list(known), 1, 0.6)
        return f"; did you mean {close[0]}" if close else ""
    siblings = {path[len(here) :].split(".")[0] for path in KEYS if path.startswith(here) and KEYS[path].supported}
    if wanted in ALIASES and ALIASES[wanted] in KEYS:
        return f"; did you mean {ALIASES[wanted]}"
    elsewhere = [path for path, key in KEYS.items() if key.supported and path.rsplit(".")[-1] == wanted]
    if wanted not in siblings and elsewhere:
        return f"; did you mean {elsewhere[0]}"
    close = difflib.get_close_matches(wanted, sorted(siblings), 1, 0.6)
    if close:
        return f"; did you mean {here}{close[0]}"
    last = {path.rsplit(".")[-1]: path for path, key in KEYS.items() if key.supported}
    close = difflib.get_close_matches(wanted, list(last), 1, 0.75)
    return f"; did you mean {last[close[0]]}" if close else ""


def _join(flags: Flags, reading: Reading) -> Flags:
    """dockerd's rule: a key is given by flag or by file. ``runtimes`` may come from both: then the flags are returned with
    the file's runtimes added. Raises Invalid."""
    both, joined = [], dict(flags)
    for path in flags:
        if path not in reading.given:
            continue
        value, _spelled = reading.given[path]
        if path == "runtime.runtimes" and isinstance(value, dict):
            joined[path] = {**value, **flags[path]}
        else:
            both.append(f"{path}: (from flag: {_plain(flags[path])}, from file: {_plain(value)})")
    if both:
        raise Invalid(
            f"unable to configure the daemon with file {reading.name}: the following directives are specified both as a "
            f"flag and in the configuration file: {', '.join(both)}",
            subject=reading.name,
        )
    return joined


def _plain(value: object) -> str:
    if isinstance(value, list | tuple):
        return "[" + " ".join(map(str, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check_together(chosen: Mapping[str, Any], origins: Mapping[str, str], reading: Reading) -> None:
    """What a single key cannot tell."""

    def problem(path: str, message: str) -> None:
        spelled = reading.given.get(path, (None, tuple(path.split("."))))[1]
        reading.problem(spelled, message, origins.get(path, "default"))

    hosts = chosen.get("api.hosts", ())
    if "api.hosts" in chosen and not hosts:
        problem("api.hosts", "must name at least one host")
    if not chosen.get("api.allow-plain-tcp") and any(host.startswith("tcp://") for host in hosts):
        problem(
            "api.hosts",
            "plain TCP gives root on this host to whoever reaches the port "
            "(set api.allow-plain-tcp = true or --allow-plain-tcp if that is meant)",
        )
    if len(set(hosts)) != len(hosts):
        problem("api.hosts", "names the same host twice")
    name, address = chosen.get("network.bridge.name", ""), chosen.get("network.bridge.ip", "")
    if name and address:
        problem("network.bridge.ip", f"cannot be given for a bridge of yours: network.bridge.name is {name}")
    roots = [chosen.get("data-root"), chosen.get("exec-root")]
    if roots[0] is not None and roots[0] == roots[1]:
        problem("exec-root", f"is the same directory as data-root: {roots[0]}")


def _storage_options(options: Iterable[str], origin: str, reading: Reading) -> None:
    """``DRIVER.KEY=VALUE`` texts, put into the tables of their drivers."""
    for text in options:
        name, _, value = text.partition("=")
        driver, dot, option = name.partition(".")
        if not dot or not driver or not option:
            reading.problem(("storage", "opts"), f"must be DRIVER.KEY=VALUE, not {text!r}", origin)
        elif option in reading.tables.get(("storage", driver), {}):
            reading.problem(("storage", "opts"), f"{name} is given twice", origin)
        else:
            reading.tables.setdefault(("storage", driver), {})[option] = value
            reading.origins[f"storage.{driver}.{option}"] = reading.origins.setdefault(f"storage.{driver}", origin)
