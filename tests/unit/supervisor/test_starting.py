"""Starts, exits, signals and what goes wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tare.errors import Conflict, Internal, Invalid, NotFound, TareError, Unavailable, Unsupported
from tare.supervisor import messages

from .conftest import Peer, eventually, everything, frames, gone


@pytest.mark.parametrize("code", [0, 1, 3, 125, 126, 127, 255])
def test_exit_codes(peer: Peer, code: int) -> None:
    started = peer.start("c", "sh", "-c", f"exit {code}")
    assert started["pid"] > 1 and started["start_time"] > 0 and started["warnings"] == []
    assert peer.exit("c")["code"] == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_a_signal_gives_128_and_its_number(peer: Peer, number: int) -> None:
    peer.start("c", "sleep", "1000")
    peer.ask("signal", container="c", exec="", signal=int(number))
    exit = peer.exit("c")
    assert (exit["code"], exit["signal"]) == (128 + number, number)
    with pytest.raises(NotFound, match="c is not running"):
        peer.ask("signal", container="c", exec="", signal=15)


def test_the_record_is_on_disk_before_the_event(peer: Peer, tmp_path: Path) -> None:
    record = tmp_path / "exit"
    peer.start("c", "sh", "-c", "exit 7", exit_record=str(record))
    exit = peer.event("exit", "c")
    assert record.read_text() == f"7 0 0 {exit['at']}\n"
    peer.ask("acknowledge", container="c", exec="")
    assert not record.exists()


def test_a_name_starts_once(peer: Peer) -> None:
    peer.start("c", "sleep", "1000")
    with pytest.raises(Conflict, match="runs already"):
        peer.start("c", "true")
    peer.ask("signal", container="c", exec="", signal=9)
    peer.event("exit", "c")
    peer.start("c", "sh", "-c", "exit 5")
    assert peer.exit("c")["code"] == 5


def test_a_container_and_its_execs_are_apart(peer: Peer) -> None:
    peer.start("c", "sleep", "1000")
    peer.start("c", "sh", "-c", "exit 4", exec="e1")
    peer.start("c", "sleep", "1000", exec="e2")
    assert peer.exit("c", "e1")["code"] == 4
    peer.ask("signal", container="c", exec="e2", signal=15)
    assert peer.exit("c", "e2")["code"] == 143
    peer.ask("signal", container="c", exec="", signal=9)
    assert peer.exit("c")["code"] == 137


@pytest.mark.parametrize(("command", "code", "words"), [("no-such-command", 127, "not found"), ("/etc/passwd", 126, "denied")])
def test_a_command_that_cannot_run(peer: Peer, command: str, code: int, words: str) -> None:
    client = peer.attach("c")
    with pytest.raises(Invalid, match=words) as caught:
        peer.start("c", command)
    assert caught.value.exit_code == code
    assert everything(client) == b""
    assert peer.ask("hello", versions=[1, 1], pid=1)["processes"] == []
    peer.start("c", "true")
    assert peer.exit("c")["code"] == 0


@pytest.mark.parametrize(
    ("entry", "words"),
    [("entries:raises", "RuntimeError: this entry is broken"), ("entries:returns", "the entry returned")],
)
def test_a_defect_in_an_entry(peer: Peer, entry: str, words: str) -> None:
    with pytest.raises(Internal, match=words):
        peer.start("c", "true", launch={"entry": entry})
    peer.start("c", "true")
    assert peer.exit("c")["code"] == 0


@pytest.mark.parametrize(
    ("entry", "words"), [("entries:absent", "absent"), ("no_such_module:run", "ModuleNotFoundError"), ("json", "AttributeError")]
)
def test_an_entry_that_cannot_be_imported_is_named(peer: Peer, entry: str, words: str) -> None:
    with pytest.raises(Unavailable, match=words) as caught:
        peer.ask("template", runtime="other", entry=entry, path=[])
    assert caught.value.subject == entry
    with pytest.raises(Unavailable, match=words):
        peer.start("c", "true", launch={"entry": entry})


def test_a_template_that_dies_is_started_again(peer: Peer) -> None:
    with pytest.raises(Unavailable, match="the template of runtime test died"):
        peer.start("c", "true", plan={"crash": True})
    peer.start("c", "sh", "-c", "exit 3")
    assert peer.exit("c")["code"] == 3


def test_a_template_that_stalls_stalls_nobody_else(peer: Peer) -> None:
    peer.template(runtime="slow")
    late = peer.send("start", **peer.start_body("late", "sh", "-c", "exit 1", plan={"stall": 1}, runtime="slow"))
    peer.start("c", "sh", "-c", "exit 2")
    assert peer.exit("c")["code"] == 2
    peer.answer(late)
    assert peer.exit("late")["code"] == 1


def test_another_build_of_the_code_gets_a_template_of_its_own(peer: Peer) -> None:
    """An upgraded tared meets the supervisor of the last one. What was asked before is answered by whom it was asked of."""
    [first] = templates(peer)
    peer.template()
    assert templates(peer) == [first]
    late = peer.send("start", **peer.start_body("late", "sh", "-c", "exit 1", plan={"stall": 1}))
    peer.template(build="another")
    peer.start("c", "sh", "-c", "exit 2")
    assert peer.exit("c")["code"] == 2
    assert len(templates(peer)) == 2
    peer.answer(late)
    assert peer.exit("late")["code"] == 1
    gone(first)
    [second] = templates(peer)
    peer.template()
    gone(second)


def test_warnings_come_from_template_and_child(peer: Peer) -> None:
    started = peer.start("c", "true", plan={"before": ["one"], "warnings": ["two", "three"]})
    assert started["warnings"] == ["one", "two", "three"]
    peer.exit("c")


def test_the_child_holds_nothing_but_what_it_was_given(peer: Peer, tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    client = peer.attach("c", stdin=False)
    try:
        peer.start("c", "ls", "-l", "/proc/self/fd", mount_fds=[2], fds=(fd,))
    finally:
        os.close(fd)
    listing = frames(everything(client))[1].decode()
    # The directory that ls reads is the fifth.
    assert listing.count(" -> ") == 5 and str(tmp_path) in listing, listing
    assert listing.count("pipe:") == 2 and listing.count("/dev/null") == 1
    peer.exit("c")


def test_a_template_gives_nobody_a_program_to_write(peer: Peer) -> None:
    (template,) = [pid for pid in children(peer.hello["pid"]) if b"\0template\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    # The file is busy now; what counts is that it stays read-only by this way when it no longer is.
    assert os.statvfs(f"/proc/{template}/exe").f_flag & os.ST_RDONLY


def test_a_client_that_comes_during_the_start(peer: Peer) -> None:
    serial = peer.send("start", **peer.start_body("c", "sh", "-c", "read x; echo $x", stdin=True, stdin_once=True))
    client = peer.attach("c")
    peer.answer(serial)
    client.sendall(b"hello\n")
    assert frames(everything(client)) == {1: b"hello\n"}
    peer.exit("c")


def test_a_large_plan_travels(peer: Peer) -> None:
    body = peer.start_body("c", "sh", "-c", 'test ${#0} = 100000', "x" * 100_000, plan={"ballast": "y" * 500_000})
    serial = peer.send("start", **body)
    peer.answer(serial)
    assert peer.exit("c")["code"] == 0


def test_links_are_made_in_the_namespace_of_the_child(peer: Peer) -> None:
    link = {
        "kind": "veth", "name": "inside", "host_name": "tsup0", "parent": "", "mac": "", "mtu": 0,
        "addresses": (), "routes": [], "options": {},
    }  # fmt: skip
    client = peer.attach("c", stdin=False)
    peer.start("c", "cat", "/proc/net/dev", links=[link], launch={"namespaces": 0x40000000})
    assert b"inside:" in frames(everything(client))[1]
    peer.exit("c")


def test_a_link_that_cannot_be_made_leaves_nothing(peer: Peer) -> None:
    link = {
        "kind": "veth", "name": "inside", "host_name": "tsup0", "parent": "no-such-bridge", "mac": "", "mtu": 0,
        "addresses": (), "routes": [], "options": {},
    }  # fmt: skip
    with pytest.raises(Unavailable, match=r"cannot connect the container to its network"):
        peer.start("c", "sleep", "1000", links=[link], launch={"namespaces": 0x40000000})
    assert peer.ask("hello", versions=[1, 1], pid=1)["processes"] == []
    assert children(peer.hello["pid"], "sleep") == []


def test_a_command_that_makes_the_container(peer: Peer, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = f"(exec sh -c 'echo hello; exit 9') & echo $! > {pid_file}"
    client = peer.attach("c", stdin=False)
    started = peer.start("c", launch={"entry": "", "argv": ("sh", "-c", script), "pid_file": str(pid_file)})
    assert started["pid"] == int(pid_file.read_text())
    assert frames(everything(client)) == {1: b"hello\n"}
    assert peer.exit("c")["code"] == 9
    with pytest.raises(Unavailable, match="sh ended with 3"):
        peer.start("c", launch={"entry": "", "argv": ("sh", "-c", "exit 3"), "pid_file": str(pid_file)})
    with pytest.raises(Unavailable, match="no-such-runtime: No such file"):
        peer.start("c", launch={"entry": "", "argv": ("no-such-runtime",), "pid_file": ""})


def test_orphans_are_reaped(peer: Peer) -> None:
    peer.start("c", "sh", "-c", "(sleep 0.01; exit 1) & (sleep 0.02) &")
    peer.exit("c")
    eventually(lambda: children(peer.hello["pid"], "sleep") == [] and children(peer.hello["pid"], "sh") == [])


def test_messages_that_mean_nothing(peer: Peer) -> None:
    with pytest.raises(Unsupported, match="does not know dance"):
        peer.ask("dance")
    with pytest.raises(Invalid, match="start: KeyError"):
        peer.ask("start", container="c", exec="")
    with pytest.raises(Invalid, match="either an entry or a command"):
        peer.start("c", launch={"entry": ""})
    with pytest.raises(Unavailable, match="runtime absent has no template"):
        peer.start("c", "true", runtime="absent")
    with pytest.raises(Unsupported, match="speaks versions 1 to 1"):
        peer.ask("hello", versions=[7, 9], pid=1)
    with pytest.raises(Invalid, match="attach needs one socket"):
        peer.ask("attach", container="c", exec="")
    garbage = Peer(peer.root)
    garbage.sock.send(b"\xff\xfe garbage")
    assert garbage.sock.recv(100) == b""
    peer.start("c", "true")
    assert peer.exit("c")["code"] == 0


def test_one_supervisor_for_an_exec_root(peer: Peer) -> None:
    assert Peer(peer.root).hello["pid"] == peer.hello["pid"]
    command = [sys.executable, "-I", "-S", str(Path(messages.__file__).with_name("__main__.py")), "supervisor", str(peer.root)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert "another supervisor runs here" in second.stdout


def test_a_supervisor_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "supervisor.sock").mkdir()
    from tare.supervisor import spawn

    with pytest.raises((TareError, OSError)):
        spawn.connect_or_spawn(str(tmp_path), timeout=5)


def test_stop_is_refused_while_something_runs(peer: Peer) -> None:
    peer.start("c", "sleep", "1000")
    with pytest.raises(Conflict, match="processes still run"):
        peer.ask("stop")
    peer.ask("signal", container="c", exec="", signal=9)
    peer.exit("c")
    beside = children(peer.hello["pid"])
    assert len(beside) == 3, "template, logger, janitor"
    peer.ask("stop")
    for pid in [peer.hello["pid"], *beside]:
        gone(pid)


def test_many_starts_leak_no_descriptor(peer: Peer) -> None:
    supervisor = peer.hello["pid"]

    def cycle(name: str) -> None:
        client = peer.attach(name)
        peer.start(name, "sh", "-c", "echo x", stdin=True, tty=name == "t")
        client.sendall(b"input")
        peer.exit(name)
        client.close()

    cycle("a")
    pids = [supervisor, *children(supervisor)]
    before = [len(os.listdir(f"/proc/{pid}/fd")) for pid in pids]
    for _ in range(40):
        cycle("a")
        cycle("t")
    # Some, since a companion may have been on its way up; one for each start would be eighty.
    eventually(lambda: all(len(os.listdir(f"/proc/{pid}/fd")) <= was + 10 for pid, was in zip(pids, before, strict=True)))


def test_what_the_processes_have_imported(tmp_path: Path) -> None:
    """The walls, in fresh interpreters: nothing heavy in the supervisor, even less in a template."""
    folder = str(Path(messages.__file__).parents[2])
    heavy = {"click", "pluggy", "sqlite3", "asyncio", "http", "pyroute2", "json", "re", "typing", "dataclasses", "threading"}
    for role in ("main", "template", "logger", "janitor", "forwarder"):
        code = f"import sys; sys.path.append({folder!r}); import tare.supervisor.{role}; print(*sys.modules)"
        command = [sys.executable, "-I", "-S", "-c", code]
        loaded = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
        assert not loaded & heavy, role
        assert f"tare.supervisor.{role}" in loaded


def templates(peer: Peer) -> list[int]:
    return [pid for pid in children(peer.hello["pid"]) if b"\0template\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def children(parent: int, name: str = "") -> list[int]:
    """Children of a process, by the name of their command."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            command, _, rest = stat.partition("(")[2].rpartition(")")
            if int(rest.split()[1]) == parent and name in ("", command):
                found.append(int(entry))
    return sorted(found)
