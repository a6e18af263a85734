"""What the documents point at is there, and what the README promises about commands is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tare.cli import registry

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "contrib").rglob("README.md")])
PLACES = ("core", "plugins", "contrib", "tests", "docs")


def paths(document: Path) -> set[str]:
    """Paths of the repository that a document names in backquotes."""
    words = re.findall(r"`([^`\s]+)`", document.read_text())
    return {word for word in words if word.split("/")[0] in PLACES and "/" in word and not re.search(r"[*{}<>…]|[A-Z]{4}", word)}


def links(document: Path) -> set[str]:
    found = re.findall(r"\]\(([^)\s]+)\)", document.read_text())
    return {link.partition("#")[0] for link in found if "://" not in link and not link.startswith("#")}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_it_names_exists(document: Path) -> None:
    missing = [path for path in sorted(paths(document)) if not (ROOT / path).exists()]
    missing += [link for link in sorted(links(document)) if not (document.parent / link).exists()]
    assert missing == []


def test_the_life_of_a_run_names_its_whole_path() -> None:
    rooms = {path.split("/")[2] for path in paths(ROOT / "docs/life-of-run.md") if path.startswith("core/tare/")}
    assert {"cli", "client", "api", "engine", "drivers", "oci", "supervisor", "linux"} <= rooms


def test_every_storage_property_is_proven_or_said_not_to_be() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (ROOT / "docs/drivers/properties.md").read_text().splitlines()
        if line.startswith("| ST-")
    ]
    assert [row[0] for row in rows] == [f"ST-{number:02}" for number in range(1, 83)]
    known = {name for path in (ROOT / "tests").rglob("*.py") for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M)}
    for id, _, proof in rows:
        named = set(re.findall(r"`(test_\w+)`", proof))
        assert named <= known, (id, named - known)
        assert named or re.match("not (tested|met)", proof), id
    told = {name for *_, proof in rows for name in re.findall(r"`(test_\w+)`", proof)}
    assert {name for name in known if re.match(r"test_st\d\d_", name)} <= told


def table() -> dict[str, tuple[str, str]]:
    """The README's table of what works: row → (today, not yet)."""
    section = (ROOT / "README.md").read_text().partition("## What works")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("| ")]
    return {row[0]: (row[1], row[2]) for row in rows}


def commands(cell: str) -> set[str]:
    return {word for quoted in re.findall(r"`([^`]+)`", cell) for word in quoted.split() if re.fullmatch("[a-z]+", word)}


def test_the_commands_that_work_and_those_that_do_not_yet() -> None:
    rows = table()
    for row, group in (("containers", "container"), ("images", "image")):
        today, later = (commands(cell) for cell in rows[row])
        assert today and later
        assert today <= set(registry.PLAIN) | set(registry.GROUPS[group])
        assert later <= set(registry.NOT_YET)


def test_every_command_is_in_the_table() -> None:
    rows = table()
    told = {word for today, later in rows.values() for word in commands(today) | commands(later)}
    assert {
        name for name in registry.NOT_YET if name in ("pull", "push", "build", "commit", "cp", "diff", "export", "stats")
    } <= told
    assert set(registry.PLAIN) - told <= {"events", "info", "version"}
