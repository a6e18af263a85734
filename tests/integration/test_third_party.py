"""A stranger's driver, built as a wheel and installed beside tare, works without a change in core."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Daemon, new_daemon, wait_for

EXAMPLE = Path(__file__).parents[2] / "contrib/examples/tare-driver-flat"
HOOKS = """
from tare.errors import Denied
from tare.hooks import hookimpl

@hookimpl
def tare_before_container_create(name, config):
    if name.startswith("forbidden"):
        raise Denied(f"{name} is against the rules of the house", hint="choose another name")
    if "rubbish" in config.labels:
        rubbish = {"labels": {"a": 1}, "env": (None,), "ports": ("80",), "stop_timeout": "soon"}
        return {name: value for name, value in rubbish.items() if name == config.labels["rubbish"]}
    if "adjust" in config.labels:
        return {"env": (*config.env, "ADDED=by-plugin"), "hostname": "adjusted"}

@hookimpl
def tare_before_container_start(id, name, spec):
    if name.startswith("broken"):
        raise ZeroDivisionError("a defect")
    if name.startswith("spec"):
        process = {**spec["process"], "env": [*spec["process"]["env"], "SPEC=adjusted"], "noNewPrivileges": True}
        return {"hostname": "from-the-plugin", "process": process}

@hookimpl
def tare_after_container_start(id, name, pid):
    raise RuntimeError("watchers may fail")

@hookimpl
def tare_after_container_exit(id, name, state):
    with open(f"/tmp/tare-suite-hooks-{name}", "w") as file:
        file.write(str(state.exit_code))
"""
BROKEN = {
    "house_rules": HOOKS,
    "broken_import": "import no_such_module_anywhere",
    "broken_exit": "raise SystemExit('bye')",
    "broken_version": """
from tare.hooks import hookimpl
from tare.drivers.registration import Driver

@hookimpl
def tare_register_storage_drivers():
    return [Driver(kind="storage", name="from-the-future", factory="x:y", api=(99, 100))]
""",
}


@pytest.fixture(scope="module")
def scratch(suite_directory: Path) -> Iterator[Path]:
    """An environment of its own in which tare and the example's wheel are installed, and some broken plugins."""
    root = suite_directory / "scratch-environment"
    venv.create(root, with_pip=False, symlinks=True)
    site = next(root.glob("lib/python3*/site-packages"))
    wheels = suite_directory / "wheels"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(wheels), str(EXAMPLE)], check=True, capture_output=True
    )
    wheel = next(wheels.glob("tare_driver_flat-*.whl"))
    subprocess.run([*pip, "install", "--no-deps", "--target", str(site), str(wheel)], check=True, capture_output=True)
    for name, text in BROKEN.items():
        (site / f"{name}.py").write_text(text)
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[tare.plugins]\n{name} = {name}\n")
    (site / "base.pth").write_text(f"import site; site.addsitedir({sysconfig.get_paths()['purelib']!r})\n")
    yield root
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def foreign(scratch: Path, suite_directory: Path, busybox_tar: Path) -> Iterator[Daemon]:
    daemon = new_daemon(suite_directory, "third-party")
    daemon.python = str(scratch / "bin/python")
    daemon.start()
    daemon.tare("import", str(busybox_tar), "busybox")
    try:
        yield daemon
    finally:
        daemon.stop()


def test_a_container_runs_on_it(foreign: Daemon) -> None:
    script = "echo made > /file; rm /etc/group; cat /file; ls /etc"
    run = ("run", "--rm", "--network", "none", "--storage-driver", "flat", "busybox", "sh", "-c", script)
    assert foreign.tare(*run).stdout.startswith("made\n")
    label = ("run", "--rm", "--network", "none", "--label", "tare.storage-driver=flat", "busybox", "cat", "/etc/group")
    assert foreign.docker(*label).stdout.startswith("root:x:0:")
    name = foreign.tare("create", "--storage-driver", "flat", "busybox", "true").stdout.strip()
    assert foreign.inspect(name)["Driver"] == "flat"
    assert (foreign.data_root / "storage/flat" / name / "tree/bin/busybox").exists()
    foreign.tare("rm", name)
    assert not (foreign.data_root / "storage/flat" / name).exists()


