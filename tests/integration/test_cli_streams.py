"""Pipes, signals and names at the command line of a real engine."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import BIN, Daemon, wait_for

QUIET = ("--network", "none", "busybox")


@pytest.fixture(autouse=True)
def no_containers(engine: Daemon) -> Iterator[None]:
    yield
    ids = engine.tare("ps", "-aq").stdout.split()
    if ids:
        engine.tare("rm", "-f", *ids)


def popen(engine: Daemon, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(BIN / "tare"), *words], env=engine.environment(), text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.parametrize(("number", "name"), [(signal.SIGTERM, "TERM"), (signal.SIGINT, "INT"), (signal.SIGUSR1, "USR1")])
def test_signals_reach_the_process(engine: Daemon, number: int, name: str) -> None:
    script = f"trap 'echo got {name}; exit 33' {name}; echo ready; while :; do sleep 0.05; done"
    process = popen(engine, "run", "--rm", *QUIET, "sh", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (33, f"got {name}\n", "")


def test_without_sig_proxy_a_signal_is_ours(engine: Daemon) -> None:
    process = popen(engine, "run", "--sig-proxy=false", "--name", "deaf", *QUIET, "sh", "-c", "echo ready; sleep 1000")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == -signal.SIGINT
    process.stdout.close()
    assert engine.tare("ps", "--format", "{{.Names}}").stdout == "deaf\n"


def test_who_insists_gets_away(engine: Daemon) -> None:
    process = popen(engine, "run", "--name", "stubborn", *QUIET, "sh", "-c", "trap '' INT; echo ready; exec sleep 1000")
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == "ready\n"
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(0.2)
        except subprocess.TimeoutExpired:
            continue
    assert process.returncode == 1
    assert "leaving the container alone" in process.stderr.read()
    process.stdout.close()
    process.stderr.close()
    assert engine.tare("ps", "--format", "{{.Names}}").stdout == "stubborn\n"


def test_a_reader_that_goes_ends_us_without_a_word(engine: Daemon) -> None:
    line = f"'{BIN}/tare' run --rm --network none busybox yes | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], env=engine.environment(), capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == ("y\n141\n", "")
    wait_for(lambda: not engine.tare("ps", "-q").stdout or _kill_all(engine), "the container to be gone")


def test_output_that_cannot_be_written_is_told(engine: Daemon) -> None:
    for words, code in ((("ps",), 1), (("--help",), 1), (("run", "--rm", *QUIET, "echo", "hi"), 125)):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [str(BIN / "tare"), *words], env=engine.environment(), stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
            )
            assert (done.returncode, done.stderr) == (code, "tare: standard output: no space left on device\n")
            silent = subprocess.run(
                [str(BIN / "tare"), "ps", "--badflag"], env=engine.environment(), stdout=full, stderr=full, timeout=60
            )
            assert silent.returncode == 125
    done = engine.tare("save", "-o", "/dev/full", "busybox", check=False)
    assert (done.returncode, done.stderr) == (1, "tare: /dev/full: no space left on device\n")


def _kill_all(engine: Daemon) -> bool:
    engine.tare("rm", "-f", *engine.tare("ps", "-aq").stdout.split(), check=False)
    return False


def test_attach_without_input(engine: Daemon) -> None:
    script = "while [ ! -e /tmp/go ]; do sleep 0.05; done; echo out; echo err >&2; exit 6"
    engine.tare("run", "-d", "--name", "talker", *QUIET, "sh", "-c", f"mkdir -p /tmp; {script}")
    process = popen(engine, "attach", "--no-stdin", "talker")
    # The attachment holds when it has asked for the exit code too, which it does last: then there is a second connection.
    wait_for(lambda: _connections(process.pid) >= 2, "the attachment")
    engine.tare("exec", "talker", "touch", "/tmp/go")
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (6, "out\n", "err\n")


def _connections(pid: int) -> int:
    fds = Path(f"/proc/{pid}/fd")
    try:
        return sum(os.readlink(fd).startswith("socket:") for fd in fds.iterdir())
    except OSError:
        return 0


def test_attach_needs_somebody_who_runs(engine: Daemon) -> None:
    engine.tare("create", "--name", "idle", *QUIET, "true")
    done = engine.tare("attach", "idle", check=False)
    assert done.returncode == 1
    assert "You cannot attach to a stopped container, start it first" in done.stderr


def test_only_some_streams(engine: Daemon) -> None:
    done = engine.tare("run", "-a", "stderr", "--rm", *QUIET, "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("", "err\n")


def test_the_good_ones_are_done_all_the_same(engine: Daemon) -> None:
    for name in ("one", "two"):
        engine.tare("run", "-d", "--name", name, *QUIET, "sleep", "1000")
    done = engine.tare("kill", "one", "nosuch", "two", check=False)
    assert (done.returncode, done.stdout) == (1, "one\ntwo\n")
    assert done.stderr == "tare: No such container: nosuch\n"
    done = engine.tare("wait", "one", "two")
    assert done.stdout == "137\n137\n"
    done = engine.tare("rm", "two", "nosuch", "one", check=False)
    assert (done.returncode, done.stdout) == (1, "two\none\n")


def test_names_files_and_environment(engine: Daemon, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("FROM_FILE=a b\n")
    cidfile = tmp_path / "cid"
    done = engine.tare(
        "run", "--cidfile", str(cidfile), "--env-file", str(tmp_path / "env"), "-e", "FLAG=x=y", "-l", "a=b", "--name", "named",
        *QUIET, "sh", "-c", 'echo "$FROM_FILE|$FLAG"',
    )  # fmt: skip
    assert done.stdout == "a b|x=y\n"
    assert engine.tare("ps", "-aq", "--no-trunc", "--filter", "label=a=b").stdout == cidfile.read_text() + "\n"
    again = engine.tare("run", "--cidfile", str(cidfile), *QUIET, "true", check=False)
    assert again.returncode == 125
    assert again.stderr.startswith(f"tare: container ID file found: {cidfile}\n")
    failed = engine.tare("run", "--cidfile", str(tmp_path / "none"), "--name", "named", *QUIET, "true", check=False)
    assert failed.returncode == 125
    assert not (tmp_path / "none").exists()


def test_an_image_that_is_not_here(engine: Daemon) -> None:
    for words in (("run", "--rm", "nosuch"), ("run", "--pull", "never", "nosuch:latest")):
        done = engine.tare(*words, check=False)
        assert (done.returncode, done.stdout) == (125, "")
        assert done.stderr.startswith("tare: Unable to find image 'nosuch:latest' locally\n")
        assert "tare load" in done.stderr


def test_save_leaves_no_half_file(engine: Daemon, tmp_path: Path) -> None:
    target = tmp_path / "images.tar"
    done = engine.tare("save", "busybox", "nosuch", "-o", str(target), check=False)
    assert done.returncode == 1
    assert list(tmp_path.iterdir()) == []
    engine.tare("save", "busybox", "-o", str(target))
    assert [path.name for path in tmp_path.iterdir()] == ["images.tar"]
    assert engine.tare("load", "-i", str(target)).stdout == "Loaded image: busybox:latest\n"


def test_inspect_finds_what_there_is(engine: Daemon) -> None:
    engine.tare("create", "--name", "thing", *QUIET, "sleep", "5")
    done = engine.tare("inspect", "thing", "nosuch", "busybox", "-f", "{{.Id}}", check=False)
    assert done.returncode == 1
    assert [len(line) for line in done.stdout.split()] == [64, 71]
    assert done.stderr == "tare: No such object: nosuch\n"
    assert engine.tare("container", "inspect", "thing", "--format", "{{json .Config.Cmd}}").stdout == '["sleep","5"]\n'
    assert engine.tare("inspect", "--type", "image", "thing", check=False).returncode == 1
    bad = engine.tare("inspect", "-f", "{{.Id", "thing", check=False)
    assert (bad.returncode, bad.stdout, bad.stderr) == (64, "", "tare: template parsing error: template: :1: unclosed action\n")
