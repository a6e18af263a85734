"""Pull the plug: whatever dies, nothing that was acknowledged is lost and nothing is left over."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from tare.linux import devices

from .conftest import BIN, Daemon, new_daemon, wait_for

NONE = ("--network", "none")


def state(daemon: Daemon, name: str) -> dict[str, object]:
    return json.loads(daemon.tare("inspect", "-f", "{{json .State}}", name).stdout)


def test_containers_outlive_the_daemon(daemon: Daemon, tmp_path: Path) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    script = "echo before; cat /go; echo after; sleep 1000"
    daemon.tare("run", "-d", "--name", "lives", *NONE, "-v", f"{go}:/go", "busybox", "sh", "-c", script)
    wait_for(lambda: daemon.tare("logs", "lives").stdout == "before\n", "the first line")
    pid = state(daemon, "lives")["Pid"]
    daemon.kill(signal.SIGKILL)
    assert Path(f"/proc/{pid}").exists()
    go.write_text("said while away\n")
    daemon.start()
    assert state(daemon, "lives")["Pid"] == pid
    wait_for(lambda: "after" in daemon.tare("logs", "lives").stdout, "the last line")
    assert daemon.tare("logs", "lives").stdout == "before\nsaid while away\nafter\n"
    assert daemon.tare("exec", "lives", "echo", "in").stdout == "in\n"
    assert daemon.tare("ps", "-q").stdout.strip() == str(daemon.inspect("lives")["Id"])[:12]
    attached = subprocess.Popen(
        [str(BIN / "tare"), "attach", "--no-stdin", "lives"], env=daemon.environment(), stdout=subprocess.PIPE
    )
    daemon.tare("kill", "-s", "TERM", "lives")
    daemon.tare("kill", "lives", check=False)
    assert attached.wait(20) in (137, 143)
    assert attached.stdout is not None
    attached.stdout.close()


@pytest.mark.parametrize(("end", "code"), [("exit 42", 42), ("kill -9 $$", None)])
def test_an_exit_while_away_is_reported(daemon: Daemon, tmp_path: Path, end: str, code: int | None) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    daemon.tare(
        "run",
        "-d",
        "--name",
        "ends",
        *NONE,
        "--pid",
        "host",
        "-v",
        f"{go}:/go",
        "busybox",
        "sh",
        "-c",
        f"cat /go; echo bye; {end}",
    )
    pid = state(daemon, "ends")["Pid"]
    daemon.kill(signal.SIGKILL)
    go.write_text("\n")
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), "the end of the container")
    daemon.start()
    found = state(daemon, "ends")
    assert found["Status"] == "exited"
    assert found["ExitCode"] == (code if code is not None else 137)
    assert daemon.tare("logs", "ends").stdout == "\nbye\n"
    assert daemon.tare("wait", "ends").stdout.strip() == str(found["ExitCode"])


def test_an_ended_rm_container_is_taken_away_afterwards(daemon: Daemon, tmp_path: Path) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    id = daemon.tare("run", "-d", "--rm", "--name", "gone", *NONE, "-v", f"{go}:/go", "busybox", "cat", "/go").stdout.strip()
    pid = state(daemon, "gone")["Pid"]
    daemon.kill(signal.SIGKILL)
    go.write_text("\n")
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), "the end of the container")
    daemon.start()
    assert daemon.tare("ps", "-aq").stdout == ""
    wait_for(lambda: not (daemon.data_root / "containers" / id).exists(), "its directory to go")
    assert not list((daemon.data_root / "storage/overlay2/snapshots").iterdir())


def test_an_rm_container_that_never_started_goes_with_its_daemon(daemon: Daemon) -> None:
    id = daemon.tare("create", "--rm", "--name", "unstarted", *NONE, "busybox", "true").stdout.strip()
    daemon.tare("create", "--name", "stays", *NONE, "busybox", "true")
    daemon.kill(signal.SIGKILL)
    daemon.start()
    assert daemon.tare("ps", "-a", "--format", "{{.Names}} {{.State}}").stdout == "stays created\n"
    wait_for(lambda: not (daemon.data_root / "containers" / id).exists(), "its directory to go")
    assert not (daemon.data_root / "storage/overlay2/snapshots" / id).exists()
    assert daemon.tare("create", "--name", "unstarted", *NONE, "busybox", "true").returncode == 0


def test_an_orderly_stop_leaves_containers_running(daemon: Daemon) -> None:
    daemon.tare("run", "-d", "--name", "lives", *NONE, "busybox", "sleep", "1000")
    pid = state(daemon, "lives")["Pid"]
    daemon.kill(signal.SIGTERM)
    assert Path(f"/proc/{pid}").exists()
    daemon.start()
    assert state(daemon, "lives")["Pid"] == pid


def test_the_supervisor_may_die_too(daemon: Daemon) -> None:
    daemon.tare("run", "-d", "--name", "lives", *NONE, "busybox", "sleep", "1000")
    pid = state(daemon, "lives")["Pid"]
    supervisor = int((daemon.exec_root / "supervisor.pid").read_text())
    os.kill(supervisor, signal.SIGKILL)

    def another() -> bool:
        text = (daemon.exec_root / "supervisor.pid").read_text().strip()
        return text != "" and int(text) != supervisor

    wait_for(another, "another supervisor")
    assert Path(f"/proc/{pid}").exists()
    wait_for(lambda: daemon.tare("exec", "lives", "echo", "in", check=False).stdout == "in\n", "exec to work again")
    assert state(daemon, "lives")["Status"] == "running"
    daemon.tare("kill", "lives")
    wait_for(lambda: state(daemon, "lives")["Status"] == "exited", "the exit to be noticed")
    assert daemon.tare("run", "--rm", *NONE, "busybox", "echo", "next").stdout == "next\n"


@pytest.mark.slow
def test_kill_at_any_moment(daemon: Daemon) -> None:
    """The daemon is killed while clients create, start and remove; each time the next one finds a whole state."""
    kept: set[str] = set()
    for round in range(8):
        stop = threading.Event()
        acknowledged: set[str] = set()

        def work(number: int, round: int = round, stop: threading.Event = stop, acknowledged: set[str] = acknowledged) -> None:
            count = 0
            while not stop.is_set():
                name = f"c{round}-{number}-{count}"
                if daemon.tare("create", "--name", name, *NONE, "busybox", "true", check=False).returncode == 0:
                    acknowledged.add(name)
                    if count % 3 == 0:
                        acknowledged.discard(name)
                        daemon.tare("rm", name, check=False)
                daemon.tare("run", "--rm", *NONE, "busybox", "true", check=False)
                count += 1

        threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        wait_for(lambda acknowledged=acknowledged: len(acknowledged) > random.randrange(1, 6), "some containers", 30)
        daemon.kill(signal.SIGKILL)
        stop.set()
        for thread in threads:
            thread.join()
        daemon.start()
        kept |= acknowledged
        names = set(daemon.tare("ps", "-a", "--format", "{{.Names}}").stdout.split())
        assert kept <= names
        ids = set(daemon.tare("ps", "-aq", "--no-trunc").stdout.split())
        wait_for(lambda ids=ids: {p.name for p in (daemon.data_root / "containers").iterdir()} == ids, "strays to go")
        assert {p.name for p in (daemon.data_root / "storage/overlay2/snapshots").iterdir()} == ids
        for name in sorted(kept)[:2]:
            assert daemon.tare("start", "-a", name).returncode == 0
    engines = subprocess.run(["pgrep", "-f", str(daemon.directory)], capture_output=True, text=True, check=False).stdout.split()
    assert len(engines) < 12


def truth(daemon: Daemon) -> None:
    """What the daemon says is what there is: processes, snapshots, directories, links, published ports."""
    ids = daemon.tare("ps", "-aq", "--no-trunc").stdout.split()
    listed = json.loads(daemon.tare("inspect", *ids).stdout) if ids else []
    running = {one["Id"]: one for one in listed if one["State"]["Running"]}
    assert all(one["State"]["Status"] in ("created", "running", "exited") for one in listed)
    assert all(Path(f"/proc/{one['State']['Pid']}").exists() for one in running.values())
    places = ("containers", "storage/overlay2/snapshots")
    wait_for(lambda: all({p.name for p in (daemon.data_root / place).iterdir()} == set(ids) for place in places), "strays to go")
    wait_for(lambda: {p.name for p in (daemon.exec_root / "processes").iterdir()} == set(running), "processes to be known")
    instance = hashlib.sha256(str(daemon.data_root).encode()).hexdigest()[:8]
    mine = f"tv{instance}"
    wait_for(lambda: sum(name.startswith(mine) for name in devices.devices()) == len(running), "links to go")
    addresses = [one["NetworkSettings"]["Networks"]["bridge"]["IPAddress"] for one in running.values()]
    assert len(set(addresses)) == len(running)
    nft = ["nft", "list", "table", "inet", f"tare_{instance}"]
    rules = subprocess.run(nft, capture_output=True, text=True, check=False).stdout
    for one, address in zip(running.values(), addresses, strict=True):
        port = one["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"]
        assert f"tcp . {port} : {address} . 80" in rules
    assert rules.count(" . 80") == len(running)


def test_two_daemons_killed_at_any_moment(suite_directory: Path, busybox_tar: Path) -> None:
    """Two daemons serve one host, and in turn one of them is killed while clients create, start and remove with both: what
    was acknowledged holds, what is said is true, and the other has not noticed."""
    pair = [new_daemon(suite_directory, f"pair-{number}") for number in range(2)]
    try:
        for daemon in pair:
            daemon.start()
            daemon.tare("import", str(busybox_tar), "busybox")
        for round in range(8):
            running: dict[int, set[str]] = {0: set(), 1: set()}
            gone: dict[int, set[str]] = {0: set(), 1: set()}
            stop = threading.Event()

            def work(
                which: int, number: int, round: int = round, running: dict[int, set[str]] = running,
                gone: dict[int, set[str]] = gone, stop: threading.Event = stop,
            ) -> None:  # fmt: skip
                daemon = pair[which]
                count = 0
                while not stop.is_set():
                    name = f"c{round}-{number}-{count}"
                    done = daemon.tare("run", "-d", "--name", name, "-p", "0.0.0.0::80", "busybox", "sleep", "1000", check=False)
                    if done.returncode == 0:
                        running[which].add(name)
                        if count % 2:
                            running[which].discard(name)
                            if daemon.tare("rm", "-f", name, check=False).returncode == 0:
                                gone[which].add(name)
                    count += 1

            threads = [threading.Thread(target=work, args=(which, number)) for which in range(2) for number in range(2)]
            for thread in threads:
                thread.start()
            victim = round % 2
            goal = random.randrange(1, 5)
            wait_for(lambda r=running, v=victim, g=goal: len(r[v]) >= g, "some containers", 60)  # type: ignore[misc]
            pair[victim].kill(signal.SIGKILL)
            stop.set()
            for thread in threads:
                thread.join()
            pair[victim].start()
            for which, daemon in enumerate(pair):
                names = set(daemon.tare("ps", "--format", "{{.Names}}").stdout.split())
                assert running[which] <= names
                assert not gone[which] & set(daemon.tare("ps", "-a", "--format", "{{.Names}}").stdout.split())
                truth(daemon)
                every = daemon.tare("ps", "-aq").stdout.split()
                if every:
                    daemon.tare("rm", "-f", *every)
    finally:
        for daemon in pair:
            daemon.stop()
            shutil.rmtree(daemon.directory, ignore_errors=True)
