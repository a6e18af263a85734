"""The keys that leave a container."""

from __future__ import annotations

import pytest

from tare.cli.terminal import KeySequence, detach_keys
from tare.errors import Invalid


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", b"\x10\x11"),
        ("ctrl-p,ctrl-q", b"\x10\x11"),
        ("ctrl-A,b", b"\x01b"),
        ("ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", b"\x00\x1b\x1c\x1d\x1e\x1f"),
        ("a,b,c", b"abc"),
    ],
)
def test_keys(text: str, keys: bytes) -> None:
    assert detach_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-1", "alt-x", "ab", "a,,b", "ctrl-é"])
def test_no_keys(text: str) -> None:
    with pytest.raises(Invalid, match="invalid detach keys"):
        detach_keys(text)


@pytest.mark.parametrize(
    ("typed", "end"),
    [
        ([b"ls\n", b"\x10\x11"], (1, 2)),
        ([b"\x10", b"\x11"], (1, 1)),
        ([b"ab\x10\x11cd"], (0, 4)),
        ([b"\x10\x10\x11"], (0, 3)),
        ([b"\x10", b"x", b"\x11"], None),
        ([b"\x11\x10"], None),
    ],
)
def test_a_sequence_is_found_wherever_it_is_cut(typed: list[bytes], end: tuple[int, int] | None) -> None:
    sequence = KeySequence(b"\x10\x11")
    found = [(index, place) for index, piece in enumerate(typed) if (place := sequence.ends_in(piece))]
    assert found == ([end] if end else [])
