"""The reference part of docs/config.md, from the table of keys: ``python -m tests.unit.config.reference`` writes it."""

from __future__ import annotations

from pathlib import Path

from tare.config import show, toml
from tare.config.keys import KEYS, Key

DOCUMENT = Path(__file__).parents[3] / "docs/config.md"
MARK = "<!-- from here on: tests/unit/config/reference.py -->\n"


def reference() -> str:
    supported = [key for key in KEYS.values() if key.supported]
    refused = [key for key in KEYS.values() if not key.supported]
    lines = [
        "## Keys",
        "",
        "A key with ↻ takes a new value on SIGHUP.",
        "",
        "| key | default | what it is | daemon.json | flag |",
        "|---|---|---|---|---|",
        *map(_row, supported),
        "",
        "## Keys that are refused",
        "",
        "Naming one of these is an error with the reason (the last two change nothing, as in Docker, and warn).",
        "",
        "| daemon.json | flag | why |",
        "|---|---|---|",
        *(f"| `{key.docker}` | {_flags(key)} | {key.refused or key.ignored} |" for key in refused),
    ]
    return "\n".join(lines) + "\n"


def _row(key: Key) -> str:
    says = key.says + (f"; one of {', '.join(f'`{choice}`' for choice in key.choices)}" if len(key.choices) > 1 else "")
    says += f"; environment `{key.environ}`" if key.environ else ""
    name = f"`{key.path}`" + (" ↻" if key.reload else "")
    docker = f"`{key.docker}`" if key.docker else ""
    return f"| {name} | `{toml.value(show.plain(key.default))}` | {says} | {docker} | {_flags(key)} |"


def _flags(key: Key) -> str:
    return " ".join(f"`{flag}`" for flag in key.flags)


if __name__ == "__main__":
    DOCUMENT.write_text(DOCUMENT.read_text().partition(MARK)[0] + MARK + "\n" + reference())
