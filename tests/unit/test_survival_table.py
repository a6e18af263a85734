"""The table "What survives what" in docs/design.md: each line is backed by tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_line_names_its_tests_and_every_test_has_its_line() -> None:
    text = (ROOT / "docs/design.md").read_text().partition("### What survives what")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| killed")]
    named = [re.findall(r"`(test_\w+)`", line.rstrip("|").rpartition("|")[2]) for line in lines]
    assert len(lines) > 10 and all(named)
    source = "".join(path.read_text() for path in (ROOT / "tests/integration").glob("test_survival*.py"))
    defined = set(re.findall(r"^def (test_\w+)", source, re.MULTILINE))
    assert {name for names in named for name in names} <= defined
    unnamed = defined - {name for names in named for name in names}
    assert unnamed == {
        "test_an_orderly_stop_leaves_containers_running",
        "test_short_runs_fetch_nothing_and_long_ones_give_back",
        "test_the_supervisor_may_die_too",
    }
