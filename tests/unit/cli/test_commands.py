"""The command tree: everything can be reached, asked for help, and misused with the right words."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tare.cli import completion, registry

ROOT = Path(__file__).parents[3]
PATHS = sorted([*registry.PLAIN, *(f"{group} {name}" for group, members in registry.GROUPS.items() for name in members)])


def tare(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A whole command, with a daemon's address where nobody is."""
    return subprocess.run(
        [sys.executable, "-I", "-m", "tare", *words],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "TARE_HOST": "unix:///nonexistent/tare.sock", "COLUMNS": "100", **environment},
    )


@pytest.mark.parametrize("path", PATHS)
def test_every_command_can_be_loaded_and_read(path: str) -> None:
    found = registry.locate(path.split())
    assert found is not None
    verb = registry.load(found[0])
    shorts = [flag.short for flag in verb.flags if flag.short]
    assert len(set(shorts)) == len(shorts)
    assert len({flag.name for flag in verb.flags}) == len(verb.flags)
    assert verb.summary and not verb.summary.endswith(".")
    assert all(flag.help for flag in verb.flags)
    assert verb.most is None or verb.least <= verb.most


def test_a_missing_command_is_missing_once() -> None:
    assert not {path for path in registry.NOT_YET if registry.locate(path.split())}


def test_help_names_everything() -> None:
    done = tare("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for name in [*registry.PLAIN, *registry.GROUPS]:
        assert f"\n  {name} " in done.stdout
    assert tare().stdout == done.stdout == tare("help").stdout


@pytest.mark.parametrize("words", [("run", "--help"), ("container", "run", "--help"), ("help", "run"), ("-D", "help", "run")])
def test_help_of_a_command(words: tuple[str, ...]) -> None:
    done = tare(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: tare ")
    assert "run [OPTIONS] IMAGE [COMMAND] [ARG...]" in done.stdout
    assert "  -p, --publish list" in done.stdout
    assert "      --rm  " in done.stdout
    assert "--gpus" not in done.stdout and "--net " not in done.stdout


def test_a_version_without_a_daemon() -> None:
    done = tare("version", "-f", "{{.Server.Version}}", TARE_NO_AUTOSTART="1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("tare: no daemon runs at unix:///nonexistent/tare.sock")


def test_help_of_a_noun() -> None:
    done = tare("container")
    assert done.returncode == 0
    assert "\n  ls " in done.stdout and "\n  list " not in done.stdout
    assert registry.locate(["image", "rmi", "x"]) == ("rmi", "image rmi", ["x"])
    assert "\n  rmi " not in tare("image").stdout


@pytest.mark.parametrize(
    ("words", "code", "first"),
    [
        (["run", "--foo"], 125, "tare: unknown flag: --foo"),
        (["ps", "--foo"], 125, "tare: unknown flag: --foo"),
        (["--foo", "ps"], 125, "tare: unknown flag: --foo"),
        (["run", "-z", "x"], 125, "tare: unknown shorthand flag: 'z' in -z"),
        (["run", "--name"], 125, "tare: flag needs an argument: --name"),
        (["run", "--gpus", "all", "x"], 125, "tare: --gpus is not supported yet"),
        (["run"], 1, "tare: 'tare run' requires at least 1 argument"),
        (["exec", "x"], 1, "tare: 'tare exec' requires at least 2 arguments"),
        (["container", "exec", "x"], 1, "tare: 'tare container exec' requires at least 2 arguments"),
        (["rename", "x"], 1, "tare: 'tare rename' requires 2 arguments"),
        (["ps", "extra"], 1, "tare: 'tare ps' accepts no arguments"),
        (["images", "a", "b"], 1, "tare: 'tare images' requires at most 1 argument"),
        (["psx"], 1, "tare: 'psx' is not a tare command; did you mean `tare ps`?"),
        (["container", "lss"], 1, "tare: 'container lss' is not a tare command; did you mean `tare container ls`?"),
        (["pull", "busybox"], 1, "tare: `tare pull` is not available yet"),
        (["container", "cp", "a", "b"], 1, "tare: `tare container cp` is not available yet"),
    ],
)
def test_misuse(words: list[str], code: int, first: str) -> None:
    done = tare(*words)
    assert (done.returncode, done.stdout, done.stderr.splitlines()[0]) == (code, "", first)


@pytest.mark.parametrize(
    ("words", "code"), [(["ps"], 1), (["run", "x"], 125), (["create", "x"], 1), (["exec", "x", "y"], 1), (["stop", "x"], 1)]
)
def test_no_daemon(words: list[str], code: int) -> None:
    done = tare(*words)
    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr.startswith("tare: no daemon runs at unix:///nonexistent/tare.sock\n  ")


def test_the_flag_wins_over_the_environment() -> None:
    assert "unix:///other.sock" in tare("-H", "unix:///other.sock", "ps").stderr
    assert tare("-H", "/a", "-H", "/b", "ps").stderr == "tare: specify only one -H\n"


def test_version() -> None:
    done = tare("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("tare version ")


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_the_completions_are_those_of_the_table(shell: str) -> None:
    """To renew one: tare completion SHELL > contrib/completions/tare.SHELL"""
    assert (ROOT / f"contrib/completions/tare.{shell}").read_text() == completion.script(shell)


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("tare r", {"rename", "restart", "rm", "rmi", "run"}),
        ("tare container l", {"list", "logs", "ls"}),
        ("tare run --storage", {"--storage-driver", "--storage-opt"}),
        ("tare -H unix:///x image sa", {"save"}),
    ],
)
def test_completion_in_bash(line: str, offered: set[str]) -> None:
    script = f"""
        source {ROOT}/contrib/completions/tare.bash
        COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _tare
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == offered
