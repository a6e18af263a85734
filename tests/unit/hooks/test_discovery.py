"""A plugin may do whatever it likes: it is listed with its reason, and the others work."""

from __future__ import annotations

import logging
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tare.hooks.plugins import Plugins
from tare.hooks.status import PluginStatus
from tests.unit.hooks.distribution import install

DRIVER = """
from tare.drivers.registration import Driver
from tare.hooks import hookimpl

@hookimpl
def tare_register_storage_drivers():
    return [Driver("storage", {name!r}, "nowhere:Nothing", "a driver", {more})]
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory that is on sys.path; what is imported from it is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


def driver(name: str, more: str = "") -> str:
    return DRIVER.format(name=name, more=more)


def loaded(name: str, deadline: float = 10.0) -> PluginStatus:
    return {status.name: status for status in Plugins.load(load_deadline=deadline).list()}[name]


def test_the_built_in_drivers_come_in_by_the_same_door() -> None:
    plugins = Plugins.load()
    built_in = {status.name: status for status in plugins.list() if status.dist == "tare-engine"}
    assert {"storage", "network", "runtime"} <= set(built_in)
    assert {status.state for status in built_in.values()} == {"ok"}
    assert set(plugins.offered()) == {"storage", "network", "runtime"}


def test_a_stranger_is_found_with_its_version(site: Path) -> None:
    install(site, "good-one", "good_one", driver("goodfs"), "2.5")
    plugins = Plugins.load()
    status = next(status for status in plugins.list() if status.name == "good-one")
    assert (status.dist, status.version, status.state, status.reason) == ("good-one", "2.5", "ok", "")
    assert [(d.kind, d.name, d.state, d.summary) for d in status.drivers] == [("storage", "goodfs", "ok", "a driver")]
    assert status.hooks == ("tare_register_storage_drivers",)
    assert plugins.drivers("storage")["goodfs"].factory == "nowhere:Nothing"


def test_a_wheel_on_the_path_is_a_plugin_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tmp_path / "made"
    made.mkdir()
    install(made, "zipped", "zipped", driver("zippedfs"))
    wheel = tmp_path / "zipped-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path in sorted(made.rglob("*")):
            archive.write(path, path.relative_to(made))
    monkeypatch.syspath_prepend(str(wheel))
    assert "zippedfs" in Plugins.load().drivers("storage")


BROKEN = {
    "raises when imported": ("raise OSError('no such disk')", "importing broken: OSError: no such disk"),
    "leaves when imported": ("import sys; sys.exit(3)", "importing broken: SystemExit: 3"),
    "is no python": ("def (", "importing broken: SyntaxError: "),
    "imports what is missing": (
        "import does_not_exist",
        "importing broken: ModuleNotFoundError: No module named 'does_not_exist'",
    ),
    "raises when asked": (
        "from tare.hooks import hookimpl\n@hookimpl\ndef tare_register_network_drivers(): raise StopIteration('x')",
        "tare_register_network_drivers: StopIteration: x",
    ),
    "returns no list": (
        "from tare.hooks import hookimpl\n@hookimpl\ndef tare_register_network_drivers(): return 'bridge'",
        "tare_register_network_drivers must return a list of tare.drivers.registration.Driver, not str",
    ),
    "returns nothing": (
        "from tare.hooks import hookimpl\n@hookimpl\ndef tare_register_network_drivers(): pass",
        "tare_register_network_drivers must return a list of tare.drivers.registration.Driver, not NoneType",
    ),
    "returns a list of others": (
        "from tare.hooks import hookimpl\n@hookimpl\ndef tare_register_network_drivers(): return ['x', 3]",
        "tare_register_network_drivers must return a list of tare.drivers.registration.Driver, not a list with int, str",
    ),
    "implements a hook that is not there": (
        "from tare.hooks import hookimpl\n@hookimpl\ndef tare_after_container_begin(id): pass",
        "there is no hook tare_after_container_begin; did you mean tare_after_",
    ),
    "wants a value that is not there": (
        "from tare.hooks import hookimpl\n@hookimpl\ndef tare_after_container_start(id, colour): pass",
        "Plugin 'broken' for hook 'tare_after_container_start'",
    ),
    "wraps": (
        "from tare.hooks import hookimpl\n@hookimpl(wrapper=True)\ndef tare_after_container_start(id):\n    return (yield)",
        "tare_after_container_start is a wrapper, which tare does not call",
    ),
    "declares a newer contract": (
        driver("x", "api=(7, 8)"),
        "storage driver x was written for version 7 to 8 of the driver contracts, this tare has 1",
    ),
    "declares nonsense for a contract": (
        driver("x", "api='one'"),
        "storage driver x declares no pair of versions as its api: 'one'",
    ),
    "calls its driver badly": (driver("No Name"), "storage driver No Name has no name that a driver may have"),
    "has an option of no type": (
        driver("x", "options={'a': 'colour'}"),
        "storage driver x has options of unknown types (a: colour); there are bool, bytes, int, list, string, table",
    ),
    "has options that are none": (
        driver("x", "options=None"),
        "what it offers cannot be read: AttributeError: 'NoneType' object has no attribute 'items'",
    ),
    "has an option of a type that is none": (
        driver("x", "options={'a': []}"),
        "what it offers cannot be read: TypeError: unhashable type: 'list'",
    ),
    "raises what cannot be told": (
        "class Mute(Exception):\n    def __str__(self): raise ValueError\nraise Mute",
        "importing broken: Mute",
    ),
    "interrupts when imported": ("raise KeyboardInterrupt", "importing broken: KeyboardInterrupt: "),
    "mixes its kinds up": (
        driver("x").replace("tare_register_storage_drivers", "tare_register_network_drivers"),
        "storage driver x is of kind 'storage' but was returned by tare_register_network_drivers",
    ),
}


@pytest.mark.parametrize("sort", BROKEN)
def test_broken_plugins_fail_with_their_reason_and_stop_nothing(site: Path, sort: str) -> None:
    source, reason = BROKEN[sort]
    install(site, "broken", "broken", source)
    install(site, "good", "good", driver("goodfs"))
    plugins = Plugins.load()
    statuses = {status.name: status for status in plugins.list()}
    assert statuses["broken"].state == "failed"
    assert statuses["broken"].reason.startswith(reason), statuses["broken"].reason
    assert "goodfs" in plugins.drivers("storage")
    assert "x" not in plugins.drivers("storage")


def test_a_plugin_without_hooks_is_not_taken_for_a_working_one(site: Path) -> None:
    install(site, "idle", "idle", "def tare_after_daemon_stop(): 'not marked'")
    status = loaded("idle")
    assert (status.state, status.reason, status.hooks) == ("skipped", "implements no hook", ())


def test_an_entry_point_that_leads_nowhere(site: Path) -> None:
    install(site, "lost", "lost", "", points={"lost": "lost:missing"})
    assert loaded("lost").reason.startswith("importing lost:missing: AttributeError: ")


def test_a_plugin_that_hangs_is_left_behind(site: Path) -> None:
    install(site, "hung", "hung", "import threading; threading.Event().wait()")
    assert loaded("hung", 0.2).reason == "importing hung did not come back within 0.2 s"


def test_a_raise_of_timeout_is_not_taken_for_a_hang(site: Path) -> None:
    install(site, "cross", "cross", "raise TimeoutError('mine')")
    assert loaded("cross").reason == "importing cross: TimeoutError: mine"


def test_one_name_offered_twice_is_used_by_neither(site: Path) -> None:
    install(site, "one", "one", driver("samefs"))
    install(site, "two", "two", driver("samefs"), "2.0")
    plugins = Plugins.load()
    reasons = {status.name: status.reason for status in plugins.list()}
    expected = "storage driver samefs is offered by one (one 1.0) and by two (two 2.0): disable one of them by plugins.disable"
    assert (reasons["one"], reasons["two"]) == (expected, expected)
    assert "samefs" not in plugins.drivers("storage")
    assert "samefs" in Plugins.load(["one"]).drivers("storage")


def test_two_plugins_of_one_name_are_told_apart(site: Path) -> None:
    install(site, "dist-a", "dist_a", driver("afs"), points={"same": "dist_a"})
    install(site, "dist-b", "dist_b", driver("bfs"), points={"same": "dist_b"})
    plugins = Plugins.load()
    assert {"same@dist-a", "same@dist-b"} <= {status.name for status in plugins.list()}
    assert {"afs", "bfs"} <= set(plugins.drivers("storage"))


def test_disabled_plugins_are_not_even_imported(site: Path, caplog: pytest.LogCaptureFixture) -> None:
    install(site, "unwanted", "unwanted", "raise RuntimeError")
    with caplog.at_level(logging.WARNING):
        plugins = Plugins.load(["unwanted", "unheard-of"])
    status = next(status for status in plugins.list() if status.name == "unwanted")
    assert (status.state, status.reason) == ("skipped", "disabled by plugins.disable")
    assert "unwanted" not in sys.modules
    assert "plugins.disable names unheard-of, which is not installed" in caplog.text


def test_a_failure_is_logged_with_the_distribution(site: Path, caplog: pytest.LogCaptureFixture) -> None:
    install(site, "broken", "broken", "raise ValueError('why')", "3.1")
    with caplog.at_level(logging.ERROR):
        Plugins.load()
    assert "plugin broken (broken 3.1) failed: importing broken: ValueError: why" in caplog.text


def test_a_probe_is_told_with_its_driver(site: Path) -> None:
    install(site, "picky", "picky", driver("pickyfs"))
    plugins = Plugins.load()
    plugins.probed("storage", "pickyfs", "skip", "needs a moon")
    status = next(status for status in plugins.list() if status.name == "picky")
    assert [(d.state, d.reason) for d in status.drivers] == [("skip", "needs a moon")]
