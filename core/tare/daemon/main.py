"""``tared``: the composition root. It builds everything by hand and knows everyone.

tared [FLAGS]             dockerd's flags for the keys of daemon.toml (``tared --help``)
tared --ready-fd N        for whoever starts it: one newline is written to N when it serves, else the error's text
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tare.config.flags import CommandLine, Flag, flags_for_tared, parse
from tare.daemon.ready import Starter
from tare.errors import Denied, Invalid, TareError

if TYPE_CHECKING:
    from tare.config.settings import Settings
    from tare.hooks.plugins import Plugins

READY = Flag(("--ready-fd",), "int", "write a newline (or an error's text) to this descriptor when the daemon serves")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code: 0 after an orderly stop, 1 when the daemon could not run."""
    starter = Starter(-1)
    try:
        line, own = parse(sys.argv[1:] if arguments is None else arguments, (READY,))
        starter = Starter(_descriptor(own.get("--ready-fd", "-1")))
        if line.help:
            print(usage())
            return 0
        if line.version:
            from tare.api import versions

            print(f"tared version {versions.tare()}")
            return 0
        return _validate(line) if line.validate else _run(line, starter)
    except TareError as error:
        print(f"tared: {error}", file=sys.stderr)
        starter.failed(str(error))
        return 1
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        text = f"{name}{(error.strerror or str(error)).lower()}"
        logging.getLogger("tare.daemon").exception("cannot go on")
        print(f"tared: {text}", file=sys.stderr)
        starter.failed(text)
        return 1
    except Exception as error:
        starter.failed(f"this is a defect in tare: {type(error).__name__}: {error}")
        raise


def usage() -> str:
    rows = []
    for flag in flags_for_tared():
        names = ", ".join(sorted(flag.names, key=len))
        rows.append((names if flag.boolean else f"{names} {flag.type}", flag.says))
    width = max(len(left) for left, _says in rows)
    return "\n".join(["Usage: tared [FLAGS]", "", *(f"  {left:<{width}}  {says}" for left, says in rows)])


def _settings(line: CommandLine) -> tuple[Settings, Plugins]:
    """What the configuration says, checked against the drivers that the plugins offer. Raises TareError."""
    from tare.config import drivers, load
    from tare.hooks.plugins import Plugins

    settings = load.load(line.config_file, line.values, os.environ)
    plugins = Plugins.load(settings.plugins.disable)
    return drivers.bind(settings, plugins.offered()), plugins


def _validate(line: CommandLine) -> int:
    settings, _plugins = _settings(line)
    for warning in settings.warnings:
        print(f"tared: {warning}", file=sys.stderr)
    print("configuration OK")
    return 0


def _run(line: CommandLine, starter: Starter) -> int:
    from tare.config import load
    from tare.daemon.logging import set_up
    from tare.daemon.serve import serve

    if os.geteuid() != 0:
        raise Denied("tared needs root: it creates namespaces and networks", hint="sudo tared")
    first = load.load(line.config_file, line.values, os.environ)
    set_up("debug" if first.log.debug else first.log.level, first.log.format)
    settings, plugins = _settings(line)
    os.umask(0o022)
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    asyncio.run(serve(settings, plugins, line, starter))
    gc.unfreeze()
    return 0


def _descriptor(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Invalid(f"invalid value {text!r} for --ready-fd: must be a number", subject="--ready-fd") from None


if __name__ == "__main__":
    sys.exit(main())
