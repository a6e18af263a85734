"""Every flag that run and create take: its effect seen from inside, or a refusal that names it. None is ignored."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from tare.cli.verbs.exec import FLAGS as EXEC
from tare.cli.wish.flags import RUN

from .conftest import BIN, Daemon, wait_for

UNIFIED = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
VERSION_2 = UNIFIED
ROOT = os.geteuid() == 0

STATUS = "cat /proc/self/status"

INSIDE: dict[str, tuple[list[str], str, str]] = {
    "add-host": (["--add-host", "far:10.1.2.3"], "cat /etc/hosts", r"10\.1\.2\.3\tfar"),
    "cap-add": (["--cap-drop", "ALL", "--cap-add", "SYS_TIME"], STATUS, r"CapEff:\t0000000002000000"),
    "cap-drop": (["--cap-drop", "CHOWN"], STATUS, r"CapEff:\t00000000a80425fa"),
    "dns": (["--dns", "9.8.7.6"], "cat /etc/resolv.conf", r"nameserver 9\.8\.7\.6"),
    "dns-option": (["--dns-option", "ndots:7"], "cat /etc/resolv.conf", r"options ndots:7"),
    "dns-opt": (["--dns-opt", "ndots:6"], "cat /etc/resolv.conf", r"options ndots:6"),
    "dns-search": (["--dns-search", "words.test"], "cat /etc/resolv.conf", r"search words\.test"),
    "domainname": (["--domainname", "words.test"], "cat /proc/sys/kernel/domainname", r"^words\.test$"),
    "env": (["-e", "A=1 2"], "echo $A", r"^1 2$"),
    "group-add": (["--group-add", "extra", "--group-add", "77"], "id", r"groups=0\(root\),(77,2000\(extra\)|2000\(extra\),77)"),
    "hostname": (["-h", "words"], "hostname", r"^words$"),
    "label": ([], "true", ""),
    "mac-address": (["--network", "bridge", "--mac-address", "02:11:22:33:44:55"], "cat /sys/class/net/eth0/address", "02:11:22:33:44:55"),  # noqa: E501
    "network": (["--network", "none"], "ls /sys/class/net", r"^lo$"),
    "net": (["--net", "none"], "ls /sys/class/net", r"^lo$"),
    "oom-score-adj": (["--oom-score-adj", "500"], "cat /proc/self/oom_score_adj", r"^500$"),
    "pid": (["--pid", "host"], "ls /proc | grep -c '^[0-9]'", r"^\d{2,}$"),
    "privileged": (["--privileged"], STATUS, r"Seccomp:\t0"),
    "read-only": (["--read-only"], "touch /x 2>&1; ls /.dockerenv; touch /etc/hosts 2>&1", r"/x: Read-only[\s\S]*\n/.dockerenv\n[\s\S]*hosts: Read-only"),  # noqa: E501
    "security-opt": (["--security-opt", "no-new-privileges", "--security-opt", "seccomp=unconfined"], STATUS, r"NoNewPrivs:\t1[\s\S]*Seccomp:\t0"),  # noqa: E501
    "shm-size": (["--shm-size", "3m"], "df -k /dev/shm", r"\s3072\s"),
    "sysctl": (["--sysctl", "kernel.msgmax=4321"], "cat /proc/sys/kernel/msgmax", r"^4321$"),
    "tmpfs": (["--tmpfs", "/t:size=2m,mode=0711"], "df -k /t; stat -c %a /t", r"\s2048\s[\s\S]*711$"),
    "tty": (["-t"], "tty", r"^/dev/pts/0"),
    "ulimit": (["--ulimit", "nofile=100:200", "--ulimit", "core=0"], "ulimit -n; ulimit -Hn; ulimit -c", r"^100\n200\n0$"),
    "user": (["-u", "1000:2000"], "id", r"uid=1000\(user\) gid=2000\(extra\)"),
    "workdir": (["-w", "/made/here"], "pwd", r"^/made/here$"),
    "entrypoint": (["--entrypoint", "/bin/echo"], "words", r"^-c words$|words"),
    "init": (["--init"], "cat /proc/1/comm; cat /proc/1/cmdline | tr '\\0' ' '", r"docker-init"),
    "ipc": (["--ipc", "host"], "readlink /proc/self/ns/ipc", "HOST:ipc"),
    "uts": (["--uts", "host"], "readlink /proc/self/ns/uts", "HOST:uts"),
    "cgroupns": (["--cgroupns", "private"], "cat /proc/self/cgroup", r":/$"),
    "interactive": (["-i"], "cat", r"^typed$"),
    "quiet": (["-q"], "echo words", r"^words$"),
    "pull": (["--pull", "never"], "echo words", r"^words$"),
    "platform": (["--platform", "linux"], "echo words", r"^words$"),
    "no-healthcheck": (["--no-healthcheck"], "echo words", r"^words$"),
    "sig-proxy": (["--sig-proxy=false"], "echo words", r"^words$"),
    "attach": (["-a", "stderr"], "echo out; echo err >&2", r"^$"),
    "runtime": (["--runtime", "ns"], "echo words", r"^words$"),
    "storage-driver": (["--storage-driver", "vfs"], "cat /proc/mounts", r"^(?!overlay / )"),
}
"""flag → (arguments, what runs inside, what its output must match; HOST:kind is the host's own namespace)."""

CGROUP: dict[str, tuple[list[str], dict[str, str], dict[str, str]]] = {
    "memory": (["-m", "64m"], {"memory/memory.limit_in_bytes": "67108864"}, {"memory.max": "67108864"}),
    "memory-reservation": (["--memory-reservation", "32m"], {"memory/memory.soft_limit_in_bytes": "33554432"}, {"memory.low": "33554432"}),  # noqa: E501
    "memory-swap": (["-m", "64m", "--memory-swap", "96m"], {"memory/memory.memsw.limit_in_bytes": "100663296"}, {"memory.swap.max": "33554432"}),  # noqa: E501
    "cpus": (["--cpus", "0.5"], {"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, {"cpu.max": "50000 100000"}),  # noqa: E501
    "cpu-period": (["--cpu-period", "50000", "--cpu-quota", "20000"], {"cpu/cpu.cfs_period_us": "50000"}, {"cpu.max": "20000 50000"}),  # noqa: E501
    "cpu-quota": (["--cpu-quota", "20000"], {"cpu/cpu.cfs_quota_us": "20000"}, {"cpu.max": "20000 100000"}),
    "cpu-shares": (["-c", "512"], {"cpu/cpu.shares": "512"}, {"cpu.weight": "20"}),
    "cpuset-cpus": (["--cpuset-cpus", "0"], {"cpuset/cpuset.cpus": "0"}, {"cpuset.cpus": "0"}),
    "cpuset-mems": (["--cpuset-mems", "0"], {"cpuset/cpuset.mems": "0"}, {"cpuset.mems": "0"}),
    "pids-limit": (["--pids-limit", "20"], {"pids/pids.max": "20"}, {"pids.max": "20"}),
    "blkio-weight": (["--blkio-weight", "300"], {"blkio/blkio.weight": "300", "blkio/blkio.bfq.weight": "300"}, {"io.weight": "default 2930", "io.bfq.weight": "300"}),  # noqa: E501
}
"""flag → (arguments, files of version 1, files of version 2); a file that this kernel lacks is a warning instead."""

REFUSED: dict[str, list[str]] = {
    "blkio-weight-device": ["/dev/null:100"],
    "cpu-rt-period": ["1000"],
    "cpu-rt-runtime": ["1000"],
    "device-cgroup-rule": ["c 1:3 rwm"],
    "device-read-bps": ["/dev/null:1mb"],
    "device-read-iops": ["/dev/null:10"],
    "device-write-bps": ["/dev/null:1mb"],
    "device-write-iops": ["/dev/null:10"],
    "gpus": ["all"],
    "health-cmd": ["true"],
    "health-interval": ["1s"],
    "health-retries": ["3"],
    "health-start-interval": ["1s"],
    "health-start-period": ["1s"],
    "health-timeout": ["1s"],
    "kernel-memory": ["50m"],
    "link": ["a:b"],
    "link-local-ip": ["169.254.1.1"],
    "memory-swappiness": ["50"],
    "network-alias": ["words"],
    "net-alias": ["words"],
    "oom-kill-disable": [],
    "restart": ["always"],
    "isolation": ["hyperv"],
    "storage-opt": ["size=1G"],
    "use-api-socket": [],
    "userns": ["words"],
    "volume-driver": ["words"],
    "volumes-from": ["words"],
}
"""flag → a value; with it nothing runs and the text names the flag."""

ELSEWHERE = {
    "annotation": "below", "cgroup-parent": "below", "cidfile": "below", "device": "below", "env-file": "below", "expose": "below",  # noqa: E501
    "ip": "below", "ip6": "below", "label": "below", "label-file": "below", "log-driver": "below", "log-opt": "below",
    "mount": "test_run", "name": "test_run", "publish": "test_network_bridge", "publish-all": "test_network_bridge", "rm": "test_run",  # noqa: E501
    "volume": "test_run", "stop-signal": "below", "stop-timeout": "below", "detach": "test_run", "detach-keys": "test_cli_terminal",  # noqa: E501
}  # fmt: skip
"""Flags whose effect is seen by a test of their own."""

RUN_NONE = ("run", "--rm", "--network", "none")


def test_the_tables_have_every_flag() -> None:
    known = INSIDE.keys() | CGROUP.keys() | REFUSED.keys() | ELSEWHERE.keys()
    assert {flag.name for flag in RUN} == known


@pytest.mark.parametrize("client", ["tare", "docker"])
@pytest.mark.parametrize("flag", INSIDE)
def test_seen_inside(engine: Daemon, flag: str, client: str) -> None:
    arguments, script, wanted = INSIDE[flag]
    if client == "docker" and flag in ("storage-driver", "quiet"):
        pytest.skip("not a flag of docker run, or only of newer ones")
    network = [] if any(word.startswith("--net") for word in arguments) else ["--network", "none"]
    words = ["run", "--rm", *network, *arguments, "busybox", *([] if flag == "entrypoint" else ["sh"]), "-c", script]
    done = getattr(engine, client)(*words, check=False, input="typed" if flag == "interactive" else None)
    assert "Traceback" not in done.stderr
    if wanted.startswith("HOST:"):
        wanted = re.escape(os.readlink(f"/proc/self/ns/{wanted[5:]}"))
    if flag == "init" and "no init" in done.stderr.lower():
        pytest.skip(done.stderr)
    assert re.search(wanted, done.stdout.strip(), re.MULTILINE), done.stdout + done.stderr


def place_of(engine: Daemon, name: str, controller: str) -> Path:
    pid = json.loads(engine.tare("inspect", "-f", "{{json .State.Pid}}", name).stdout)
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _number, controllers, path = line.split(":", 2)
        if VERSION_2 and not controllers:
            return Path("/sys/fs/cgroup" + path)
        if controller in controllers.split(","):
            return Path(f"/sys/fs/cgroup/{controller}{path}")
    raise AssertionError(f"{name} has no {controller}")


@pytest.mark.parametrize("client", ["tare", "docker"])
@pytest.mark.parametrize("flag", CGROUP)
def test_seen_in_the_cgroup(engine: Daemon, flag: str, client: str) -> None:
    arguments, version1, version2 = CGROUP[flag]
    done = getattr(engine, client)("run", "-d", "--name", "limited", "--network", "none", *arguments, "busybox", "sleep", "1000")
    try:
        seen = 0
        for file, wanted in (version2 if VERSION_2 else version1).items():
            controller, _, name = file.rpartition("/")
            path = place_of(engine, "limited", controller) / name
            if path.exists():
                assert path.read_text().strip() == wanted
                seen += 1
        assert seen or "discarded" in done.stderr + engine.log(), f"{flag} has no effect, and nobody says so"
    finally:
        engine.tare("rm", "-f", "limited")


@pytest.mark.parametrize("client", ["tare", "docker"])
@pytest.mark.parametrize("flag", REFUSED)
def test_refused_by_name(engine: Daemon, flag: str, client: str) -> None:
    if client == "docker" and flag in ("kernel-memory", "use-api-socket"):
        pytest.skip("docker's own client does not pass it on")
    done = getattr(engine, client)("run", "--rm", f"--{flag}", *REFUSED[flag], "busybox", "true", check=False)
    if client == "docker" and flag in ("link-local-ip", "network-alias", "net-alias") and done.returncode == 0:
        pytest.skip("an older docker does not pass it on for the default network")
    assert done.returncode == 125, done.stdout + done.stderr
    stem = flag.removeprefix("net-").removeprefix("network-").removesuffix("-cmd").partition("-interval")[0]
    assert stem.split("-")[0] in done.stderr.lower(), done.stderr
    assert engine.tare("ps", "-aq").stdout == ""


def test_memory_is_enforced(engine: Daemon) -> None:
    engine.tare("run", "-d", "--name", "hungry", "-m", "16m", "--memory-swap", "16m", "--network", "none", "busybox", "sh", "-c",
                "exec tail /dev/zero")  # fmt: skip
    try:
        assert engine.tare("wait", "hungry").stdout == "137\n"
        state = json.loads(engine.tare("inspect", "-f", "{{json .State}}", "hungry").stdout)
        assert (state["OOMKilled"], state["ExitCode"], state["Status"]) == (True, 137, "exited")
    finally:
        engine.tare("rm", "-f", "hungry")


def test_running_out_of_memory_is_an_event_of_a_container_that_goes(engine: Daemon) -> None:
    limits = ("-m", "16m", "--memory-swap", "16m")
    done = engine.tare(*RUN_NONE, "--name", "hungry-rm", *limits, "busybox", "tail", "/dev/zero", check=False)
    assert done.returncode == 137
    until = str(int(time.time()) + 1)
    told = engine.tare("events", "--since", "5m", "--until", until, "-f", "container=hungry-rm", "--format", "{{.Action}}").stdout
    assert told.split()[-3:] == ["oom", "die", "destroy"]


def test_processes_are_limited(engine: Daemon) -> None:
    script = "i=0; while [ $i -lt 40 ]; do sleep 5 & i=$((i+1)); done; echo all"
    done = engine.tare(*RUN_NONE, "--pids-limit", "10", "busybox", "sh", "-c", script, check=False)
    assert "can't fork" in done.stderr and "all" not in done.stdout


def test_devices_are_only_those_that_were_given(engine: Daemon) -> None:
    def kmsg(access: str, script: str) -> subprocess.CompletedProcess[str]:
        flags = ["--cap-add", "SYSLOG", "--device", f"/dev/kmsg:/dev/log:{access}"]
        return engine.tare(*RUN_NONE, *flags, "busybox", "sh", "-c", script, check=False)

    assert kmsg("r", "exec 3< /dev/log && echo opened").stdout == "opened\n"
    done = kmsg("r", "exec 3> /dev/log")
    assert "not permitted" in done.stderr
    done = kmsg("w", "exec 3< /dev/log")
    assert "not permitted" in done.stderr
    done = engine.tare(*RUN_NONE, "busybox", "sh", "-c", "mknod /loop b 7 0 && head -c 1 /loop", check=False)
    assert "not permitted" in done.stderr
    done = engine.tare(*RUN_NONE, "--privileged", "busybox", "sh", "-c", "mknod /zero c 1 5 && head -c 1 /zero | wc -c")
    assert done.stdout == "1\n"


def test_files_of_variables_and_labels(engine: Daemon, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# a comment\nA=1\n\nB=two words\nHOME\n")
    (tmp_path / "labels").write_text("x=1\ny=\n")
    for client in (engine.tare, engine.docker):
        out = client(*RUN_NONE, "--env-file", str(tmp_path / "env"), "-e", "A=2", "busybox", "sh", "-c", "echo $A-$B").stdout
        assert out == "2-two words\n"
        id = client("create", "--label-file", str(tmp_path / "labels"), "-l", "z=3", "busybox", "true").stdout.strip()
        assert json.loads(engine.tare("inspect", "-f", "{{json .Config.Labels}}", id).stdout) == {"x": "1", "y": "", "z": "3"}
        engine.tare("rm", id)


def test_id_file_annotation_and_exposed_ports(engine: Daemon, tmp_path: Path) -> None:
    for client in (engine.tare, engine.docker):
        file = tmp_path / f"id-{client.__func__.__name__}"
        noted = ("--annotation", "a=b") if "--annotation" in client("create", "--help").stdout else ()
        words = ("--cidfile", str(file), *noted, "--expose", "80-81", "--expose", "53/udp", "busybox", "true")
        id = client("create", *words).stdout.strip()
        assert file.read_text().strip() == id
        found = engine.inspect(id)
        assert found["HostConfig"].get("Annotations") == ({"a": "b"} if noted else None)  # type: ignore[attr-defined]
        assert noted or client == engine.docker
        assert sorted(found["Config"]["ExposedPorts"]) == ["53/udp", "80/tcp", "81/tcp"]  # type: ignore[index]
        engine.tare("rm", id)


def test_addresses(engine: Daemon) -> None:
    subnet = json.loads(engine.tare("network", "inspect", "bridge").stdout)[0]["IPAM"]["Config"][0]["Subnet"]
    wanted = subnet.rpartition(".")[0] + ".77"
    out = engine.tare("run", "--rm", "--ip", wanted, "busybox", "ip", "-4", "addr", "show", "eth0").stdout
    assert f"inet {wanted}/" in out
    done = engine.tare("run", "--rm", "--ip6", "2001:db8::77", "busybox", "ip", "addr", "show", "eth0", check=False)
    assert "2001:db8::77" in done.stdout or (done.returncode == 125 and "2001:db8::77" in done.stderr)


def test_the_parent_cgroup(engine: Daemon) -> None:
    parent = f"tare-test-{os.getpid()}"
    engine.tare("run", "-d", "--name", "child", "--network", "none", "--cgroup-parent", f"/{parent}", "busybox", "sleep", "1000")
    try:
        assert f"/{parent}/" in str(place_of(engine, "child", "memory"))
    finally:
        engine.tare("rm", "-f", "child")
        places = [path for pattern in (parent, f"*/{parent}") for path in Path("/sys/fs/cgroup").glob(pattern)]
        wait_for(lambda: not any(child.is_dir() for place in places for child in place.iterdir()), "the end of the child's cgroups")  # noqa: E501
        for place in places:
            place.rmdir()


def test_log_drivers_and_their_options(engine: Daemon) -> None:
    done = engine.tare("run", "--name", "silent", "--log-driver", "none", "--network", "none", "busybox", "echo", "words")
    assert done.stdout == "words\n"
    done = engine.tare("logs", "silent", check=False)
    assert done.returncode == 1 and "does not support reading" in done.stderr
    engine.tare("rm", "silent")
    options = ["--log-driver", "json-file", "--log-opt", "max-size=20k", "--log-opt", "max-file=2"]
    engine.tare("run", "--name", "rotated", *options, "--network", "none", "busybox", "seq", "1", "5000")
    path = Path(engine.tare("inspect", "-f", "{{.LogPath}}", "rotated").stdout.strip())
    assert json.loads(path.read_text().splitlines()[-1])["log"] == "5000\n"
    assert 1 <= len(list(path.parent.glob("*-json.log*"))) <= 2
    assert all(file.stat().st_size < 30_000 for file in path.parent.glob("*-json.log*"))
    engine.tare("rm", "rotated")


def test_stop_signal_and_timeout(engine: Daemon) -> None:
    script = "trap 'exit 41' USR1; trap '' TERM; echo ready; while :; do sleep 0.05; done"
    for words, code in ((["--stop-signal", "USR1"], "41\n"), (["--stop-timeout", "0"], "137\n")):
        for client in (engine.tare, engine.docker):
            client("run", "-d", "--name", "stops", *words, "--network", "none", "busybox", "sh", "-c", script)
            wait_for(lambda: engine.tare("logs", "stops").stdout == "ready\n", "the traps")
            client("stop", "stops")
            assert engine.tare("inspect", "-f", "{{.State.ExitCode}}", "stops").stdout == code
            engine.tare("rm", "stops")


EXECS: dict[str, tuple[list[str], str, str]] = {
    "env": (["-e", "A=1"], "echo $A", r"^1$"),
    "privileged": (["--privileged"], STATUS, r"CapEff:\t000001ff"),
    "tty": (["-t"], "tty", r"/dev/pts/"),
    "user": (["-u", "user"], "id -u", r"^1000$"),
    "workdir": (["-w", "/tmp"], "pwd", r"^/tmp$"),
    "interactive": (["-i"], "cat", r"^typed$"),
    "env-file": (["--env-file", "FILE"], "echo $B", r"^2$"),
}


@pytest.mark.parametrize("client", ["tare", "docker"])
def test_every_flag_of_exec(engine: Daemon, tmp_path: Path, client: str) -> None:
    assert {flag.name for flag in EXEC} == EXECS.keys() | {"detach", "detach-keys"}
    (tmp_path / "env").write_text("B=2\n")
    engine.tare("run", "-d", "--name", "target", "--network", "none", "busybox", "sleep", "1000")
    try:
        for flag, (arguments, script, wanted) in EXECS.items():
            words = [str(tmp_path / "env") if word == "FILE" else word for word in arguments]
            done = getattr(engine, client)("exec", *words, "target", "sh", "-c", script, input="typed" if flag == "interactive" else None)  # noqa: E501
            assert re.search(wanted, done.stdout.strip(), re.MULTILINE), f"{flag}: {done.stdout}{done.stderr}"
        getattr(engine, client)("exec", "-d", "target", "touch", "/tmp/detached")
        wait_for(lambda: not engine.tare("exec", "target", "ls", "/tmp/detached", check=False).returncode, "the detached exec")
    finally:
        engine.tare("rm", "-f", "target")


def test_an_exec_is_told_to_start_before_it_is_told_to_end(engine: Daemon) -> None:
    engine.tare("run", "-d", "--name", "told", "--network", "none", "busybox", "sleep", "1000")
    try:
        since = str(time.time())
        for command in [*["true"] * 20, "nope"]:
            engine.tare("exec", "told", command, check=False)
        span = ("--since", since, "--until", str(time.time()))
        listed = engine.tare("events", *span, "--filter", "container=told", "--format", "{{json .}}")
        told: dict[str, list[str]] = {}
        for event in map(json.loads, listed.stdout.splitlines()):
            told.setdefault(event["Actor"]["Attributes"]["execID"], []).append(event["Action"].partition(":")[0])
        assert list(told.values()) == [["exec_create", "exec_start", "exec_die"]] * 20 + [["exec_create", "exec_start"]]
    finally:
        engine.tare("rm", "-f", "told")


def test_an_exec_that_outlives_its_container_is_told_to_end_first(engine: Daemon) -> None:
    since = str(time.time())
    engine.tare("run", "-d", "--name", "outlived", "--pid", "host", "--network", "none", "busybox", "sleep", "1000")
    engine.tare("exec", "-d", "outlived", "sleep", "1000")
    engine.tare("kill", "outlived")
    engine.tare("wait", "outlived")
    span = ("--since", since, "--until", str(time.time()))
    told = engine.tare("events", *span, "--filter", "container=outlived", "--format", "{{.Action}}").stdout.split()
    engine.tare("rm", "outlived")
    assert told.count("exec_die") == 1 and told.index("exec_die") < told.index("die")


def test_joining_another_container(engine: Daemon) -> None:
    engine.tare("run", "-d", "--name", "first", "--ipc", "shareable", "busybox", "sleep", "1000")
    try:
        for flag, kind in (("--network", "net"), ("--pid", "pid"), ("--ipc", "ipc")):
            own = engine.tare("exec", "first", "readlink", f"/proc/self/ns/{kind}").stdout
            for client in (engine.tare, engine.docker):
                assert client("run", "--rm", flag, "container:first", "busybox", "readlink", f"/proc/self/ns/{kind}").stdout == own  # noqa: E501
    finally:
        engine.tare("rm", "-f", "first")


def test_nothing_is_left_of_a_container_in_the_pid_namespace_of_another(engine: Daemon) -> None:
    engine.tare("run", "-d", "--name", "other", "--network", "none", "busybox", "sleep", "1000")
    script = "sleep 7654321 & while ! grep -q ^sleep /proc/$!/cmdline; do :; done"
    for mode in ("host", "container:other"):
        engine.tare("run", "--name", "left", "--network", "none", "--pid", mode, "busybox", "sh", "-c", script)
        wait_for(lambda: not running("7654321"), "the background process to end")
        engine.tare("start", "-a", "left")  # its cgroup is free again
        engine.tare("rm", "left")
        wait_for(lambda: not running("7654321"), "the background process to end")
    assert engine.inspect("other")["State"]["Running"]
    engine.tare("rm", "-f", "other")


def running(word: str) -> bool:
    """Whether a process has the word among its arguments."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if word.encode() in path.read_bytes().split(b"\0"):
                return True
    return False


def test_ipc_modes(engine: Daemon) -> None:
    """``none`` has no /dev/shm; ``private`` is nobody else's."""
    out = engine.tare(*RUN_NONE, "--ipc", "none", "busybox", "sh", "-c", "grep -c /dev/shm /proc/mounts", check=False).stdout
    assert out == "0\n"
    engine.tare("run", "-d", "--name", "closed", "--ipc", "private", "--network", "none", "busybox", "sleep", "1000")
    try:
        done = engine.tare("run", "--rm", "--ipc", "container:closed", "busybox", "true", check=False)
        assert done.returncode == 125 and "shareable" in done.stderr
    finally:
        engine.tare("rm", "-f", "closed")


def test_a_terminal_of_its_own_size(engine: Daemon) -> None:
    """``-t`` without a terminal of ours: the client has no size, the container's is 0 by 0, and it is a terminal."""
    done = subprocess.run(
        [str(BIN / "tare"), *RUN_NONE, "-t", "busybox", "sh", "-c", "test -t 0 && test -t 1 && echo terminal"],
        env=engine.environment(), stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == b"terminal\r\n"


def test_more_than_the_host_gives_is_said(engine: Daemon) -> None:
    """Where the engine may not raise limits the container starts with what there is, and the user hears of it."""
    done = engine.tare(*RUN_NONE, "--ulimit", "nofile=999999:999999", "busybox", "sh", "-c", "ulimit -n")
    assert done.stdout == "999999\n" or f"{done.stdout.strip()} is used" in done.stderr
