"""Entries that a template cannot finish loading."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tare.errors import TareError, Unavailable
from tare.supervisor import templates
from tare.supervisor.loop import Loop
from tare.supervisor.templates import Template

from .conftest import HERE, gone, serve

Answers = dict[str, dict[str, Any] | TareError]


class Scene:
    """A template on a loop of our own, and what it has answered."""

    def __init__(self, folder: Path) -> None:
        self.loop = Loop()
        self.folder = folder
        self.answers: Answers = {}
        self.template = Template(self.loop, "test", "", 1024, sys.executable)

    def prepare(self, entry: str) -> None:
        def keep(answer: dict[str, Any] | TareError) -> None:
            self.answers[entry] = answer

        self.template.prepare(entry, [HERE, str(self.folder)], keep)

    def run(self, until: Callable[[], object]) -> None:
        serve(self.loop, until)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    (tmp_path / "hangs.py").write_text("import signal\nsignal.pause()\n")
    one = Scene(tmp_path)
    one.prepare("entries:run")
    one.run(lambda: one.answers)
    # Only now: the first one may load as slowly as the machine wants.
    monkeypatch.setattr(templates, "LOADING", 0.2)
    yield one
    monkeypatch.undo()
    one.template.stop()
    gone(one.template._companion.pid)


def test_an_entry_that_never_loads_is_given_up_and_the_others_come_back(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    first = scene.template._companion.pid
    scene.prepare("hangs:run")
    scene.run(lambda: "hangs:run" in scene.answers)
    refused = scene.answers["hangs:run"]
    assert isinstance(refused, Unavailable) and refused.subject == "hangs:run"
    assert "has not been imported within" in refused.message
    gone(first)
    monkeypatch.undo()
    scene.answers.clear()
    scene.run(lambda: scene.template._companion.pid != first)
    scene.prepare("entries:run")
    scene.run(lambda: scene.answers)
    assert scene.answers == {"entries:run": {}}


def test_who_waits_behind_it_is_told(scene: Scene) -> None:
    scene.prepare("hangs:run")
    told: list[dict[str, Any] | TareError] = []
    scene.template.clone({"launch": {"entry": "entries:run"}, "tty": False, "fds": []}, [], told.append)
    scene.run(lambda: told)
    assert isinstance(told[0], Unavailable) and "the template of runtime test died" in told[0].message
