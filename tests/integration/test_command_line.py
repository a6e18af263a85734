"""What a person types who knows docker, and what the answers look like: exit codes, words, streams."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Daemon

NONE = ("--network", "none")


@pytest.fixture
def running(engine: Daemon) -> str:
    """A container that does nothing, gone after the test."""
    id = engine.tare("run", "-d", *NONE, "-e", "A=b", "-l", "x=y", "busybox", "sleep", "1000").stdout.strip()
    yield id
    engine.tare("rm", "-f", id)


def test_what_force_wants_gone_may_be_gone_already(engine: Daemon) -> None:
    for client in (engine.tare, engine.docker):
        for words in (("rm", "-f", "nosuch"), ("rmi", "-f", "nosuch", "busybox:nosuch")):
            done = client(*words)
            assert (done.returncode, done.stdout) == (0, "")
            assert "nosuch" in done.stderr
        assert client("rm", "nosuch", check=False).returncode == 1
        assert client("rmi", "nosuch", check=False).returncode == 1


def test_exec_says_why_nothing_ran(engine: Daemon, running: str) -> None:
    for words, code, text in (
        (("exec", running, "nosuchcommand"), 127, "executable file not found"),
        (("exec", running, "/etc"), 126, "permission denied"),
        (("exec", "-u", "nobody-here", running, "true"), 126, "unable to find user nobody-here"),
        (("exec", "-w", "/no/such/dir", running, "true"), 127, "no such file or directory"),
    ):
        for client in (engine.tare, engine.docker):
            done = client(*words, check=False)
            assert (done.returncode, text in done.stderr + done.stdout) == (code, True), (words, done)


def test_templates_that_do_not_fit(engine: Daemon, running: str) -> None:
    for client in (engine.tare, engine.docker):
        assert client("inspect", "-f", "{{.NoSuchMember}}", running, check=False).returncode == 1
        assert client("inspect", "-f", "{{.Name", running, check=False).returncode == 64
        assert client("ps", "-a", "--format", "{{.NoSuchMember}}", check=False).returncode == 1


def test_version_has_the_members_of_dockers(engine: Daemon) -> None:
    done = engine.tare(
        "version", "-f", "{{.Server.Version}} {{.Client.APIVersion}} {{.Server.APIVersion}} {{.Server.MinAPIVersion}}"
    )
    server = json.loads(engine.tare("version", "-f", "{{json .Server}}").stdout)
    assert done.stdout.split() == [server["Version"], "1.50", server["ApiVersion"], "1.24"]


def test_networks_have_dockers_drivers(engine: Daemon) -> None:
    for client in (engine.tare, engine.docker):
        rows = client("network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}").stdout.splitlines()
        assert rows == ["bridge bridge local", "host host local", "none null local"]
        assert (
            client("network", "ls", "-q", "-f", "driver=null").stdout == client("network", "ls", "-q", "-f", "name=none").stdout
        )
        assert client("network", "inspect", "none", "-f", "{{.Driver}}").stdout == "null\n"


def test_ports_on_a_network_that_has_none(engine: Daemon) -> None:
    done = engine.tare("run", "--rm", *NONE, "-p", "80:80", "-P", "--expose", "90", "busybox", "echo", "fine")
    assert (done.stdout, done.stderr) == ("fine\n", "")
    done = engine.tare("run", "--rm", "--network", "host", "-p", "80:80", "busybox", "echo", "fine")
    assert (done.stdout, done.stderr) == ("fine\n", "WARNING: Published ports are discarded when using host network mode\n")


def test_save_into_nowhere_names_what_was_typed(engine: Daemon, tmp_path: Path) -> None:
    target = tmp_path / "no" / "x.tar"
    done = engine.tare("save", "busybox", "-o", str(target), check=False)
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, f"tare: {target}: there is no directory {target.parent}")


def test_pruned_images_are_listed_as_docker_lists_them(engine: Daemon, busybox_tar: Path) -> None:
    engine.tare("import", "-m", "to be pruned", str(busybox_tar))
    done = engine.tare("image", "prune", "-f")
    assert done.stdout.startswith("Deleted Images:\ndeleted: sha256:")
    assert "\n\nTotal reclaimed space: " in done.stdout
