"""docs/config.md says what the table of keys says, and its examples are valid."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tare.config.load import load
from tare.errors import Invalid
from tests.unit.config.reference import DOCUMENT, MARK, reference


def test_the_reference_is_that_of_the_table_of_keys() -> None:
    assert DOCUMENT.read_text().partition(MARK)[2].strip() == reference().strip(), (
        "docs/config.md is behind: python -m tests.unit.config.reference"
    )


def test_the_example_is_valid(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    (tmp_path / "daemon.toml").write_text(example)
    settings = load(tmp_path / "daemon.toml")
    assert settings.tables["storage", "overlay2"]
    assert len([origin for origin in settings.origins.values() if origin != "default"]) > 5


def test_the_error_that_is_shown_is_the_error_that_comes(tmp_path: Path) -> None:
    shown = re.search(r"^/etc/tare/daemon\.toml(:4: .*)$", DOCUMENT.read_text(), re.MULTILINE)
    assert shown is not None
    path = tmp_path / "daemon.toml"
    path.write_text("\n\n[network]\nfixed-cidr = '10.1.0.0/24'\n")
    with pytest.raises(Invalid) as caught:
        load(path)
    assert caught.value.message == f"{path}{shown[1]}"
