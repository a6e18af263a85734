"""Byte for byte what docker's client (28.2.2) printed for the same answers of a daemon (tests/golden/present)."""

import json
from datetime import UTC
from pathlib import Path

import pytest

from tare.errors import Invalid
from tare.present import info, listing, template, usage, version

GOLDEN = Path(__file__).parents[2] / "golden" / "present"


def golden(name):
    return json.loads((GOLDEN / f"{name}.json").read_text())


INSPECT, LISTS, SYSTEM = golden("inspect"), golden("lists"), golden("system")


@pytest.mark.parametrize("case", INSPECT["cases"], ids=lambda case: f"{case['of']} {case['template']}")
def test_inspect(case):
    container = INSPECT["containers"][case["of"]]
    if "error" in case:
        with pytest.raises(Invalid) as caught:
            template.render(case["template"], container, "container")
        assert str(caught.value) == case["error"]
    else:
        assert template.render(case["template"], container, "container") == case["text"]


@pytest.mark.parametrize("case", LISTS["cases"], ids=lambda case: f"{case['rows']} {case['format']}")
def test_lists(case):
    def rendered():
        return listing.render(
            case["noun"],
            LISTS["rows"][case["rows"]],
            format=case["format"],
            no_trunc=case["no_trunc"],
            quiet=case["quiet"],
            digests=case["digests"],
            now=case["now"],
            tz=UTC,
        )

    if "error" in case:
        with pytest.raises(Invalid) as caught:
            rendered()
        assert str(caught.value) == case["error"]
    else:
        assert rendered() == case["text"]


def test_info():
    assert info.render(SYSTEM["answers"]["info"], {"Version": "28.2.2"}) == SYSTEM["texts"]["info"]


def test_version():
    client = {
        "Version": "28.2.2",
        "ApiVersion": "1.41",
        "DefaultAPIVersion": "1.50",
        "GoVersion": "go1.24.3",
        "GitCommit": "e6534b4",
        "BuildTime": "Fri May 30 12:07:14 2025",
        "Os": "linux",
        "Arch": "amd64",
    }
    text = version.render({"Client": client, "Server": SYSTEM["answers"]["version"]})
    assert text == SYSTEM["texts"]["version"].rstrip("\n") + "\n"
    assert "Server" not in version.render({"Client": client, "Server": None})


def test_usage():
    answer = SYSTEM["answers"]["df"]
    assert usage.render(answer) == SYSTEM["texts"]["df"]
    assert usage.render(answer, verbose=True, now=SYSTEM["now"], tz=UTC) == SYSTEM["texts"]["df -v"]


def test_events():
    lines = [listing.render("events", [event], now=0, tz=UTC) for event in SYSTEM["answers"]["events"]]
    assert "".join(lines) == SYSTEM["texts"]["events"]


def test_top():
    assert listing.render("top", [SYSTEM["answers"]["top"]], now=0, tz=UTC) == SYSTEM["texts"]["top"]
