"""Every key of a TOML text is found in the line where it stands."""

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tare.config import locate, toml

TEXT = '''\
# comment = 1
data-root = "/x"   # not = this
labels = [
  "a=b",  # ] inside a comment
  "c=d",
]
"quoted key" = 1
'literal.key' = 2
dotted.in."three \\u0070arts" = 3
inline = { a = 1, b.c = { d = "}" }, e = [ { f = 1 },
  { f = 2 } ] }
long = """
fake = 1
[fake]
\\""" still """
literal = \'\'\'
fake = 2 \'\'\'\'
number = 1_000

  [ table . "with space" ]
key = 2020-01-01T00:00:00Z
[[array]]
one = 1
[[array]]
one = 2
[array.sub]
two = 3
[[array.inner]]
x = [[1, 2], [3,
 4]]
'''

LINES = {
    ("data-root",): 2,
    ("labels",): 3,
    ("labels", 0): 4,
    ("labels", 1): 5,
    ("quoted key",): 7,
    ("literal.key",): 8,
    ("dotted",): 9,
    ("dotted", "in"): 9,
    ("dotted", "in", "three parts"): 9,
    ("inline", "a"): 10,
    ("inline", "b", "c", "d"): 10,
    ("inline", "e", 0, "f"): 10,
    ("inline", "e", 1, "f"): 11,
    ("long",): 12,
    ("literal",): 16,
    ("number",): 18,
    ("table",): 20,
    ("table", "with space"): 20,
    ("table", "with space", "key"): 21,
    ("array", 0): 22,
    ("array", 0, "one"): 23,
    ("array", 1): 24,
    ("array", 1, "one"): 25,
    ("array", 1, "sub"): 26,
    ("array", 1, "sub", "two"): 27,
    ("array", 1, "inner", 0): 28,
    ("array", 1, "inner", 0, "x"): 29,
    ("array", 1, "inner", 0, "x", 1, 1): 30,
}


@pytest.mark.parametrize("path", LINES, ids=str)
def test_line_of_every_form(path: locate.Path) -> None:
    assert locate.lines(TEXT)[path] == LINES[path]


def test_nothing_is_found_that_is_not_there() -> None:
    assert set(locate.lines(TEXT)) - set(paths(tomllib.loads(TEXT))) == set()


def test_windows_line_ends_count_once() -> None:
    assert locate.lines("a = 1\r\n\r\nb = 2\r\n") == {("a",): 1, ("b",): 3}


def test_nearest_ancestor_stands_in_for_a_missing_path() -> None:
    found = locate.lines("[a]\nb = 1\n")
    assert locate.line(found, ("a", "c", "d")) == 1
    assert locate.line(found, ("z",)) == 0


def paths(value: Any, prefix: locate.Path = ()) -> Iterator[locate.Path]:
    """Every path of a parsed document."""
    if prefix:
        yield prefix
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from paths(item, (*prefix, name))


values = st.recursive(
    st.booleans() | st.integers(-(2**40), 2**40) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab.\"' é#\\[", max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text("ab.\"' é#\\=", max_size=3), values, max_size=5))
def test_whatever_is_written_is_read_back_and_every_path_is_found(document: dict[str, Any]) -> None:
    text = "".join(f"{toml.key(name)} = {toml.value(value)}\n" for name, value in document.items())
    assert tomllib.loads(text) == document
    found = locate.lines(text)
    assert set(found) == set(paths(document))
    for line, name in enumerate(document):
        assert text.split("\n")[found[(name,)] - 1].startswith(toml.key(name)), line
