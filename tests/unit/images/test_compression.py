"""Compressed streams, by the programs that write them."""

from __future__ import annotations

import io
import os
import subprocess

import pytest

from tare.errors import Invalid
from tare.images.compression import kind_of, plain

PROGRAMS = {"gzip": "gzip -c", "zstd": "zstd -qc", "xz": "xz -c", "bzip2": "bzip2 -c"}
CONTENT = os.urandom(100_000) + bytes(3_000_000) + b"end"


def compress(kind: str, content: bytes) -> bytes:
    return subprocess.run(PROGRAMS[kind].split(), input=content, capture_output=True, check=True).stdout


def whole(data: bytes) -> bytes:
    stream = plain(io.BytesIO(data), kind_of(data[:6]))
    parts = []
    while part := stream.read(10_000):
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("kind", PROGRAMS)
def test_read(kind: str) -> None:
    data = compress(kind, CONTENT)
    assert kind_of(data[:6]) == kind
    assert whole(data) == CONTENT
    assert whole(data + compress(kind, b"second")) == CONTENT + b"second"


@pytest.mark.parametrize("kind", ["gzip", "xz", "bzip2"])
def test_cut(kind: str) -> None:
    data = compress(kind, CONTENT)
    for cut in (len(data) - 1, len(data) // 2, 20):
        with pytest.raises(Invalid, match="ends in the middle"):
            whole(data[:cut])


@pytest.mark.parametrize("kind", PROGRAMS)
def test_damaged(kind: str) -> None:
    data = bytearray(compress(kind, CONTENT))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(Invalid):
        assert whole(bytes(data)) != CONTENT
        raise Invalid("content changed and nothing was said: only formats without a checksum may do that")


@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_bomb_is_read_in_small_pieces(kind: str) -> None:
    bomb = compress(kind, bytes(32 << 20))
    stream = plain(io.BytesIO(bomb), kind)
    total = 0
    while part := stream.read(1 << 30):
        assert len(part) <= 1 << 20
        total += len(part)
    assert total == 32 << 20


def test_anything_else_is_taken_as_it_is() -> None:
    assert kind_of(b"ustar?") == ""
    assert whole(b"plain") == b"plain"
