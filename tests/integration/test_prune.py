"""Pruning: what cannot exist yet is pruned to nothing, and times are read as everywhere else."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from .conftest import DOCKERS, Daemon, Raw


@pytest.fixture
def ended(engine: Daemon) -> Iterator[str]:
    engine.tare("run", "--name", "prune-me", "--label", "prune=me", "--network", "none", "busybox", "true")
    yield "prune-me"
    engine.tare("rm", "-f", "prune-me", check=False)


@pytest.mark.parametrize("binary", DOCKERS)
@pytest.mark.parametrize("words", ["system prune", "system prune --volumes", "network prune", "volume prune", "builder prune"])
def test_the_docker_command_line_prunes(engine: Daemon, ended: str, binary: str, words: str) -> None:
    """``system prune`` asks for all of these, one after the other."""
    engine.run([binary, *words.split(), "-f", "--filter", "label=prune=me"], check=True, input=None, timeout=60)
    assert (ended in engine.tare("ps", "-a").stdout) == (not words.startswith("system"))


@pytest.mark.parametrize("noun", ["containers", "images", "networks", "volumes", "build"])
def test_an_unknown_filter_is_refused(raw: Raw, noun: str) -> None:
    status, _, body = raw.ask("POST", f"/{noun}/prune?filters=" + quote('{"words":["x"]}'))
    assert status == 400 and b"invalid filter 'words'" in body


@pytest.mark.parametrize("values", [["words"], ["true", "false"], [""], ["t"]])
def test_an_unclear_dangling_takes_no_image_away(raw: Raw, values: list[str]) -> None:
    before = raw.json("GET", "/images/json")
    status, _, body = raw.ask("POST", "/images/prune?filters=" + quote(json.dumps({"dangling": values})))
    assert status == 400 and b"invalid filter 'dangling=" in body
    assert raw.json("GET", "/images/json") == before


def test_a_prune_is_an_event(raw: Raw, ended: str) -> None:
    since = time.time()
    raw.ask("POST", "/containers/" + until("1ms"))
    raw.ask("POST", "/images/" + until("1ms"))
    filters = quote(json.dumps({"event": ["prune"]}))
    lines = raw.ask("GET", f"/events?since={since}&until={time.time()}&filters={filters}")[2].splitlines()
    assert [json.loads(line)["Type"] for line in lines] == ["container", "image"]
    assert all(json.loads(line)["Actor"]["Attributes"]["reclaimed"].isdigit() for line in lines)


def until(text: str) -> str:
    return "prune?filters=" + quote(json.dumps({"until": [text], "label": ["prune=me"]}))


@pytest.mark.parametrize("noun", ["containers", "images"])
@pytest.mark.parametrize("text", ["nan", "1.5.2h", "inf", "1e5", "\u0663h", "12:00"])
def test_no_time_is_refused(raw: Raw, ended: str, noun: str, text: str) -> None:
    status, _, body = raw.ask("POST", f"/{noun}/{until(text)}")
    assert status == 400 and b"is no time" in body


def test_until_is_a_duration_or_a_time(raw: Raw, ended: str) -> None:
    for past in ("1h30m", "2020-01-01", "2020-01-01T00:00:00.5Z", "1600000000.25"):
        assert raw.json("POST", f"/containers/{until(past)}")["ContainersDeleted"] is None
    assert len(raw.json("POST", f"/containers/{until('1ms')}")["ContainersDeleted"]) == 1
