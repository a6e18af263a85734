"""Further processes in a running container, pause, and the driver's view of it all."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tare.errors import Conflict, TareError
from tare.linux import cgroups
from tests.unit.runtime.conftest import DEADLINE, Stage, Started


@pytest.fixture
def running(stage: Stage) -> Iterator[Started]:
    started = stage.start("sleep", "1000", hostname="box", env=("FROM=container",))
    yield started
    assert stage.kill(started) == 137


def test_it_joins_every_namespace_and_the_cgroup(stage: Stage, running: Started) -> None:
    inner = stage.exec(running, "sleep", "1000")
    first, further = (Path(f"/proc/{each.ref.pid}") for each in (running, inner))
    assert (further / "cgroup").read_text() == (first / "cgroup").read_text()
    for kind in ("mnt", "net", "pid", "uts", "ipc", "cgroup"):
        assert (first / "ns" / kind).readlink() == (further / "ns" / kind).readlink(), kind
    assert stage.kill(inner) == 137


def test_environment_user_directory_and_code(stage: Stage, running: Started) -> None:
    outcome = stage.finish(
        stage.exec(running, "sh", "-c", "echo $FROM $MORE $(id -u) $(pwd); exit 9", env=("MORE=m",), user="user", cwd="/tmp")
    )
    assert (outcome.out, outcome.code) == ("container m 1000 /tmp\n", 9)


def test_it_is_confined_as_the_container(stage: Stage, running: Started) -> None:
    wanted = "grep -E '^(Cap|Seccomp|NoNew)' /proc/%s/status"
    inside = stage.finish(stage.exec(running, "sh", "-c", wanted % "self")).out
    assert inside == stage.finish(stage.exec(running, "sh", "-c", wanted % "1")).out


def test_privileged(stage: Stage, running: Started) -> None:
    outcome = stage.finish(stage.exec(running, "grep", "CapEff", "/proc/self/status", privileged=True))
    own = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapBnd"))
    assert outcome.out.split()[1] == own.split()[1]


def test_commands_that_cannot_run(stage: Stage, running: Started) -> None:
    for command, code in (("nope", 127), ("/etc", 126)):
        with pytest.raises(TareError) as caught:
            stage.exec(running, command)
        assert caught.value.exit_code == code
    with pytest.raises(TareError, match="no such file or directory") as missing:
        stage.exec(running, "ls", cwd="/not/there")
    assert missing.value.exit_code == 127


def test_a_failure_that_quotes_much_is_told_all_the_same(stage: Stage, running: Started) -> None:
    for word in ("n" * 300_000, "/" + "n" * 300_000):
        with pytest.raises(TareError) as caught:
            stage.exec(running, word)
        assert caught.value.exit_code in (126, 127)
        assert caught.value.message.endswith(("executable file not found in $PATH", "file name too long"))


def test_a_terminal(stage: Stage, running: Started) -> None:
    assert stage.finish(stage.exec(running, "tty", tty=True)).out.split() == ["/dev/pts/0"]


def test_many_at_once(stage: Stage, running: Started) -> None:
    execs = [stage.exec(running, "sh", "-c", f"exit {number}") for number in range(20)]
    assert [stage.finish(each).code for each in execs] == list(range(20))


def test_processes_and_pause(stage: Stage, running: Started) -> None:
    inner = stage.exec(running, "sh", "-c", "while true; do :; done")
    assert stage.driver.processes(running.ref) == sorted([running.ref.pid, inner.ref.pid])
    stage.driver.pause(running.ref)
    used = Path(f"/proc/{inner.ref.pid}/stat").read_text().split()[13:15]
    for _ in range(200_000):
        pass
    assert Path(f"/proc/{inner.ref.pid}/stat").read_text().split()[13:15] == used
    stage.driver.resume(running.ref)
    assert stage.kill(inner) == 137


def test_what_the_first_process_leaves_behind_is_ended(stage: Stage) -> None:
    running = stage.start("sh", "-c", "setsid sleep 1000 & read line", pid_mode="host", stdin=True)
    inner = stage.exec(running, "sleep", "1000")
    directory = stage.driver._directory(running.ref)
    while len(left := cgroups.processes(directory)) < 3:
        pass
    handles = [os.pidfd_open(pid) for pid in left]
    running.stream.send(b"go\n")
    assert stage.finish(running).code == 0
    assert stage.finish(inner).code == 137
    for handle in handles:
        assert select.select([handle], [], [], DEADLINE)[0]
        os.close(handle)


def test_a_place_that_others_may_share_is_left_alone(stage: Stage) -> None:
    bundle = stage.bundle("true", cgroups_path="/elsewhere/shared")
    assert stage.driver.plan(bundle).cgroups == ()
    own = stage.bundle("true", cgroups_path=f"/elsewhere/{bundle.id}")
    assert stage.driver.plan(replace(own, id=bundle.id)).cgroups


def test_an_ended_container_is_refused(stage: Stage) -> None:
    running = stage.start("true")
    assert stage.finish(running).code == 0
    with pytest.raises(Conflict, match="is not running"):
        stage.exec(running, "true")
    with pytest.raises(Conflict, match="is not running"):
        stage.driver.pause(running.ref)


def test_reconcile_takes_the_unknown_and_leaves_the_living(stage: Stage, running: Started) -> None:
    tree = stage.driver._host.trees[0]
    stale = tree.path + stage.driver._parent + "/" + "f" * 64
    if tree.version == 1:
        cgroups.make_v1(stale)
    else:
        cgroups.make_v2(tree.path, stage.driver._parent + "/" + "f" * 64)
    lines = stage.driver.reconcile([])
    assert any("f" * 64 in line for line in lines) and not os.path.exists(stale)
    assert not [line for line in lines if running.ref.container in line]
    assert stage.driver.processes(running.ref) == [running.ref.pid]


def test_a_container_that_divides_its_own_cgroup_is_joined_where_its_first_process_is(stage: Stage) -> None:
    if stage.driver._host.trees[0].version == 1:
        pytest.skip("on version 1 every cgroup may have processes of its own")
    divide = "cd /sys/fs/cgroup && mkdir first && echo 1 > first/cgroup.procs && echo +pids > cgroup.subtree_control"
    running = stage.start("sh", "-c", f"{divide} && echo divided && exec sleep 1000", privileged=True, cgroupns_mode="private")
    assert select.select([running.stream], [], [], DEADLINE)[0] and b"divided" in running.stream.recv(1024)
    inside = stage.finish(stage.exec(running, "cat", "/proc/self/cgroup"))
    assert (inside.out, inside.code) == ("0::/first\n", 0)
    assert stage.kill(running) == 137
