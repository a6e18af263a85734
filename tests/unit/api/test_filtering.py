"""Filters that are expressions: Go's take linear time, so ours must not take for ever."""

from __future__ import annotations

import pytest

from tare.api.routes.filtering import Selection
from tare.engine.engine import Engine
from tare.errors import Invalid


def selection(engine: Engine, text: str) -> Selection:
    return Selection(engine, {"name": [text]})


@pytest.mark.parametrize(
    "text",
    [
        "(a+)+$",
        "(a|a)*b",
        "(a*)*",
        "((a{1,9}){1,9}){1,9}",
        "a*a*a*a*a*b",
        "(a)\\1",
        "(?P<x>a)(?P=x)",
        "(x+x+)+y",
        "(a?){40}b",
        "a?a?a?a?",
    ],
)
def test_an_expression_that_could_take_for_ever_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="too complex"):
        selection(None, text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "web",
        "^/web$",
        "^web-[0-9]+$",
        "a.*b.*c",
        "(foo|bar)?-db",
        "(ab)+",
        "[*+{}(]+",
        "\\*\\+\\+\\*",
        "(",
        "*",
        "(?i)a+?",
        "^/a(b|c)-.*$",
    ],
)
def test_what_people_write_is_taken(text: str) -> None:
    selection(None, text)  # type: ignore[arg-type]
