"""No daemon runs: ``tare`` starts one, says so, and says what is in the way when it must not."""

from __future__ import annotations

import os
import subprocess

from .conftest import BIN

# A host of its own to be a newcomer on: its processes, mounts and network end with the first process in it.
HOST = """
mount -t tmpfs run /run && mount -t tmpfs lib /var/lib && mount -t tmpfs etc /mnt && ip link set lo up || exit 99
"""


def newcomer(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TARE", "DOCKER"))}
    return subprocess.run(
        ["unshare", "--mount", "--pid", "--net", "--ipc", "--fork", "--mount-proc", "sh", "-c", HOST + script],
        env={**kept, "PATH": f"{BIN}:{kept['PATH']}", **environment},
        capture_output=True,
        text=True,
        timeout=90,
    )


def test_the_first_command_starts_a_daemon(engine: object) -> None:
    done = newcomer("tare images -q; tare version -f '{{.Server.Version}}'; cat /run/tare.pid; test -s /run/tare/tared.log")
    assert done.returncode == 0, done.stderr
    notes = [line for line in done.stderr.splitlines() if line.startswith("tare: no daemon")]
    version, pid = done.stdout.split()
    assert notes == [f"tare: no daemon at /run/tare/tare.sock, started one (pid {pid}; log /run/tare/tared.log)"]
    assert version


def test_a_daemon_that_cannot_start_says_why(engine: object) -> None:
    done = newcomer("mkdir -p /run/c/tare && mount --bind /run/c /etc && echo colour=1 >/etc/tare/daemon.toml; tare ps")
    assert done.returncode == 1
    assert done.stderr.startswith("tare: the daemon did not start: /etc/tare/daemon.toml:1: colour")
    assert done.stderr.endswith("  its log is /run/tare/tared.log\n")


def test_of_many_at_once_one_starts_it(engine: object) -> None:
    many = "for n in 1 2 3 4 5 6 7 8; do (tare images -q || echo $n failed) & done; wait; tare version -f '{{.Server.Version}}'"
    done = newcomer(many)
    notes = [line for line in done.stderr.splitlines() if line]
    assert (done.returncode, len(done.stdout.split()), len(notes)) == (0, 1, 1), done
    assert notes[0].startswith("tare: no daemon at /run/tare/tare.sock, started one (pid ")


def test_what_is_in_the_way_is_named(engine: object) -> None:
    for script, text in (
        ("touch /var/lib/tare", "the daemon did not start: /var/lib/tare: file exists"),
        ("mkdir -p /run/tare/tared.log", "the daemon did not start: /run/tare/tared.log: is a directory"),
        ("mkdir -p /run/tare/tare.sock", "the daemon did not start: hosts: /run/tare/tare.sock exists and is not a socket"),
        ("mount -o remount,ro /run", "the daemon did not start: /run/tare: read-only file system"),
    ):
        done = newcomer(f"{script}; tare ps")
        assert (done.returncode, done.stderr.splitlines()[0]) == (1, f"tare: {text}")


def test_it_may_be_forbidden() -> None:
    done = newcomer("tare ps; test ! -e /run/tare && exit 7", TARE_NO_AUTOSTART="1")
    assert done.returncode == 7
    assert done.stderr.splitlines() == [
        "tare: no daemon runs at /run/tare/tare.sock",
        "  start it with `tared`; TARE_NO_AUTOSTART forbids me to",
    ]


def test_who_is_not_root_is_told_what_to_do() -> None:
    # It may search directories, or it could not run a tare that lies in root's home.
    keep = "--inh-caps +dac_read_search --ambient-caps +dac_read_search"
    as_nobody = f"setpriv --reuid 65534 --regid 65534 --clear-groups {keep} tare ps"
    done = newcomer(as_nobody)
    assert done.returncode == 1
    assert done.stderr.startswith("tare: no daemon runs at /run/tare/tare.sock\n  start it as root")
    done = newcomer(f"mkdir -m 700 /run/tare; touch /run/tare/tare.sock; {as_nobody}")
    assert done.returncode == 1
    assert done.stderr.startswith("tare: permission denied at unix:///run/tare/tare.sock\n  become root, or make its group")
