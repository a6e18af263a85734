"""The daemon and its configuration, as an operator meets them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import BIN, Daemon, new_daemon, wait_for


def validate(tmp_path: Path, text: str, *flags: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "daemon.toml"
    path.write_text(text)
    command = [str(BIN / "tared"), "--validate", "--config-file", str(path), *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_valid_configuration(tmp_path: Path) -> None:
    done = validate(tmp_path, "[log]\nlevel = 'debug'\n", "--data-root", str(tmp_path / "never-made"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "configuration OK\n", "")
    assert not (tmp_path / "never-made").exists()


@pytest.mark.parametrize(
    ("text", "flags", "expected"),
    [
        (
            "\n[network]\nbrige.mtu = 3\n",
            (),
            "{file}:3: network.brige: no plugin offers a network driver brige; did you mean bridge",
        ),
        (
            "debug = true\n",
            ("-D",),
            "specified both as a flag and in the configuration file: log.debug: (from flag: true, from file: true)",
        ),
        ("[storage.overlay2]\nsise = '3g'\n", (), "{file}:2: storage.overlay2.sise: the driver has no such option"),
        ("[storage]\ndriver = 'btrfs'\n", (), "{file}:2: storage.driver: no plugin offers a driver btrfs"),
        ("", ("--userns-remap", "default"), "--userns-remap: not supported yet"),
        ("", ("--no-such-flag",), "unknown flag: --no-such-flag"),
        ("", ("-H", "tcp://0.0.0.0:2375"), "flag --host: api.hosts: plain TCP gives root on this host"),
    ],
)
def test_an_invalid_one(tmp_path: Path, text: str, flags: tuple[str, ...], expected: str) -> None:
    done = validate(tmp_path, text, *flags)
    assert (done.returncode, done.stdout) == (1, "")
    assert expected.format(file=tmp_path / "daemon.toml") in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_file(tmp_path: Path) -> None:
    command = [str(BIN / "tared"), "--validate", "--config-file", str(tmp_path / "absent.toml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert f"no configuration file {tmp_path / 'absent.toml'}" in done.stderr


def test_what_is_effective_is_shown_with_its_origin(suite_directory: Path) -> None:
    daemon = new_daemon(suite_directory, "shown", "--label", "rack=7")
    path = daemon.directory / "daemon.toml"
    path.write_text("[containers]\nstop-timeout = 3\n")
    daemon.start()
    try:
        shown = daemon.tare("config", "show").stdout
        assert 'labels = ["rack=7"]  # flag --label' in shown
        assert f"stop-timeout = 3  # {path}:2" in shown
        assert "shm-size = 67108864  # default" in shown
        again = daemon.directory / "again.toml"
        again.write_text(shown)
        command = [str(BIN / "tared"), "--validate", "--config-file", str(again)]
        assert subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout == "configuration OK\n"
    finally:
        daemon.stop()


def test_two_daemons_on_one_data_root(daemon: Daemon, tmp_path: Path) -> None:
    assert daemon.process is not None
    other = Daemon(tmp_path / "other", ["--data-root", str(daemon.data_root)])
    other.directory.mkdir()
    command = [
        sys.executable, "-I", "-m", "tare.daemon.main", "--data-root", str(daemon.data_root), "--exec-root", str(other.exec_root),
        "--pidfile", str(other.directory / "pid"), "-H", other.host,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert f"another daemon uses {daemon.data_root}: process {daemon.process.pid}" in done.stderr
    assert not (other.exec_root / "supervisor.sock").exists()
    assert daemon.tare("ps", "-q").stdout == ""


def test_reload_on_hangup(daemon: Daemon) -> None:
    assert daemon.process is not None
    (daemon.directory / "daemon.toml").write_text("labels = ['a=b']\n[storage]\ndriver = 'vfs'\n")
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: json.loads(daemon.tare("info", "--format", "{{json .Labels}}").stdout) == ["a=b"], "the new label")
    assert "storage.driver" in daemon.log()
    (daemon.directory / "daemon.toml").write_text("labels = 3\n")
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "labels: must be an array, not an integer" in daemon.log(), "the error in the log")
    assert json.loads(daemon.tare("info", "--format", "{{json .Labels}}").stdout) == ["a=b"]


def test_a_container_that_runs_keeps_the_settings_of_its_start(daemon: Daemon) -> None:
    config = daemon.directory / "daemon.toml"
    profile = daemon.directory / "seccomp.json"
    profile.write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    config.write_text(
        f"""
        [containers]
        ulimits.nofile = {{ soft = 100, hard = 200 }}
        shm-size = "32m"
        ipc = "shareable"
        [security]
        no-new-privileges = true
        seccomp-profile = "{profile}"
        """
    )
    daemon.kill(signal.SIGTERM)
    daemon.start()
    daemon.tare("run", "-d", "--name", "kept", "--network", "none", "busybox", "sleep", "1000")
    config.write_text("[security]\nseccomp-profile = 'unconfined'\n")
    profile.unlink()
    daemon.kill(signal.SIGTERM)
    daemon.start()
    seen = ("ulimit -n", "grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status", "df -k /dev/shm | tail -1")
    inside = daemon.tare("exec", "kept", "sh", "-c", "; ".join(seen)).stdout.split()
    assert inside[:5] == ["100", "NoNewPrivs:", "1", "Seccomp:", "2"] and "32768" in inside
    host = daemon.inspect("kept")["HostConfig"]
    assert (host["ShmSize"], host["IpcMode"]) == (32 << 20, "shareable")
    join = ("run", "--rm", "--network", "none", "--ipc", "container:kept", "busybox")
    joined = daemon.tare(*join, "readlink", "/proc/self/ns/ipc")
    assert joined.stdout == daemon.tare("exec", "kept", "readlink", "/proc/self/ns/ipc").stdout
    daemon.tare("restart", "-t", "0", "kept")
    after = daemon.tare("exec", "kept", "sh", "-c", "; ".join(seen)).stdout.split()
    assert after[0] != "100" and after[1:5] == ["NoNewPrivs:", "0", "Seccomp:", "0"]
    assert "32768" in after  # its size is of its own since it was created


def test_a_damaged_database_stops_the_start_and_is_left_alone(suite_directory: Path) -> None:
    daemon = new_daemon(suite_directory, "damaged")
    daemon.data_root.mkdir()
    (daemon.data_root / "state.db").write_bytes(b"no database" * 1000)
    with pytest.raises(RuntimeError, match=r"state\.db is damaged") as caught:
        daemon.start()
    assert daemon.process is not None
    assert daemon.process.wait(30) == 1
    assert "move" in str(caught.value)
    assert (daemon.data_root / "state.db").read_bytes() == b"no database" * 1000
    assert os.path.exists(daemon.exec_root) is False or not (daemon.exec_root / "supervisor.sock").exists()
