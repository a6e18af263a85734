"""Our JSON is the standard library's."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tare.client import quickjson

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_there_and_back(value: object) -> None:
    text = quickjson.dumps(value)
    assert json.loads(text) == value
    assert quickjson.loads(text) == value
    assert quickjson.loads(json.dumps(value, indent=3, ensure_ascii=False).encode()) == value
    assert json.loads(quickjson.indented(value)) == value


def test_indented_is_what_inspect_prints() -> None:
    value = {"A": [], "B": {}, "C": [1, {"ü": "<é>"}], "D": None, "E": True}
    assert quickjson.indented([value]) == json.dumps([value], indent=4, ensure_ascii=False)


@pytest.mark.parametrize("text", ["", " ", "{", "[1]x", '{"a":}', '"a\nb"', "nul", "[1,]", b"\xff"])
def test_what_is_no_json(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        quickjson.loads(text)


def test_what_has_no_json_form() -> None:
    with pytest.raises(TypeError, match="set has no JSON form"):
        quickjson.dumps({1})
