"""What a user may get wrong: a clear error in Docker's exit code from either client, and nothing left behind."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from .conftest import Daemon
from .traces import nothing_more

DETACHED = ("run", "-d", "--network", "none", "busybox", "sleep", "1000")
NONE = ("run", "--rm", "--network", "none")

RUNS: list[tuple[list[str], int, str]] = [
    (["nosuch", "true"], 125, "nosuch"),
    (["Busybox", "true"], 125, "must be lowercase"),
    (["busy box", "true"], 125, "invalid reference format"),
    (["--name", "a b", "busybox", "true"], 125, "Invalid container name (a b)"),
    (["--name", "/", "busybox", "true"], 125, "Invalid container name (/)"),
    (["--name", "-x", "busybox", "true"], 125, "Invalid container name (-x)"),
    (["-u", "nobody-here", "busybox", "true"], 125, "unable to find user nobody-here"),
    (["-u", "99999999999", "busybox", "true"], 125, "must be in range"),
    (["-u", "0:nogroup-here", "busybox", "true"], 125, "unable to find group nogroup-here"),
    (["--group-add", "nogroup-here", "busybox", "true"], 125, "unable to find group nogroup-here"),
    (["-v", "relative/x:/y", "busybox", "true"], 125, "must be absolute"),
    (["-v", "volume:/y", "busybox", "true"], 125, "not supported yet"),
    (["-v", "/y", "busybox", "true"], 125, "not supported yet"),
    (["-v", "/tmp:/x:bad", "busybox", "true"], 125, "invalid mode: bad"),
    (["-v", "/tmp:x", "busybox", "true"], 125, "can't be '/' or relative"),
    (["-v", "/tmp:/", "busybox", "true"], 125, "can't be '/' or relative"),
    (["-v", "/tmp:/x", "--tmpfs", "/x", "busybox", "true"], 125, "Duplicate mount point: /x"),
    (["-v", "/etc/passwd:/tmp", "busybox", "true"], 125, "are you trying to mount a directory onto a file (or vice-versa)?"),
    (["-v", "/tmp:/etc/passwd", "busybox", "true"], 125, "are you trying to mount a directory onto a file (or vice-versa)?"),
    (["--mount", "type=bind,src=/no/such,dst=/x", "busybox", "true"], 125, "bind source path does not exist: /no/such"),
    (["--mount", "type=sort,src=/tmp,dst=/x", "busybox", "true"], 125, "mount type"),
    (["--mount", "type=bind,dst=/x", "busybox", "true"], 125, "Source must not be empty"),
    (["--mount", "type=bind,src=/tmp", "busybox", "true"], 125, "target is required"),
    (["--mount", "words", "busybox", "true"], 125, "must be a key=value pair"),
    (["--tmpfs", "relative", "busybox", "true"], 125, "must be an absolute path"),
    (["--tmpfs", "/x:size=words", "busybox", "true"], 125, "/x"),
    (["--isolation", "hyperv", "busybox", "true"], 125, "--isolation"),
    (["--env-file", "/no/such", "busybox", "true"], 125, "/no/such"),
    (["--env-file", "/etc", "busybox", "true"], 125, "is a directory"),
    (["-e", "=x", "busybox", "true"], 125, "invalid environment variable: =x"),
    (["-w", "relative", "busybox", "true"], 125, "needs to be an absolute path"),
    (["-w", "/etc/passwd", "busybox", "true"], 125, "not a directory"),
    (["--entrypoint", "/no/such", "busybox"], 127, "no such file or directory"),
    (["-p", "99999:80", "busybox", "true"], 125, "invalid hostPort: 99999"),
    (["-p", "a:b", "busybox", "true"], 125, "invalid containerPort: b"),
    (["--network", "no-such-net", "busybox", "true"], 125, "network no-such-net not found"),
    (["--network", "container:no-such", "busybox", "true"], 125, "No such container: no-such"),
    (["--pid", "container:no-such", "busybox", "true"], 125, "No such container: no-such"),
    (["--ipc", "container:no-such", "busybox", "true"], 125, "No such container: no-such"),
    (["--pid", "words", "busybox", "true"], 125, "invalid PID mode"),
    (["--ipc", "words", "busybox", "true"], 125, "invalid IPC mode"),
    (["--uts", "words", "busybox", "true"], 125, "invalid UTS mode"),
    (["--cgroupns", "words", "busybox", "true"], 125, "mode"),
    (["--memory", "1m", "busybox", "true"], 125, "Minimum memory limit allowed is 6MB"),
    (["--memory", "words", "busybox", "true"], 125, "invalid size: 'words'"),
    (["--memory", "10m", "--memory-swap", "8m", "busybox", "true"], 125, "should be larger than memory limit"),
    (["--cpus", "1000", "busybox", "true"], 125, "range of CPUs is from 0.01 to"),
    (["--cpus", "0.001", "busybox", "true"], 125, "range of CPUs is from 0.01 to"),
    (["--cpuset-cpus", "4000", "busybox", "true"], 125, "Requested CPUs are not available - requested 4000"),
    (["--cpuset-cpus", "1-", "busybox", "true"], 125, "Invalid value 1- for cpuset cpus"),
    (["--cpuset-mems", "700", "busybox", "true"], 125, "not available - requested 700"),
    (["--ulimit", "words=1", "busybox", "true"], 125, "invalid ulimit type: words"),
    (["--ulimit", "nofile=2:1", "busybox", "true"], 125, "2 > 1"),
    (["--sysctl", "words=1", "busybox", "true"], 125, "is not allowed|is not whitelisted"),
    (["--sysctl", "kernel.msgmax=words", "busybox", "true"], 125, "kernel.msgmax"),
    (["--device", "/etc/passwd", "busybox", "true"], 125, "not a device node"),
    (["--shm-size", "-1", "busybox", "true"], 125, "-1"),
    (["--stop-signal", "WORDS", "busybox", "true"], 125, "nvalid signal: WORDS"),
    (["--log-driver", "words", "busybox", "true"], 125, "log driver words"),
    (["--log-opt", "words=1", "busybox", "true"], 125, "log option words"),
    (["--log-opt", "max-size=words", "busybox", "true"], 125, "max-size"),
    (["--runtime", "words", "busybox", "true"], 125, "words"),
    (["--security-opt", "words", "busybox", "true"], 125, "words"),
    (["--security-opt", "seccomp=/no/such", "busybox", "true"], 125, "/no/such"),
    (["--security-opt", "seccomp=/etc/passwd", "busybox", "true"], 125, "/etc/passwd"),
    (["--oom-score-adj", "5000", "busybox", "true"], 125, "[-1000, 1000]"),
    (["--add-host", "name", "busybox", "true"], 125, "bad format for"),
    (["--add-host", "name:words", "busybox", "true"], 125, 'invalid IP address in add-host: "words"'),
    (["--dns", "words", "busybox", "true"], 125, "IP address is not correctly formatted: words|words is not an ip address"),
    (["--mac-address", "words", "busybox", "true"], 125, "mac"),
    (["--label-file", "/no/such", "busybox", "true"], 125, "/no/such"),
    (["--platform", "linux/arm64" if "x86" in os.uname().machine else "linux/amd64", "busybox", "true"], 125, "this host is"),
    (["--userns", "words", "busybox", "true"], 125, "userns"),
    (["--expose", "words", "busybox", "true"], 125, "words"),
    (["--blkio-weight", "5", "busybox", "true"], 125, "from 10 to 1000"),
    (["--storage-opt", "size=1G", "busybox", "true"], 125, "--storage-opt is not supported"),
    (["--cap-add", "WORDS", "busybox", "true"], 125, "WORDS"),
    (["-a", "words", "busybox", "true"], 125, "valid streams are"),
    (["--hostname", "h", "--uts", "host", "busybox", "true"], 125, "hostname and the UTS mode"),
    (["--restart", "always", "busybox", "true"], 125, "restart"),
    (["--health-cmd", "true", "busybox", "true"], 125, "health"),
    (["--link", "a:b", "busybox", "true"], 125, "--link"),
    (["--volumes-from", "a", "busybox", "true"], 125, "--volumes-from"),
    (["--no-such-flag", "busybox", "true"], 125, "unknown flag: --no-such-flag"),
    (["--hostname", "h" * 64, "busybox", "true"], 125, "invalid hostname"),
    (["--domainname", "d" * 65, "busybox", "true"], 125, "invalid domainname"),
]
"""(arguments after ``run --rm``, exit code, what stderr says; after a bar what an old docker says by itself)."""


def says(stderr: str, text: str) -> bool:
    return any(one in stderr for one in text.split("|"))


@pytest.fixture(scope="module", autouse=True)
def unpacked(engine: Daemon) -> None:
    """The first container of an image leaves its layers, by right."""
    engine.tare(*NONE, "busybox", "true")


@pytest.mark.parametrize("client", ["tare", "docker"])
@pytest.mark.parametrize(("words", "code", "text"), RUNS, ids=[" ".join(words)[:60] for words, _, _ in RUNS])
def test_runs_that_cannot_be(engine: Daemon, client: str, words: list[str], code: int, text: str) -> None:
    with nothing_more(engine):
        done = getattr(engine, client)("run", "--rm", *words, check=False)
    assert done.returncode == code, done.stderr
    assert says(done.stderr.lower(), text.lower())
    assert "Traceback" not in done.stderr and "in the daemon" not in done.stderr
    if client == "docker":
        assert "Error waiting for container" not in done.stderr


def test_what_is_not_run_is_not_in_the_host_s_directories(engine: Daemon, tmp_path: Path) -> None:
    """``-v`` makes a missing directory only when the container starts."""
    missing = tmp_path / "made"
    engine.tare("run", "--rm", "-v", f"{missing}:/x", "--stop-signal", "WORDS", "busybox", "true", check=False)
    assert not missing.exists()


def test_bad_detach_keys_are_refused_before_anything_runs(engine: Daemon) -> None:
    with nothing_more(engine):
        done = engine.tare(*NONE, "--detach-keys", "ctrl-?", "busybox", "true", check=False)
    assert done.returncode in (1, 125) and "ctrl-?" in done.stderr
    done = engine.docker(*NONE, "--name", "unstarted", "--detach-keys", "ctrl-?", "busybox", "touch", "/x", check=False)
    try:
        assert done.returncode == 1 and "received 400" in done.stderr
        assert engine.inspect("unstarted")["State"]["Status"] == "created"  # type: ignore[index]
    finally:
        engine.tare("rm", "-f", "unstarted")


def test_one_id_file_and_one_name(engine: Daemon, tmp_path: Path) -> None:
    taken = tmp_path / "id"
    taken.write_text("")
    for client in (engine.tare, engine.docker):
        with nothing_more(engine):
            done = client(*NONE, "--cidfile", str(taken), "busybox", "true", check=False)
            assert done.returncode == 125 and str(taken) in done.stderr
    id = engine.tare("create", "--name", "the-one", "busybox", "true").stdout.strip()
    try:
        for client in (engine.tare, engine.docker):
            with nothing_more(engine):
                done = client(*NONE, "--name", "the-one", "busybox", "true", check=False)
            assert done.returncode == 125 and re.search(f'"/the-one" is already in use by container "?{id}', done.stderr)
    finally:
        engine.tare("rm", "the-one")


VERBS: list[tuple[list[str], int, str]] = [
    (["exec", "no-such", "true"], 1, "No such container: no-such"),
    (["exec", "STOPPED", "true"], 1, "is not running"),
    (["exec", "RUNNING", "no-such-command"], 127, "executable file not found"),
    (["exec", "RUNNING", "/etc/passwd"], 126, "permission denied"),
    (["exec", "-u", "nobody-here", "RUNNING", "true"], 126, "unable to find user nobody-here"),
    (["exec", "-w", "/no/such", "RUNNING", "true"], 127, "no such file or directory"),
    (["exec", "-w", "relative", "RUNNING", "true"], 1, "needs to be an absolute path"),
    (["exec", "--detach-keys", "ctrl-?", "RUNNING", "true"], 1, "ctrl-?"),
    (["exec", "RUNNING"], 1, "requires at least 2 arguments"),
    (["start", "no-such"], 1, "No such container: no-such"),
    (["stop", "no-such"], 1, "No such container: no-such"),
    (["stop", "-s", "WORDS", "RUNNING"], 1, "nvalid signal: WORDS"),
    (["kill", "STOPPED"], 1, "is not running"),
    (["kill", "-s", "WORDS", "RUNNING"], 1, "nvalid signal: WORDS"),
    (["kill", "-s", "99", "RUNNING"], 1, "nvalid signal: 99"),
    (["rm", "no-such"], 1, "No such container: no-such"),
    (["rm", "RUNNING"], 1, "stop the container before removing or force remove"),
    (["rename", "RUNNING", "a b"], 1, "Invalid container name (a b)"),
    (["rename", "RUNNING", "STOPPED"], 1, "already in use"),
    (["rename", "no-such", "foo"], 1, "No such container: no-such"),
    (["logs", "no-such"], 1, "No such container: no-such"),
    (["logs", "--since", "words", "RUNNING"], 1, "words"),
    (["logs", "--until", "words", "RUNNING"], 1, "words"),
    (["wait", "no-such"], 1, "No such container: no-such"),
    (["top", "STOPPED"], 1, "is not running"),
    (["top", "RUNNING", "-Y"], 1, "ps"),
    (["pause", "STOPPED"], 1, "is not running"),
    (["unpause", "RUNNING"], 1, "is not paused"),
    (["attach", "STOPPED"], 1, "stopped container"),
    (["port", "RUNNING", "99999"], 1, "99999"),
    (["inspect", "no-such"], 1, "No such object: no-such"),
    (["inspect", "-f", "{{.State", "RUNNING"], 64, "unclosed action"),
    (["inspect", "-f", "{{.Words}}", "RUNNING"], 1, "Words"),
    (["ps", "--filter", "words=1"], 1, "invalid filter 'words'"),
    (["ps", "--filter", "status=words"], 1, "invalid filter 'status=words'"),
    (["ps", "--filter", "before=no-such"], 1, "No such container: no-such"),
    (["ps", "--format", "{{.Words}}"], 1, "Words"),
    (["images", "--filter", "words=1"], 1, "invalid filter 'words'"),
    (["images", "--filter", "dangling=words"], 1, "invalid filter"),
    (["events", "--since", "words", "--until", "1"], 1, "words"),
    (["events", "--filter", "words=1", "--until", "1"], 1, "invalid filter 'words'"),
    (["network", "ls", "--filter", "words=1"], 1, "invalid filter 'words'"),
    (["network", "inspect", "no-such"], 1, "network no-such not found|No such network: no-such"),
    (["image", "inspect", "no-such"], 1, "No such image: no-such"),
    (["image", "prune", "-f", "--filter", "words=1"], 1, "invalid filter 'words'"),
    (["container", "prune", "-f", "--filter", "until=words"], 1, "words"),
    (["tag", "no-such", "x"], 1, "No such image: no-such"),
    (["tag", "busybox", "Words"], 1, "must be lowercase"),
    (["rmi", "no-such"], 1, "No such image: no-such"),
    (["rmi", "busybox"], 1, "is using its referenced image"),
    (["history", "no-such"], 1, "No such image: no-such"),
    (["save", "no-such"], 1, "No such image: no-such"),
    (["load", "-i", "/no/such"], 1, "/no/such: no such file or directory"),
    (["import", "/no/such"], 1, "/no/such: no such file or directory"),
    (["import", "/dev/null", "x"], 1, "empty"),
    (["import", "-c", "WORDS", "/dev/null"], 1, "WORDS"),
    (["import", "http://127.0.0.1:1/x", "y"], 1, "127.0.0.1:1"),
]


@pytest.mark.parametrize("client", ["tare", "docker"])
@pytest.mark.parametrize(("words", "code", "text"), VERBS, ids=[" ".join(words)[:60] for words, _, _ in VERBS])
def test_verbs_that_cannot_be(engine: Daemon, two: None, client: str, words: list[str], code: int, text: str) -> None:
    with nothing_more(engine):
        done = getattr(engine, client)(*words, check=False)
    if client == "docker" and done.stderr.startswith("unknown shorthand flag"):
        pytest.skip("a flag of a later client")
    assert done.returncode == code, done.stderr
    assert says(done.stderr, text)
    assert "Traceback" not in done.stderr and "in the daemon" not in done.stderr


@pytest.fixture(scope="module")
def two(engine: Daemon):  # type: ignore[no-untyped-def]
    """A container that runs and one that does not."""
    engine.tare(*DETACHED[:2], "--name", "RUNNING", *DETACHED[2:])
    engine.tare("create", "--name", "STOPPED", "--network", "none", "busybox", "true")
    yield
    engine.tare("rm", "-f", "RUNNING", "STOPPED")