def test_it_is_listed_and_so_are_the_broken(foreign: Daemon) -> None:
    listing = foreign.tare("plugin", "ls").stdout
    lines = {line.split()[0]: line for line in listing.splitlines()[1:]}
    assert "ok" in lines["flat"]
    assert "failed" in lines["broken_import"] and "no_such_module_anywhere" in lines["broken_import"]
    assert "failed" in lines["broken_exit"]
    assert "99" in foreign.tare("plugin", "inspect", "broken_version").stdout


def test_a_plugin_adjusts_and_is_remembered(foreign: Daemon) -> None:
    name = foreign.tare(
        "create", "--label", "adjust", "--network", "none", "busybox", "sh", "-c", "echo $ADDED; hostname"
    ).stdout.strip()
    assert foreign.tare("start", "-a", name).stdout == "by-plugin\nadjusted\n"
    assert foreign.inspect(name)["TareChangedBy"] == ["house_rules: env, hostname"]
    foreign.tare("rm", name)
    out = foreign.tare("run", "--rm", "--name", "spec-1", "--network", "none", "busybox", "hostname").stdout
    assert out == "from-the-plugin\n"


def test_an_exec_sees_what_a_plugin_made_of_the_specification(foreign: Daemon) -> None:
    foreign.tare("run", "-d", "--name", "spec-2", "--network", "none", "busybox", "sleep", "1000")
    seen = ("exec", "spec-2", "sh", "-c", "echo $SPEC; grep NoNewPrivs /proc/self/status")
    assert foreign.tare(*seen).stdout == "adjusted\nNoNewPrivs:\t1\n"
    foreign.kill()
    foreign.start()
    assert foreign.tare(*seen).stdout == "adjusted\nNoNewPrivs:\t1\n"
    foreign.tare("rename", "spec-2", "unadjusted")
    foreign.tare("restart", "-t", "0", "unadjusted")
    assert foreign.tare("exec", "unadjusted", "sh", "-c", "echo [$SPEC]").stdout == "[]\n"
    foreign.tare("rm", "-f", "unadjusted")


@pytest.mark.parametrize("member", ["labels", "env", "ports", "stop_timeout"])
def test_rubbish_of_a_plugin_is_refused_with_its_name(foreign: Daemon, member: str) -> None:
    done = foreign.tare("create", "--label", f"rubbish={member}", "busybox", "true", check=False)
    assert done.returncode == 1 and f"plugin house_rules: {member}: what it made of the ContainerConfig" in done.stderr
    assert foreign.tare("ps", "-aq").stdout == ""


def test_a_plugin_vetoes_with_its_own_words(foreign: Daemon) -> None:
    for client in (foreign.tare, foreign.docker):
        done = client("run", "--rm", "--name", "forbidden-1", "--network", "none", "busybox", "true", check=False)
        assert done.returncode == 125
        assert "against the rules of the house" in done.stderr and "house_rules" in done.stderr
    done = foreign.tare("run", "--rm", "--name", "broken-1", "--network", "none", "busybox", "true", check=False)
    assert done.returncode == 125
    assert "house_rules" in done.stderr and "ZeroDivisionError" in done.stderr
    assert foreign.tare("ps", "-aq").stdout == ""


def test_watchers_are_told_and_may_fail(foreign: Daemon) -> None:
    foreign.tare("run", "--rm", "--name", "watched-1", "--network", "none", "busybox", "sh", "-c", "exit 3", check=False)
    told = Path("/tmp/tare-suite-hooks-watched-1")
    wait_for(lambda: told.exists() and told.read_text() == "3", "the watcher to be told")
    for path in Path("/tmp").glob("tare-suite-hooks-*"):
        path.unlink()
    wait_for(lambda: "watchers may fail" in foreign.log() and "house_rules" in foreign.log(), "the failure in the log")


def test_a_broken_default_stops_the_daemon_with_its_reason(scratch: Path, suite_directory: Path) -> None:
    daemon = new_daemon(suite_directory, "third-party-default")
    daemon.python = str(scratch / "bin/python")
    (daemon.directory / "daemon.toml").write_text('[storage]\ndriver = "from-the-future"\n')
    with pytest.raises(RuntimeError, match="from-the-future"):
        daemon.start()
