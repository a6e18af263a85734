"""Sizes, durations, decimals and moments."""

from __future__ import annotations

import re
import time

import pytest

from tare.cli import values
from tare.cli.moments import moment
from tare.cli.values import Misspelled
from tare.errors import Invalid


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [
        ("0", 0),
        ("1024", 1024),
        ("512b", 512),
        ("1k", 1024),
        ("1KB", 1024),
        ("1KiB", 1024),
        ("64m", 64 << 20),
        ("1.5g", 3 << 29),
        ("2T", 2 << 40),
        ("-1", -1),
        ("16 m", 16 << 20),
    ],
)
def test_size(text: str, bytes_: int) -> None:
    assert values.size(text) == bytes_


@pytest.mark.parametrize("text", ["", "m", "1x", "1bb", "-2", "1mm", "1,5g", "0x10", "٣m"])
def test_no_size(text: str) -> None:
    with pytest.raises(Misspelled):
        values.size(text)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("1s", 10**9),
        ("1.5s", 15 * 10**8),
        ("1h30m", 5400 * 10**9),
        ("100ms", 10**8),
        ("2us", 2000),
        ("2µs", 2000),
        ("3ns", 3),
        ("-1m", -60 * 10**9),
    ],
)
def test_duration(text: str, nanoseconds: int) -> None:
    assert values.duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "1", "s", "1d", "1s2", "1..5s", "-"])
def test_no_duration(text: str) -> None:
    with pytest.raises(Misspelled):
        values.duration(text)


@pytest.mark.parametrize(("text", "billionths"), [("1", 10**9), ("0.5", 5 * 10**8), (".25", 25 * 10**7), ("1.5", 15 * 10**8)])
def test_cpus(text: str, billionths: int) -> None:
    assert values.nano_cpus(text) == billionths


@pytest.mark.parametrize("text", ["", "x", "1.0000000001", "-1", "1e3"])
def test_no_cpus(text: str) -> None:
    with pytest.raises(Misspelled):
        values.nano_cpus(text)


@pytest.mark.parametrize(("text", "number"), [("7", 7), ("-1", -1), ("0", 0), ("0x1f", 31)])
def test_integer(text: str, number: int) -> None:
    assert values.integer(text) == number


@pytest.mark.parametrize("text", ["", "x", "1.5", "1_0x"])
def test_no_integer(text: str) -> None:
    with pytest.raises(Misspelled):
        values.integer(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1700000000", "1700000000"),
        ("1700000000.25", "1700000000.25"),
        ("2023-11-14T22:13:20Z", "1700000000.000000000"),
        ("2023-11-14T22:13:20.25Z", "1700000000.250000000"),
        ("2023-11-15T00:13:20+02:00", "1700000000.000000000"),
        ("2023-11-14Z", "1699920000.000000000"),
    ],
)
def test_moment(text: str, seconds: str) -> None:
    assert moment(text) == seconds


def test_a_moment_that_long_ago() -> None:
    found = moment("90s")
    assert re.fullmatch(r"\d+\.\d{9}", found)
    assert abs(time.time() - 90 - float(found)) < 5


@pytest.mark.parametrize("text", ["yesterday", "2023-13-01", "12:00"])
def test_no_moment(text: str) -> None:
    with pytest.raises(Invalid, match="cannot read the time"):
        moment(text)
