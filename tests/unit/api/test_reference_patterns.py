"""Patterns of references, as Go's path.Match has them (its own tests, path/match_test.go, where they fit a reference)."""

from __future__ import annotations

import pytest

from tare.api.routes.filtering import matches_reference, pattern
from tare.errors import Invalid


@pytest.mark.parametrize(
    ("wanted", "tag", "fits"),
    [
        ("abc", "abc:latest", True), ("abc:latest", "abc:latest", True), ("abc:1", "abc:2", False), ("*", "abc:1", True),
        ("*c", "abc:1", True), ("a*", "ab/c:1", False), ("a*/b", "abc/b:1", True), ("*:1", "abc:1", True),
        ("*:1", "x/abc:1", False), ("*/*:1", "x/abc:1", True), ("host:5000/*", "host:5000/app:1", True), ("ab[c]", "abc:1", True),
        ("ab[b-d]", "abc:1", True), ("ab[e-g]", "abc:1", False), ("ab[^c]", "abc:1", False), ("ab[^e-g]", "abc:1", True),
        ("a\\*b", "ab:1", False), ("a?b", "axb:1", True), ("a?b", "a/b:1", False), ("a[^x]b", "a/b:1", False),
        ("[a-ce]*", "e1:1", True), ("[\\d]", "5:1", False), ("[\\d]", "d:1", True), ("[a\\-z]b", "-b:1", True),
        ("a.c", "abc:1", False), ("a*b*c", "axbxbyc:1", True), ("a*b*c", "abxc/c:1", False), ("*b*b*", "abb:1", True),
        ("**", "a:1", True),
        ("*a/b*c", "xa/bc:1", True), ("*/*/*", "a/b/c:1", True), ("*ab*ab", "abab:1", True), ("*ab*ab", "ab:1", False),
        ("[[]x", "[x:1", True), ("", "abc:1", False),
    ],
)  # fmt: skip
def test_matching(wanted: str, tag: str, fits: bool) -> None:
    assert matches_reference(tag, pattern(wanted)) is fits


@pytest.mark.parametrize("text", ["[", "[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[^", "[^bc", "a[", "\\", "[z-a]", "[a-b-c"])
def test_no_pattern(text: str) -> None:
    with pytest.raises(Invalid, match="syntax error in pattern"):
        pattern(text)


def test_no_pattern_takes_long() -> None:
    """One that looked back would not end in a lifetime."""
    assert not matches_reference("a" * 250 + ":" + "a" * 128, pattern("*a" * 100 + "b"))
