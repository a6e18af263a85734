"""The launcher that an installation writes: it starts this interpreter and this package, whatever else is on the machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tare.cli import launcher


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=False, cwd="/", env={})


def test_a_launcher_is_the_command(tmp_path: Path) -> None:
    path = tmp_path / "tare"
    assert run(sys.executable, "-m", "tare.cli.launcher", str(path)).returncode == 0
    assert os.access(path, os.X_OK)
    shown = run(str(path), "--version")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "tare" in shown.stdout
    wrong = run(str(path), "ps", "--no-such-flag")
    assert wrong.returncode == 125 and "unknown flag: --no-such-flag" in wrong.stderr


def test_it_is_written_again_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "tare"
    path.write_text("old")
    launcher.write(str(path))
    assert path.read_text() == launcher.text()
    assert os.listdir(tmp_path) == ["tare"]


def test_an_interpreter_that_no_first_line_can_name_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", "/a path/python3")
    with pytest.raises(ValueError, match="cannot stand in the first line"):
        launcher.write(str(tmp_path / "tare"))
    assert not list(tmp_path.iterdir())


def test_an_early_ctrl_c_is_no_traceback(tmp_path: Path) -> None:
    """Before the command has begun, while its modules are read."""
    stub = (Path(__file__).parents[3] / "contrib/bin/tare").read_text()
    for text in (launcher.text(), stub):
        path = tmp_path / "tare"
        interrupted = text.replace("from tare.cli.entry import main", "import os; os.kill(os.getpid(), 2)")
        assert interrupted != text
        path.write_text(interrupted)
        path.chmod(0o755)
        done = run(str(path))
        assert (done.returncode, done.stderr) == (-signal.SIGINT, "")
