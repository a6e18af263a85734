"""docs/hooks.md says what the hookspecs say, and the specs say what they must."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import pytest

from tare.hooks.plugins import Plugins
from tare.hooks.specs import SPECS
from tests.unit.hooks.distribution import install
from tests.unit.hooks.reference import DOCUMENT, MARK, hooks, reference


def test_the_reference_is_that_of_the_live_hookspecs() -> None:
    assert DOCUMENT.read_text().partition(MARK)[2].strip() == reference().strip(), (
        "docs/hooks.md is behind: python -m tests.unit.hooks.reference"
    )


@pytest.mark.parametrize("name", hooks())
def test_each_hook_says_when_it_fires_and_what_a_raise_does(name: str) -> None:
    spec = next(spec for spec in SPECS if name in vars(spec))
    text = " ".join((inspect.getdoc(vars(spec)[name]) or "").split())
    assert text.startswith("Fires ")
    assert re.search(r"A raise( is logged|: | vetoes)", text)
    if name.startswith("tare_before_"):
        assert "May change" in text or name == "tare_before_daemon_start"
    if name.startswith("tare_register_"):
        assert "Returns " in text


def test_the_example_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin that the document shows is found, loaded and named."""
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert len(blocks) == 1
    install(tmp_path, "tare-example", "tare_example", blocks[0])
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins = Plugins.load()
    status = next(status for status in plugins.list() if status.name == "tare-example")
    sys.modules.pop("tare_example", None)
    assert (status.state, status.reason) == ("ok", "")
    assert status.hooks == ("tare_after_container_exit", "tare_before_container_create", "tare_register_storage_drivers")
    assert "examplefs" in plugins.drivers("storage")
