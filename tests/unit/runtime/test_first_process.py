"""The first process of a container: what it sees, what it may, how it ends."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tare.errors import TareError
from tare.model.container import BindMount, Device, Limits, TmpfsMount, Ulimit
from tare.model.mount import Mount
from tests.unit.runtime.conftest import Stage

DEFAULT_CAPABILITIES = "00000000a80425fb"


def test_it_runs_and_its_code_comes_back(stage: Stage) -> None:
    outcome = stage.sh("echo out; echo err >&2; exit 42")
    assert (outcome.code, outcome.out, outcome.err, outcome.warnings) == (42, "out\n", "err\n", [])


def test_a_signal_is_128_and_its_number(stage: Stage) -> None:
    running = stage.start("sleep", "1000")
    os.kill(running.ref.pid, signal.SIGKILL)
    assert stage.finish(running).code == 137


def test_it_has_namespaces_of_its_own(stage: Stage) -> None:
    outcome = stage.sh("echo $$; hostname; for n in mnt net pid uts ipc user; do readlink /proc/self/ns/$n; done", hostname="box")
    pid, name, *inside = outcome.out.split()
    outside = [os.readlink(f"/proc/self/ns/{kind}") for kind in ("mnt", "net", "pid", "uts", "ipc", "user")]
    assert (pid, name) == ("1", "box")
    assert [a == b for a, b in zip(inside, outside, strict=True)] == [False] * 5 + [True]


def test_the_hosts_namespaces_when_asked(stage: Stage) -> None:
    outcome = stage.sh(
        "for n in net pid uts ipc; do readlink /proc/self/ns/$n; done",
        network="host",
        pid_mode="host",
        uts_mode="host",
        ipc_mode="host",
    )
    supervisor = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in ("pid", "uts", "ipc")}
    net, *rest = outcome.out.split()
    assert rest == [supervisor[kind] for kind in ("pid", "uts", "ipc")]
    assert net == os.readlink("/proc/self/ns/net")


def test_loopback_is_up(stage: Stage) -> None:
    assert "127.0.0.1" in stage.do("ip", "addr", "show", "lo").out


def test_no_mount_of_the_host_is_visible(stage: Stage) -> None:
    outcome = stage.do("cat", "/proc/self/mountinfo")
    targets = [line.split()[4] for line in outcome.out.splitlines()]
    assert "/" in targets and "/proc" in targets
    assert not [target for target in targets if not target.startswith(("/proc", "/dev", "/sys")) and target != "/"]


def test_devices(stage: Stage) -> None:
    outcome = stage.sh("ls /dev; head -c 4 /dev/zero | wc -c; echo x > /dev/null; readlink /dev/fd; readlink /dev/ptmx")
    names = outcome.out.split()
    assert {
        "null",
        "zero",
        "full",
        "random",
        "urandom",
        "tty",
        "ptmx",
        "pts",
        "shm",
        "mqueue",
        "fd",
        "stdin",
        "stdout",
        "stderr",
    } <= set(names)
    assert names[-3:] == ["4", "/proc/self/fd", "pts/ptmx"]


def test_a_device_that_was_not_given_cannot_be_opened(stage: Stage, suite_directory: Path) -> None:
    outcome = stage.sh("mknod /n c 1 11 && head -c 1 /n; rm /n")
    assert "Operation not permitted" in outcome.err


def test_a_device_is_given_with_its_access(stage: Stage, tmp_path: Path) -> None:
    node = tmp_path / "fuse"
    os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(10, 229))
    outcome = stage.sh("(: < /dev/given) && echo read; (: > /dev/given)", devices=(Device(str(node), "/dev/given", "r"),))
    assert outcome.out == "read\n"
    assert "Operation not permitted" in outcome.err


def test_a_device_takes_the_place_of_another(stage: Stage) -> None:
    devices = (Device("/dev/zero", "/dev/null"), Device("/dev/full", "/etc/passwd-"))
    assert stage.sh("head -c 2 /dev/null | wc -c; stat -c %t:%T /etc/passwd-", devices=devices).out.split() == ["2", "1:7"]
    devices = (Device("/dev/zero", "/etc/passwd-"),)
    assert stage.do("stat", "-c", "%t:%T", "/etc/passwd-", devices=devices).out.strip() == "1:5"
    (stage.rootfs / "etc/passwd-").unlink()
    with pytest.raises(TareError, match='making device "/etc/passwd" in the container: file exists'):
        stage.do("true", devices=(Device("/dev/zero", "/etc/passwd"),))


def test_masked_and_read_only_paths(stage: Stage) -> None:
    outcome = stage.sh(
        "wc -c < /proc/keys; ls /sys/firmware | wc -l; echo 1 > /proc/sys/vm/swappiness; echo 1 > /sys/kernel/profiling"
    )
    assert outcome.out.split() == ["0", "0"]
    assert outcome.err.count("Read-only file system") == 2


def test_read_only_root(stage: Stage) -> None:
    outcome = stage.sh("touch /x; touch /dev/shm/y && echo shm", read_only=True)
    assert "Read-only" in outcome.err and outcome.out == "shm\n"


def test_a_root_of_overlay(stage: Stage, tmp_path: Path) -> None:
    for name in ("upper", "work"):
        (tmp_path / name).mkdir()
    options = (f"lowerdir={stage.rootfs}", "upperdir=upper", "workdir=work")
    root = (Mount("overlay", "overlay", "/", options, cwd=str(tmp_path)),)
    assert stage.sh("echo new > /made; cat /made", rootfs=root).out == "new\n"
    assert (tmp_path / "upper/made").read_text() == "new\n"
    assert not (stage.rootfs / "made").exists()


def test_binds(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    binds = (
        BindMount(str(tmp_path), "/deep/er/rw"),
        BindMount(str(tmp_path), "/ro", read_only=True),
        BindMount(str(tmp_path / "file"), "/f"),
    )
    outcome = stage.sh("cat /f; echo 1 > /deep/er/rw/w; echo 1 > /ro/x", binds=binds)
    assert outcome.out == "content"
    assert (tmp_path / "w").read_text() == "1\n" and not (tmp_path / "x").exists()


def test_read_only_goes_for_mounts_below(stage: Stage, tmp_path: Path) -> None:
    outcome = stage.sh("touch /h/shm/x && echo written", binds=(BindMount("/dev", "/h", read_only=True),))
    assert outcome.out == "" and "Read-only" in outcome.err


def test_a_link_in_the_image_does_not_lead_a_bind_out(stage: Stage, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = stage.rootfs / "trap"
    for target in (str(outside), "/proc/1/root" + str(outside), "../../../../.." + str(outside)):
        link.symlink_to(target)
        try:
            source = tmp_path / "source"
            source.mkdir(exist_ok=True)
            stage.do("true", binds=(BindMount(str(source), "/trap/in"),))
        except TareError:
            pass  # refusing is as good
        finally:
            link.unlink()
        assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    ("target", "text"),
    [("/trap", "not of type proc"), *((f"/trap/{name}", "inside /proc") for name in ("sys", "version", "uptime"))],
)
def test_a_link_in_the_image_does_not_lead_a_mount_into_proc(stage: Stage, tmp_path: Path, target: str, text: str) -> None:
    link = stage.rootfs / "trap"
    link.symlink_to("../proc")
    source = tmp_path / "source"
    if target in ("/trap", "/trap/sys"):
        source.mkdir()
    else:
        source.touch()
    wishes: list[dict[str, Any]] = [{"binds": (BindMount(str(source), target),)}]
    if source.is_dir():
        wishes.append({"tmpfs": (TmpfsMount(target),)})
    try:
        for wish in wishes:
            with pytest.raises(TareError, match=text):
                stage.do("true", **wish)
    finally:
        link.unlink()


def test_figures_of_proc_may_be_replaced(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "uptime").write_text("1.00 2.00\n")
    assert stage.do("cat", "/proc/uptime", binds=(BindMount(str(tmp_path / "uptime"), "/proc/uptime"),)).out == "1.00 2.00\n"


@pytest.mark.parametrize("name", ["proc", "sys"])
def test_the_kernels_figures_go_on_ordinary_directories(stage: Stage, tmp_path: Path, name: str) -> None:
    (tmp_path / "root").mkdir()
    subprocess.run(["cp", "-a", f"{stage.rootfs}/bin", tmp_path / "root"], check=True)
    (tmp_path / "root" / name).symlink_to("/elsewhere")
    (tmp_path / "root/elsewhere").mkdir()
    root = (Mount("bind", str(tmp_path / "root"), "/", ("rbind",)),)
    with pytest.raises(TareError, match="must be an ordinary directory"):
        stage.do("true", rootfs=root)


def test_tmpfs(stage: Stage) -> None:
    outcome = stage.sh(
        "stat -c %a /t; df /t | tail -1; mount | grep ' /t '", tmpfs=(TmpfsMount("/t", ("size=64k", "mode=711", "noexec")),)
    )
    assert outcome.out.startswith("711\n") and " 64 " in outcome.out and "noexec" in outcome.out


def test_a_tmpfs_has_the_mode_of_the_directory_that_it_covers(stage: Stage) -> None:
    places = ("/root", "/tmp", "/fresh", "/named")
    for name, mode in (("root", 0o700), ("tmp", 0o1777), ("named", 0o700)):
        (stage.rootfs / name).mkdir(exist_ok=True)
        (stage.rootfs / name).chmod(mode)
    tmpfs = tuple(TmpfsMount(place, ("mode=0711",) if place == "/named" else ("size=1m",)) for place in places)
    assert stage.do("stat", "-c", "%a", *places, tmpfs=tmpfs).out.split() == ["700", "1777", "1777", "711"]
    for name in ("fresh", "named"):
        (stage.rootfs / name).rmdir()


def test_shm_size(stage: Stage) -> None:
    assert " 128 " in stage.sh("df /dev/shm | tail -1", shm_size=128 << 10).out


def test_files_are_laid_over_the_images(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("127.0.0.1 here\n")
    outcome = stage.sh("cat /etc/hosts; echo more >> /etc/hosts", files={"/etc/hosts": str(tmp_path / "hosts")})
    assert outcome.out == "127.0.0.1 here\n"
    assert (tmp_path / "hosts").read_text() == "127.0.0.1 here\nmore\n"


def test_files_of_a_read_only_root_are_read_only(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("127.0.0.1 here\n")
    files = {"/etc/hosts": str(tmp_path / "hosts")}
    outcome = stage.sh("cat /etc/hosts; echo more >> /etc/hosts", files=files, read_only=True)
    assert outcome.out == "127.0.0.1 here\n" and "Read-only" in outcome.err
    assert (tmp_path / "hosts").read_text() == "127.0.0.1 here\n"


def test_an_empty_file_is_made_where_the_image_has_none(stage: Stage) -> None:
    try:
        assert stage.sh("wc -c < /.mark; echo words > /.mark", files={"/.mark": ""}).out == "0\n"
        assert stage.sh("cat /.mark", files={"/.mark": ""}, read_only=True).out == "words\n"
    finally:
        (stage.rootfs / ".mark").unlink()


def test_environment_is_exact(stage: Stage) -> None:
    outcome = stage.do("env", env=("A=1=2", "B=x\ny", "HOME=/nowhere", "PATH=/bin"), hostname="h")
    assert sorted(outcome.out.splitlines()) == sorted(["PATH=/bin", "HOSTNAME=h", "A=1=2", "B=x", "y", "HOME=/nowhere"])


@pytest.mark.parametrize(
    ("user", "answer"),
    [
        ("", "uid=0(root) gid=0(root) groups=0(root) /root"),
        ("user", "uid=1000(user) gid=1000(user) groups=1000(user),2000(extra) /home"),
        ("1000", "uid=1000(user) gid=1000(user) groups=1000(user),2000(extra) /home"),
        ("user:daemon", "uid=1000(user) gid=1(daemon) groups=1(daemon) /home"),
        ("4321:77", "uid=4321 gid=77 groups=77 /"),
        ("4321", "uid=4321 gid=0(root) groups=0(root) /"),
    ],
)
def test_users(stage: Stage, user: str, answer: str) -> None:
    assert stage.sh("echo $(id) $HOME", user=user).out.strip() == answer


def test_additional_groups(stage: Stage) -> None:
    assert stage.do("id", groups=("extra", "55")).out.split("groups=")[1].strip().split(",") == ["0(root)", "55", "2000(extra)"]


@pytest.mark.parametrize(
    ("user", "text"),
    [
        ("bob", "unable to find user bob: no matching entries in passwd file"),
        ("1:staff", "unable to find group staff: no matching entries in group file"),
        ("4294967296", "uids and gids must be in range 0-2147483647"),
    ],
)
def test_users_that_do_not_exist(stage: Stage, user: str, text: str) -> None:
    with pytest.raises(TareError) as caught:
        stage.do("true", user=user)
    assert caught.value.message == text and caught.value.exit_code == 125


def status(text: str) -> dict[str, str]:
    return {line.partition(":")[0]: line.partition(":")[2].strip() for line in text.splitlines()}


@pytest.mark.parametrize(
    ("wish", "sets"),
    [
        ({}, (DEFAULT_CAPABILITIES, DEFAULT_CAPABILITIES)),
        ({"user": "user"}, ("0000000000000000", DEFAULT_CAPABILITIES)),
        ({"cap_drop": ("ALL",), "cap_add": ("CHOWN",)}, ("0000000000000001", "0000000000000001")),
    ],
)
def test_capabilities(stage: Stage, wish: dict[str, object], sets: tuple[str, str]) -> None:
    said = status(stage.do("cat", "/proc/self/status", **wish).out)
    assert (said["CapEff"], said["CapPrm"], said["CapBnd"]) == (sets[0], sets[0], sets[1])
    assert (said["CapInh"], said["CapAmb"]) == ("0000000000000000",) * 2


def test_privileged(stage: Stage) -> None:
    said = status(stage.do("cat", "/proc/self/status", privileged=True).out)
    own = status(Path("/proc/self/status").read_text())
    assert (said["CapEff"], said["Seccomp"]) == (own["CapBnd"], "0")


def test_seccomp_and_no_new_privileges(stage: Stage) -> None:
    said = status(stage.do("cat", "/proc/self/status", security_opt=("no-new-privileges",)).out)
    assert (said["Seccomp"], said["NoNewPrivs"]) == ("2", "1")
    assert status(stage.do("cat", "/proc/self/status").out)["NoNewPrivs"] == "0"
    assert status(stage.do("cat", "/proc/self/status", security_opt=("seccomp=unconfined",)).out)["Seccomp"] == "0"


def test_seccomp_is_enforced(stage: Stage) -> None:
    assert "permission denied" in stage.do("mount", "-t", "tmpfs", "x", "/tmp", cap_add=("SYS_PTRACE",)).err
    rule = '{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}'
    profile = f'{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{rule}]}}'
    assert "No space left on device" in stage.do("mkdir", "/tmp/denied", security_opt=(f"seccomp={profile}",)).err


def test_nothing_of_the_engine_is_inherited(stage: Stage) -> None:
    assert stage.do("ls", "/proc/self/fd").out.split() == ["0", "1", "2", "3"]  # the last is the directory that ls reads
    said = status(stage.do("cat", "/proc/self/status").out)
    assert (said["SigBlk"], said["SigIgn"], said["SigCgt"]) == ("0" * 16,) * 3
    names = [each.partition("=")[0] for each in stage.do("cat", "/proc/self/environ").out.split("\0")]
    assert sorted(filter(None, names)) == ["HOME", "PATH"]


def test_limits(stage: Stage) -> None:
    limits = Limits(memory=64 << 20, pids=20, nano_cpus=500_000_000, cpu_shares=512, cpuset_cpus="0")
    running = stage.start("sleep", "1000", limits=limits)
    launch = stage.driver.plan(running.bundle)
    values = {}
    for directory in launch.cgroups:
        for file in (
            "memory.limit_in_bytes",
            "memory.max",
            "pids.max",
            "cpu.cfs_quota_us",
            "cpu.max",
            "cpuset.cpus",
            "cpu.shares",
            "cpu.weight",
        ):
            path = Path(directory, file)
            if path.exists():
                values[file] = path.read_text().strip()
    assert stage.kill(running) == 137
    old = {
        "memory.limit_in_bytes": "67108864",
        "pids.max": "20",
        "cpu.cfs_quota_us": "50000",
        "cpuset.cpus": "0",
        "cpu.shares": "512",
    }
    new = {"memory.max": "67108864", "pids.max": "20", "cpu.max": "50000 100000", "cpuset.cpus": "0", "cpu.weight": "20"}
    assert values in (old, new)


def test_the_memory_limit_is_enforced(stage: Stage) -> None:
    started = stage.start("sh", "-c", "exec tail -c 60000000 /dev/zero", limits=Limits(memory=16 << 20, memory_swap=16 << 20))
    assert stage.finish(started).code == 137


def test_the_pids_limit_is_enforced(stage: Stage) -> None:
    outcome = stage.sh("for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; true", limits=Limits(pids=4))
    assert "fork" in outcome.err


def test_ulimits_within_the_hard_limit_are_exact_and_above_it_warn(stage: Stage) -> None:
    outcome = stage.sh("ulimit -n; ulimit -Hn", ulimits=(Ulimit("nofile", 100, 200),))
    assert (outcome.out.split(), outcome.warnings) == (["100", "200"], [])


def test_ulimits_that_python_does_not_know_or_that_leave_no_file_to_open(stage: Stage) -> None:
    limits = (Ulimit("locks", 7, 8), Ulimit("nofile", 3, 3))
    outcome = stage.do("cat", "/proc/self/limits", "/proc/self/oom_score_adj", ulimits=limits[:1])
    assert re.search(r"^Max file locks +7 +8 ", outcome.out, re.MULTILINE)
    outcome = stage.sh("ulimit -n", ulimits=limits, oom_score_adj=100)
    assert (outcome.out, outcome.code) == ("3\n", 0)


def test_oom_score_adj(stage: Stage) -> None:
    assert stage.do("cat", "/proc/self/oom_score_adj").out == "0\n"
    assert stage.do("cat", "/proc/self/oom_score_adj", oom_score_adj=321).out == "321\n"


def test_sysctls(stage: Stage) -> None:
    assert stage.sh("cat /proc/sys/kernel/msgmax", sysctls={"kernel.msgmax": "4321"}).out == "4321\n"
    assert stage.sh("cat /proc/sys/net/ipv4/ip_forward", sysctls={"net.ipv4.ip_forward": "1"}).out == "1\n"
    with pytest.raises(TareError, match=r"setting \"net.no.such\""):
        stage.do("true", sysctls={"net.no.such": "1"})


@pytest.mark.parametrize(
    ("command", "text", "code"),
    [
        ("nope", 'exec: "nope": executable file not found in $PATH', 127),
        ("/no/pe", 'exec: "/no/pe": stat /no/pe: no such file or directory', 127),
        ("/etc", 'exec: "/etc": permission denied', 126),
        ("/etc/passwd", 'exec: "/etc/passwd": permission denied', 126),
        ("/badscript", "exec /badscript: no such file or directory", 127),
        ("/garbage", "exec /garbage: exec format error", 126),
    ],
)
def test_commands_that_cannot_run(stage: Stage, command: str, text: str, code: int) -> None:
    (stage.rootfs / "badscript").write_text("#!/no/interpreter\n")
    (stage.rootfs / "garbage").write_bytes(b"\x7fELFnot really")
    for name in ("badscript", "garbage"):
        (stage.rootfs / name).chmod(0o755)
    with pytest.raises(TareError) as caught:
        stage.do(command)
    assert (caught.value.message, caught.value.exit_code) == (text, code)


def test_working_directory(stage: Stage) -> None:
    assert stage.sh("pwd", cwd="/made/for/you").out == "/made/for/you\n"
    with pytest.raises(TareError, match="not a directory"):
        stage.do("true", cwd="/etc/passwd")


def test_a_working_directory_cannot_be_a_descriptor_of_the_engine(stage: Stage) -> None:
    for number in range(3, 24):
        with pytest.raises(TareError):
            stage.do("ls", cwd=f"/proc/self/fd/{number}/x")


def test_a_terminal(stage: Stage) -> None:
    outcome = stage.sh(
        "tty; stty size; test -t 0 -a -t 1 -a -t 2 && echo all; echo x > /dev/console; echo $TERM", tty=True, size=(33, 77)
    )
    assert outcome.out.split() == ["/dev/pts/0", "33", "77", "all", "x", "xterm"]


def test_a_terminal_belongs_to_its_user(stage: Stage) -> None:
    assert stage.sh("stat -c %U $(tty)", tty=True, user="user").out.split() == ["user"]


def test_standard_input(stage: Stage) -> None:
    running = stage.start("cat", stdin=True)
    running.stream.sendall(b"through")
    running.stream.shutdown(1)
    assert stage.finish(running).out == "through"


def test_another_containers_namespaces(stage: Stage) -> None:
    first = stage.start("sh", "-c", "echo shared > /dev/shm/f; exec sleep 1000", hostname="one")
    joins = dict.fromkeys(("network", "pid", "ipc"), first.ref)
    script = (
        "until test -s /dev/shm/f; do usleep 1000; done; cat /dev/shm/f; "
        "for n in net pid ipc; do readlink /proc/1/ns/$n; readlink /proc/self/ns/$n; done"
    )
    outcome = stage.sh(
        script, network="container", pid_mode="container:x", ipc_mode="container:x", joins=joins, cap_add=("SYS_PTRACE",)
    )
    shared, *links = outcome.out.split()
    assert shared == "shared" and len(links) == 6
    assert links[::2] == links[1::2]
    assert stage.kill(first) == 137


def test_a_private_cgroup_namespace(stage: Stage) -> None:
    outcome = stage.do("cat", "/proc/self/cgroup", cgroupns_mode="private")
    assert {line.split(":", 2)[2] for line in outcome.out.splitlines()} == {"/"}


def test_nothing_is_left_of_a_failed_start(stage: Stage) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    with pytest.raises(TareError, match="error mounting"):
        stage.do("true", binds=(BindMount("/no/such/source", "/x"),))
    assert Path("/proc/self/mountinfo").read_text() == before
