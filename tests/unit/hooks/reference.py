"""The reference part of docs/hooks.md, from the live hookspecs: ``python -m tests.unit.hooks.reference`` writes it."""

from __future__ import annotations

import inspect
from pathlib import Path

from tare.hooks.adjusting import ADJUSTABLE
from tare.hooks.specs import SPECS

DOCUMENT = Path(__file__).parents[3] / "docs/hooks.md"
MARK = "<!-- from here on: tests/unit/hooks/reference.py -->\n"


def hooks() -> dict[str, inspect.Signature]:
    """Every hook with its arguments."""
    return {
        name: inspect.signature(function)
        for spec in SPECS
        for name, function in vars(spec).items()
        if hasattr(function, "tare_spec")
    }


def reference() -> str:
    lines: list[str] = []
    for spec in SPECS:
        lines += [f"## {spec.__name__}", "", inspect.getdoc(spec) or "", ""]
        for name, function in vars(spec).items():
            if not hasattr(function, "tare_spec"):
                continue
            arguments = [p for p in inspect.signature(function).parameters.values() if p.name != "self"]
            lines += [f"### `{name}({', '.join(p.name for p in arguments)})`", "", inspect.getdoc(function) or "", ""]
            lines += [f"- `{p.name}`: `{p.annotation}`" for p in arguments]
            lines += [""] if arguments else []
            if name in ADJUSTABLE:
                lines += [f"What is returned changes `{ADJUSTABLE[name][0]}`.", ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(DOCUMENT.read_text().partition(MARK)[0] + MARK + "\n" + reference())
