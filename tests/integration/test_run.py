"""What a person does with ``tare run`` and what they see."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from .conftest import BIN, Daemon

RUN = ("run", "--rm", "--network", "none", "busybox")


def test_output_and_streams(engine: Daemon) -> None:
    done = engine.tare(*RUN, "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


@pytest.mark.parametrize("code", [0, 1, 42, 125, 255])
def test_exit_code_is_the_process_own(engine: Daemon, code: int) -> None:
    assert engine.tare(*RUN, "sh", "-c", f"exit {code}", check=False).returncode == code


@pytest.mark.parametrize(("signal", "code"), [("TERM", 143), ("KILL", 137)])
def test_signal_is_128_plus_n(engine: Daemon, signal: str, code: int) -> None:
    script = f"trap - {signal}; kill -{signal} $$; sh -c 'kill -{signal} $PPID'; exit 3"
    done = engine.tare("run", "--rm", "--network", "none", "--pid", "host", "busybox", "sh", "-c", script, check=False)
    assert done.returncode == code


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        ("no-such-command", 127, "executable file not found"),
        ("/no/such/file", 127, "no such file or directory"),
        ("/etc/passwd", 126, "permission denied"),
        ("/etc", 126, "permission denied"),
    ],
)
def test_what_cannot_be_run(engine: Daemon, command: str, code: int, text: str) -> None:
    for client in (engine.tare, engine.docker):
        done = client("run", "--rm", "--network", "none", "busybox", command, check=False)
        assert done.returncode == code, done.stderr
        assert text in done.stderr
    assert engine.tare("ps", "-aq", "--filter", "status=created").stdout == ""


def test_stdin_is_passed_and_closed(engine: Daemon) -> None:
    done = engine.tare("run", "--rm", "-i", "--network", "none", "busybox", "cat", input="hi\nthere\n")
    assert done.stdout == "hi\nthere\n"
    done = engine.tare("run", "--rm", "-i", "--network", "none", "busybox", "wc", "-c", input="x" * 300_000)
    assert done.stdout.strip() == "300000"


def test_large_output_is_whole(engine: Daemon) -> None:
    done = engine.tare(*RUN, "sh", "-c", "seq 1 200000; echo end >&2")
    assert done.stdout == "".join(f"{n}\n" for n in range(1, 200001))
    assert done.stderr == "end\n"


def test_pid_one_and_namespaces(engine: Daemon) -> None:
    out = engine.tare(
        *RUN, "sh", "-c", "echo $$; hostname; ls /proc | grep -c '^[0-9]'; readlink /proc/self/ns/uts"
    ).stdout.split()
    assert out[0] == "1"
    assert len(out[1]) == 12
    assert int(out[2]) <= 4
    assert out[3] != os.readlink("/proc/self/ns/uts")


def test_hostname_user_workdir_env(engine: Daemon) -> None:
    done = engine.tare(
        "run", "--rm", "--network", "none", "-h", "box", "-u", "user", "-w", "/made/here", "-e", "A=1 2", "-e", "B=",
        "busybox", "sh", "-c", "hostname; id; pwd; echo \"$A|$B|$HOME\"; grep box /etc/hosts; cat /etc/hostname",
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert lines[0] == "box"
    assert lines[1] == "uid=1000(user) gid=1000(user) groups=1000(user),2000(extra)"
    assert lines[2] == "/made/here"
    assert lines[3] == "1 2||/home"
    assert lines[-1] == "box"


def test_unknown_user_is_named(engine: Daemon) -> None:
    done = engine.tare("run", "--rm", "--network", "none", "-u", "nobody-here", "busybox", "true", check=False)
    assert done.returncode == 125 or done.returncode == 126
    assert "nobody-here" in done.stderr


def test_capabilities_seccomp_and_masks(engine: Daemon) -> None:
    script = (
        "grep CapEff /proc/self/status; grep Seccomp: /proc/self/status; wc -c < /proc/kcore; "
        "mount -t tmpfs x /tmp 2>&1; (echo x > /proc/sys/kernel/domainname) 2>&1; ls /sys/firmware | wc -l"
    )
    out = engine.tare(*RUN, "sh", "-c", script, check=False).stdout
    assert "00000000a80425fb" in out
    assert "Seccomp:\t2" in out
    assert "permission denied" in out.lower() or "not permitted" in out.lower()
    assert "Read-only file system" in out


def test_cap_add_and_drop(engine: Daemon) -> None:
    out = engine.tare(
        "run",
        "--rm",
        "--network",
        "none",
        "--cap-drop",
        "ALL",
        "--cap-add",
        "chown",
        "busybox",
        "grep",
        "CapEff",
        "/proc/self/status",
    ).stdout
    assert out.split()[1] == "0000000000000001"
    done = engine.tare("run", "--rm", "--network", "none", "--cap-add", "NO_SUCH", "busybox", "true", check=False)
    assert done.returncode == 125
    assert "NO_SUCH" in done.stderr


def test_bind_mounts(engine: Daemon, tmp_path: object) -> None:
    directory = str(tmp_path)
    with open(f"{directory}/file", "w") as file:
        file.write("host\n")
    script = "cat /data/file; echo more > /data/new; touch /ro/x"
    done = engine.tare(
        "run", "--rm", "--network", "none", "-v", f"{directory}:/data", "-v", f"{directory}:/ro:ro",
        "busybox", "sh", "-c", script,
        check=False,
    )  # fmt: skip
    assert done.stdout == "host\n"
    assert "Read-only" in done.stderr
    assert Path(directory, "new").read_text() == "more\n"
    done = engine.tare(
        "run", "--rm", "--network", "none", "--mount", "type=bind,src=/no/such/dir,dst=/x", "busybox", "true", check=False
    )
    assert done.returncode == 125
    assert "/no/such/dir" in done.stderr


def test_tmpfs(engine: Daemon) -> None:
    out = engine.tare(
        "run",
        "--rm",
        "--network",
        "none",
        "--tmpfs",
        "/t:size=1m,mode=700",
        "busybox",
        "sh",
        "-c",
        "grep ' /t ' /proc/mounts; stat -c %a /t",
    ).stdout
    assert "tmpfs" in out and "size=1024k" in out and out.endswith("700\n")


def test_read_only_root(engine: Daemon) -> None:
    done = engine.tare("run", "--rm", "--network", "none", "--read-only", "busybox", "touch", "/x", check=False)
    assert done.returncode == 1
    assert "Read-only file system" in done.stderr


def test_changes_stay_in_the_container(engine: Daemon) -> None:
    engine.tare(*RUN, "sh", "-c", "echo 1 > /made; rm /etc/passwd")
    assert engine.tare(*RUN, "sh", "-c", "ls /made /etc/passwd 2>&1", check=False).stdout.endswith("/etc/passwd\n")


def test_detached_with_name_and_logs(engine: Daemon) -> None:
    id = engine.tare(
        "run", "-d", "--name", "web", "--network", "none", "busybox", "sh", "-c", "echo ready; exec sleep 1000"
    ).stdout.strip()
    assert len(id) == 64
    try:
        assert engine.tare("ps", "--no-trunc", "-q").stdout.strip().splitlines()[0] == id
        assert engine.tare("logs", "web").stdout == "ready\n"
        clash = engine.tare("run", "-d", "--name", "web", "busybox", "true", check=False)
        assert clash.returncode == 125
        assert "/web" in clash.stderr and "already in use" in clash.stderr
    finally:
        assert engine.tare("rm", "-f", "web").stdout == "web\n"
    assert engine.tare("inspect", "web", check=False).returncode == 1


def test_unknown_image(engine: Daemon) -> None:
    for client in (engine.tare, engine.docker):
        done = client("run", "--rm", "--network", "none", "no-such-image:1", "true", check=False)
        assert done.returncode == 125
        assert "no-such-image" in done.stderr


def test_unsupported_flag_is_refused(engine: Daemon) -> None:
    done = engine.tare("run", "--rm", "--restart", "always", "busybox", "true", check=False)
    assert done.returncode == 125
    assert "restart" in done.stderr
    assert engine.tare("ps", "-aq").stdout == ""


def test_broken_pipe_is_silent(engine: Daemon) -> None:
    done = subprocess.run(
        f"{BIN}/tare run --rm --network none busybox seq 1 100000 | head -n 1",
        shell=True, env=engine.environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == "1\n"
    assert "Traceback" not in done.stderr


def test_docker_client(engine: Daemon) -> None:
    assert engine.docker("run", "--rm", "busybox", "echo", "hello").stdout == "hello\n"
    assert engine.docker("run", "--rm", "-i", "busybox", "cat", input="in\n").stdout == "in\n"
    assert engine.docker("run", "--rm", "busybox", "sh", "-c", "exit 7", check=False).returncode == 7
    id = engine.docker("run", "-d", "busybox", "sleep", "1000").stdout.strip()
    try:
        assert id[:12] in engine.docker("ps").stdout
        assert engine.docker("exec", id, "echo", "inside").stdout == "inside\n"
        assert engine.docker("exec", id, "sh", "-c", "exit 9", check=False).returncode == 9
    finally:
        engine.docker("rm", "-f", id)
