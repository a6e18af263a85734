"""Writing the command where people look for it: ``python -m tare.cli.launcher /usr/local/bin/tare``.

The stub in the wheel finds its interpreter and its libraries anew each time, for which it takes a shell. A launcher is
written on the spot and knows both: the kernel starts the interpreter itself, a millisecond sooner (docs/decisions/0002).
"""

from __future__ import annotations

import os
import sys

import tare

QUIET = "import _signal; _signal.getsignal(2) == _signal.SIG_IGN or _signal.signal(2, _signal.SIG_DFL)"
"""A ctrl-c before the command begins ends it without a word; ``entry.perform`` takes the signal up again."""
LONGEST = 255
"""Bytes of a ``#!`` line (BINPRM_BUF_SIZE in linux/binfmts.h, since Linux 5.1)."""


def text() -> str:
    """A launcher for this interpreter and this package. Raises ValueError for an interpreter that no first line can name."""
    first = f"#!{sys.executable} -IS"
    if any(letter.isspace() for letter in sys.executable) or len(os.fsencode(first)) > LONGEST:
        raise ValueError(f"{sys.executable} cannot stand in the first line of a script")
    library = os.path.dirname(os.path.dirname(os.path.abspath(tare.__file__ or "")))
    return f"{first}\nimport sys\n{QUIET}\nsys.path.append({library!r})\nfrom tare.cli.entry import main\nmain()\n"


def write(path: str) -> None:
    """Put a launcher at ``path``, in one step. Raises OSError, ValueError."""
    launcher = text()
    draft = f"{path}.new"
    with open(draft, "w", encoding="utf-8") as file:
        file.write(launcher)
        os.fchmod(file.fileno(), 0o755)
    os.replace(draft, path)


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m tare.cli.launcher PATH", file=sys.stderr)
        return 2
    try:
        write(arguments[0])
    except (OSError, ValueError) as error:
        print(f"tare.cli.launcher: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
