"""The first process of a container: what it sees, what it may, how it ends."""

from __future__ import annotations

from tests.unit.runtime.conftest import Stage


def test_it_runs_and_its_code_comes_back(stage: Stage) -> None:
    outcome = stage.sh("echo out; echo err >&2; exit 42")
    assert (outcome.code, outcome.out, outcome.err, outcome.warnings) == (42, "out\n", "err\n", [])
