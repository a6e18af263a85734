"""Drivers' own options, checked against what the drivers declare."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tare.config.drivers import bind
from tare.config.load import load
from tare.drivers.registration import Driver
from tare.errors import Invalid

OFFERED = {
    "storage": {
        "vfs": Driver("storage", "vfs", "a:b"),
        "overlay2": Driver("storage", "overlay2", "a:b", options={"size": "bytes", "xino": "bool", "deep": "table"}),
    },
    "network": {
        "bridge": Driver(
            "network", "bridge", "a:b", options={"mtu": "int", "ip": "string", "address-pools": "list", "extra": "list"}
        ),
        "host": Driver("network", "host", "a:b"),
    },
    "runtime": {
        "ns": Driver("runtime", "ns", "a:b", options={"strict": "bool"}),
        "runc": Driver("runtime", "runc", "a:b", options={"path": "string", "args": "list"}),
    },
}


@pytest.fixture
def path(tmp_path: Path) -> Callable[[str], Path]:
    def written(text: str) -> Path:
        (tmp_path / "daemon.toml").write_text(text)
        return tmp_path / "daemon.toml"

    return written


def test_options_have_the_declared_types(path: Callable[[str], Path]) -> None:
    settings = bind(
        load(path("[storage]\nopts = ['overlay2.xino=true']\n[storage.overlay2]\nsize = '10g'\ndeep = { a = 1 }\n")), OFFERED
    )
    assert settings.driver_options("storage", "overlay2") == {"size": 10 << 30, "xino": True, "deep": {"a": 1}}
    assert settings.driver_options("storage", "vfs") == {}


def test_the_bridge_gets_the_network_keys_that_it_declares_and_its_own(path: Callable[[str], Path]) -> None:
    text = "[network]\naddress-pools = [{ base = '10.0.0.0/8', size = 24 }]\n[network.bridge]\nmtu = 1400\nextra = ['x']\n"
    settings = bind(load(path(text)), OFFERED)
    assert settings.driver_options("network", "bridge") == {
        "mtu": 1400,
        "ip": "",
        "address-pools": [{"base": "10.0.0.0/8", "size": 24}],
        "extra": ["x"],
    }
    assert settings.driver_options("network", "host") == {}


def test_runtimes_are_drivers_under_another_name(path: Callable[[str], Path]) -> None:
    strict = "strict = { runtimeType = 'ns', options = { strict = true } }"
    text = f"[runtime.runtimes]\n{strict}\ncrun = {{ path = '/c', runtimeArgs = ['-v'] }}\n"
    settings = bind(load(path(text), {"runtime.default": "crun"}), OFFERED)
    offered = settings.offered("runtime", OFFERED["runtime"])
    assert set(offered) == {"ns", "runc", "strict", "crun"}
    assert offered["strict"].factory == OFFERED["runtime"]["ns"].factory
    assert settings.driver_options("runtime", "strict") == {"strict": True}
    assert settings.driver_options("runtime", "crun") == {"path": "/c", "args": ["-v"]}
    assert settings.offered("storage", OFFERED["storage"]) == OFFERED["storage"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[storage.overlay]\nsize = '1'",
            ":1: storage.overlay: no plugin offers a storage driver overlay; did you mean overlay2",
        ),
        (
            "[storage.overlay2]\n\nsise = '1'",
            ":3: storage.overlay2.sise: the driver has no such option; did you mean size",
        ),
        ("[storage.vfs]\nsize = 1", ":2: storage.vfs.size: the driver has no such option (it has none)"),
        ("[storage.overlay2]\nsize = 'q'", ':2: storage.overlay2.size: must be a size such as 64m or 10g, not "q"'),
        ("[network.bridge]\nspeed = 1", ":2: network.bridge.speed: the driver has no such option"),
        ("[network.bridge]\nicc = false", ":2: network.bridge.icc: no network driver supports it"),
        ("[storage]\ndriver = 'btrfs'", ":2: storage.driver: no plugin offers a driver btrfs (there are: overlay2, vfs;"),
        ("[runtime]\ndefault = 'nss'", ":2: runtime.default: no plugin offers a driver nss; did you mean ns"),
        (
            "[runtime.runtimes.x]\nruntimeType = 'io.containerd.runc.v2'",
            ":1: runtime.runtimes.x.runtimeType: no plugin offers a runtime driver io.containerd.runc.v2",
        ),
        ("[runtime.runtimes.ns]\npath = '/x'", ":1: runtime.runtimes.ns: ns is the name of a driver"),
    ],
)
def test_refused_with_its_line(path: Callable[[str], Path], text: str, expected: str) -> None:
    written = path(text)
    with pytest.raises(Invalid) as caught:
        bind(load(written), OFFERED)
    assert caught.value.message.startswith(str(written) + expected), caught.value.message


def test_a_command_line_needs_a_driver_that_runs_one(path: Callable[[str], Path]) -> None:
    offered = {**OFFERED, "runtime": {"ns": OFFERED["runtime"]["ns"]}}
    with pytest.raises(Invalid, match="no plugin offers a runtime that runs command lines"):
        bind(load(path("[runtime.runtimes.x]\npath = '/x'\n")), offered)
