"""Many at once, and ends that come at the wrong moment: nothing leaks, nobody waits for ever."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import resource
import signal
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from .conftest import BIN, Daemon, wait_for
from .traces import children, descriptors, nothing_more, resident

NONE = ("--network", "none")


@pytest.fixture(scope="module", autouse=True)
def unpacked(engine: Daemon) -> None:
    """The first container of an image leaves its layers, by right."""
    engine.tare("run", "--rm", "busybox", "true")


@contextlib.contextmanager
def nothing_leaks(engine: Daemon):  # type: ignore[no-untyped-def]
    """Beside what ``nothing_more`` sees: descriptors, zombies and execs that go on."""
    before, crowd = descriptors(engine), len(children(engine))
    with nothing_more(engine):
        yield
    wait_for(
        lambda: all(count <= before[name] + 3 for name, count in descriptors(engine).items()),
        f"descriptors as before: {before}, not {descriptors(engine)}",
    )
    wait_for(lambda: "Z" not in children(engine), "the last zombie")
    wait_for(lambda: len(children(engine)) <= crowd, "the last child")


@pytest.mark.parametrize("network", ["none", "bridge"])
def test_thirty_clients_on_five_names(engine: Daemon, network: str) -> None:
    """Every verb on the same few containers, in no order: each answer is a success or one of Docker's refusals."""
    fine = (
        "No such container", "No such object", "No such exec instance", "already in use", "is not running", "is already", "cannot remove", "stopped container", "removal of",  # noqa: E501
        "is not paused", "is paused", "paused container", "cannot be started", "was started again", "is being removed",
        "executable file", "exited", "not running",
    )  # fmt: skip
    seed = random.randrange(2**32)
    complaints: list[str] = []

    def client(number: int) -> None:
        dice = random.Random(seed + number)
        for _ in range(8):
            name = f"raced-{dice.randrange(5)}"
            words = dice.choice(
                [
                    ["run", "-d", "--name", name, "--network", network, "busybox", "sleep", "1000"],
                    ["run", "--rm", "--name", name, "--network", network, "busybox", "true"],
                    ["create", "--name", name, "--network", network, "busybox", "sleep", "1000"],
                    ["start", name],
                    ["stop", "-t", "0", name],
                    ["restart", "-t", "0", name],
                    ["kill", name],
                    ["rm", "-f", name],
                    ["rm", name],
                    ["exec", name, "true"],
                    ["pause", name],
                    ["unpause", name],
                    ["inspect", "-f", "{{.State.Status}}", name],
                    ["logs", name],
                    ["ps", "-a"],
                ]
            )
            done = engine.tare(*words, check=False, timeout=120)
            if done.returncode and not any(text in done.stderr for text in fine):
                complaints.append(f"{' '.join(words)}: {done.returncode} {done.stderr}")

    with nothing_leaks(engine):
        with ThreadPoolExecutor(30) as pool:
            waited = wait([pool.submit(client, number) for number in range(30)], 1)
            while waited.not_done:
                # Who execs in a container that somebody pauses waits, as with Docker, until somebody lets it go on.
                for number in range(5):
                    engine.tare("unpause", f"raced-{number}", check=False)
                waited = wait([*waited.done, *waited.not_done], 1)
            for one in waited.done:
                one.result()
        for number in range(5):
            engine.tare("rm", "-f", f"raced-{number}", check=False)
    complaints = [text for text in complaints if "137" not in text.split(": ")[1][:4]]
    assert not complaints, f"seed {seed}\n" + "\n".join(complaints)


@pytest.mark.parametrize("network", ["none", "bridge"])
def test_three_hundred_clients_at_once(engine: Daemon, network: str) -> None:
    """Each makes, starts and removes a container of its own, all of them connected at the same moment: none fails."""
    many = 300
    together = threading.Barrier(many)

    def client(number: int) -> str:
        name = f"one-of-many-{number}"
        body = {"Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": network}}
        with contextlib.closing(http.client.HTTPConnection("tare", timeout=300)) as connection:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(300)
            together.wait()
            connection.sock.connect(str(engine.socket))
            for method, path, wanted in (
                ("POST", f"/containers/create?name={name}", 201),
                ("POST", f"/containers/{name}/start", 204),
                ("GET", f"/containers/{name}/json", 200),
                ("DELETE", f"/containers/{name}?force=1", 204),
            ):
                text = json.dumps(body) if path.startswith("/containers/create") else None
                connection.request(method, path, text, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                said = answer.read()
                if answer.status != wanted:
                    return f"{method} {path}: {answer.status} {said.decode()}"
                if method == "GET" and json.loads(said)["State"]["Status"] != "running":
                    return f"{name} does not run: {said.decode()}"
        return ""

    with nothing_leaks(engine), ThreadPoolExecutor(many) as pool:
        complaints = [text for text in pool.map(client, range(many)) if text]
    assert not complaints, "\n".join(complaints[:10])


@pytest.mark.parametrize("who", ["tared", "supervisor"])
def test_too_few_descriptors_for_all(daemon: Daemon, who: str) -> None:
    """Of sixty starts at once some fail for want of descriptors, and say so; nothing is left of them. How many tared needs hangs
    on how fast it is: it may have enough."""
    daemon.tare("run", "--rm", "-p", "80", "busybox", "true")
    assert daemon.process is not None
    pid = daemon.process.pid if who == "tared" else int((daemon.exec_root / "supervisor.pid").read_text())
    many = 60
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    together = threading.Barrier(many, lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, (80, hard)) and None)

    def client(number: int) -> str:
        daemon.tare("create", "--name", f"crowded-{number}", "-p", "80", "busybox", "sleep", "1000")
        together.wait()
        return daemon.tare("start", f"crowded-{number}", check=False).stderr

    with nothing_leaks(daemon):
        with ThreadPoolExecutor(many) as pool:
            said = list(filter(None, pool.map(client, range(many))))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        daemon.tare("rm", "-f", *(f"crowded-{number}" for number in range(many)))
    assert said or who == "tared"
    assert not [text for text in said if "too many open files" not in text.lower()]
    assert daemon.tare("run", "--rm", "-p", "80", "busybox", "echo", "next").stdout == "next\n"


def test_copies_of_streams_leave_descriptors_to_the_clients(daemon: Daemon) -> None:
    """More containers run than tared could have copies for: it goes on serving, and says what that means."""
    assert daemon.process is not None
    _soft, hard = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (100, hard))
    for number in range(36):
        daemon.tare("run", "-d", "--name", f"crowded-{number}", *NONE, "busybox", "sleep", "1000")
    wait_for(lambda: "no more can have spare copies" in daemon.log(), "the daemon to say so")
    assert descriptors(daemon)["tared"] < 80
    with ThreadPoolExecutor(10) as pool:
        counts = list(pool.map(lambda _: len(daemon.tare("ps", "-q").stdout.split()), range(10)))
    assert counts == [36] * 10
    daemon.tare("rm", "-f", *(f"crowded-{number}" for number in range(36)))
    wait_for(lambda: descriptors(daemon)["tared"] < 30, "every copy to be closed")


def test_one_name_is_given_once(engine: Daemon) -> None:
    with nothing_leaks(engine):
        with ThreadPoolExecutor(10) as pool:
            codes = list(pool.map(lambda _: engine.tare("create", "--name", "only", *NONE, "busybox", "true", check=False).returncode, range(10)))  # noqa: E501
        assert sorted(codes).count(0) == 1
        engine.tare("rm", "only")


def test_one_start_for_ten_who_ask(engine: Daemon) -> None:
    with nothing_leaks(engine):
        engine.tare("create", "--name", "once", *NONE, "busybox", "sh", "-c", "echo started; sleep 1000")
        with ThreadPoolExecutor(10) as pool:
            assert set(pool.map(lambda _: engine.tare("start", "once", check=False).returncode, range(10))) == {0}
        assert engine.tare("logs", "once").stdout == "started\n"
        with ThreadPoolExecutor(10) as pool:
            codes = list(pool.map(lambda _: engine.tare("rm", "-f", "once", check=False).returncode, range(10)))
        assert 0 in codes


def test_a_kill_beside_a_start_or_a_pause(engine: Daemon) -> None:
    """``rm -f`` at any moment of a start, and together with a pause: it always comes to an end."""
    with nothing_leaks(engine):
        for turn in range(12):
            engine.tare("create", "--name", "doomed", *NONE, "busybox", "sleep", "1000")
            if turn % 2:
                engine.tare("start", "doomed")
            beside = ["pause", "doomed"] if turn % 2 else ["start", "doomed"]
            with ThreadPoolExecutor(2) as pool:
                other = pool.submit(engine.tare, *beside, check=False)
                removal = pool.submit(engine.tare, "rm", "-f", "doomed", check=False, timeout=30)
            other.result()
            if removal.result().returncode:
                assert "started again" in removal.result().stderr
                engine.tare("rm", "-f", "doomed")


def test_fifty_execs_at_once(engine: Daemon) -> None:
    with nothing_leaks(engine):
        engine.tare("run", "-d", "--name", "busy", *NONE, "busybox", "sleep", "1000")
        with ThreadPoolExecutor(25) as pool:
            said = list(pool.map(lambda n: engine.tare("exec", "busy", "sh", "-c", f"echo {n}; exit {n}", check=False), range(50)))  # noqa: E501
        assert [(done.stdout, done.returncode) for done in said] == [(f"{n}\n", n) for n in range(50)]
        engine.tare("rm", "-f", "busy")


def test_removal_ends_every_exec(engine: Daemon) -> None:
    with nothing_leaks(engine):
        engine.tare("run", "-d", "--name", "host", *NONE, "busybox", "sleep", "1000")
        execs = [
            subprocess.Popen([str(BIN / "tare"), "exec", "host", "sleep", "1000"], env=engine.environment(), stdin=subprocess.DEVNULL)  # noqa: E501
            for _ in range(10)
        ]
        wait_for(lambda: engine.tare("top", "host").stdout.count("sleep 1000") == 11, "ten execs")
        engine.tare("rm", "-f", "host")
        assert all(exec.wait(20) in (1, 137) for exec in execs)


@pytest.mark.parametrize("client", ["tare", "docker"])
def test_a_client_that_is_killed_in_the_middle(engine: Daemon, client: str) -> None:
    """At any moment: then the container runs on, or never was, or (with --rm) goes when it ends."""
    command = [str(BIN / "tare") if client == "tare" else "docker", "run", "--rm", "--label", "killed", *NONE, "busybox", "sleep", "1000"]  # noqa: E501
    dice = random.Random(7)
    with nothing_leaks(engine):
        for _ in range(20):
            process = subprocess.Popen(command, env=engine.environment(), stdin=subprocess.DEVNULL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(dice.uniform(0.005, 0.12))
            process.kill()
            process.wait()
        for id in engine.tare("ps", "-aq", "--filter", "label=killed").stdout.split():
            engine.tare("rm", "-f", id, check=False)


def test_who_ignores_the_stop_signal_is_killed(engine: Daemon) -> None:
    with nothing_leaks(engine):
        script = "trap '' TERM; echo ready; while :; do sleep 1000 & wait; done"
        engine.tare("run", "-d", "--name", "deaf", *NONE, "busybox", "sh", "-c", script)
        wait_for(lambda: engine.tare("logs", "deaf").stdout == "ready\n", "the trap")
        engine.tare("stop", "-t", "1", "deaf")
        assert engine.tare("inspect", "-f", "{{.State.ExitCode}}", "deaf").stdout == "137\n"
        engine.tare("rm", "deaf")


def test_orphans_are_reaped_and_end_with_the_container(engine: Daemon) -> None:
    with nothing_leaks(engine):
        script = "i=0; while [ $i -lt 50 ]; do (sleep 0.01 &); i=$((i+1)); done; (sleep 1000 &); (sleep 1000 &); echo ready; sleep 1000"  # noqa: E501
        engine.tare("run", "-d", "--init", "--name", "many", *NONE, "busybox", "sh", "-c", script) if _has_init() else engine.tare(  # noqa: E501
            "run", "-d", "--name", "many", *NONE, "busybox", "sh", "-c", script
        )
        wait_for(lambda: engine.tare("logs", "many").stdout == "ready\n", "the children")
        engine.tare("kill", "many")
        engine.tare("wait", "many", check=False)
        engine.tare("rm", "many")


def _has_init() -> bool:
    return any(Path(place).exists() for place in ("/usr/bin/docker-init", "/usr/libexec/docker/docker-init", "/usr/bin/tini-static"))  # noqa: E501


def test_a_start_that_fails_leaves_nothing(engine: Daemon) -> None:
    for network in ("none", "bridge"):
        for words in (["no-such-command"], ["-w", "/etc/passwd", "busybox", "true"], ["--sysctl", "net.words=1", "busybox", "true"]):  # noqa: E501
            with nothing_leaks(engine):
                arguments = ["--network", network, *(words if len(words) > 1 else ["busybox", *words])]
                done = engine.tare("run", "--rm", *arguments, check=False)
                assert done.returncode in (125, 126, 127)


@pytest.mark.parametrize("client", ["tare", "docker"])
def test_closed_stdin(engine: Daemon, client: str) -> None:
    """``<&-``: there is no descriptor 0 at all."""
    program = str(BIN / "tare") if client == "tare" else "docker"
    for interactive in ("", "-i"):
        done = subprocess.run(
            ["sh", "-c", f"exec {program} run --rm {interactive} --network none busybox cat <&-"],
            env=engine.environment(), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        if not interactive:
            assert (done.returncode, done.stdout) == (0, "")
        wait_for(lambda: engine.tare("ps", "-aq").stdout == "", f"the end of the container, {interactive}")


def test_closed_stdout_and_stderr(engine: Daemon) -> None:
    with nothing_leaks(engine):
        done = subprocess.run(
            ["sh", "-c", f"exec {BIN}/tare run --rm --network none busybox echo words >&- 2>&-"],
            env=engine.environment(), timeout=60, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode in (0, 1, 125)


def test_a_slow_reader_holds_up_the_writer_and_nobody_s_memory(engine: Daemon) -> None:
    """1 GiB of output to one who does not read: the container waits, engine and client stay small, others go on."""
    assert engine.process is not None
    supervisor = int((engine.exec_root / "supervisor.pid").read_text())
    pids = [engine.process.pid, supervisor]
    before = [resident(pid) for pid in pids]
    command = [str(BIN / "tare"), "run", "--rm", "--name", "flood", "--log-driver", "none", *NONE, "busybox"]
    client = subprocess.Popen(
        [*command, "sh", "-c", "head -c 1073741824 /dev/zero; echo end >&2"],
        env=engine.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert client.stdout is not None and client.stderr is not None
    try:
        assert client.stdout.read(65536) == bytes(65536)
        assert engine.tare("run", "--rm", *NONE, "busybox", "echo", "other").stdout == "other\n"
        assert engine.tare("exec", "flood", "echo", "in").stdout == "in\n"
        for pid, was in zip([*pids, client.pid], [*before, 16 << 20], strict=True):
            assert resident(pid) < was + (24 << 20)
        rest = 1073741824 - 65536
        while rest:
            piece = client.stdout.read(min(rest, 1 << 20))
            assert piece, f"{rest} bytes are missing"
            rest -= len(piece)
        assert client.stdout.read() == b""
        assert client.stderr.read() == b"end\n"
        assert client.wait(20) == 0
        for pid, was in zip(pids, before, strict=True):
            assert resident(pid) < was + (24 << 20)
    finally:
        client.kill()
        client.wait()
        client.stdout.close()
        client.stderr.close()
        engine.tare("rm", "-f", "flood", check=False)


def test_signals_to_the_client_while_it_starts(engine: Daemon) -> None:
    """ctrl-c at any moment of ``run``: the client ends, and no container stays behind."""
    dice = random.Random(3)
    with nothing_leaks(engine):
        for _ in range(15):
            process = subprocess.Popen(
                [str(BIN / "tare"), "run", "--rm", "--label", "interrupted", *NONE, "busybox", "sh", "-c", "trap 'exit 9' INT; while :; do sleep 0.1; done"],  # noqa: E501
                env=engine.environment(), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(dice.uniform(0.005, 0.15))
            process.send_signal(signal.SIGINT)
            try:
                process.wait(1)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)  # it came before the container's own trap
                process.wait(20)
        for id in engine.tare("ps", "-aq", "--filter", "label=interrupted").stdout.split():
            engine.tare("rm", "-f", id, check=False)


def test_images_come_and_go_beside_containers(engine: Daemon, busybox_tar: Path) -> None:
    """Import, tag, run and remove in parallel: an image in use stays, one that is not goes whole."""
    problems: list[str] = []

    def churn(number: int) -> None:
        for turn in range(3):
            name = f"churn-{number}:{turn}"
            for words in (
                ["import", "-c", f"LABEL n={number}-{turn}", str(busybox_tar), name],
                ["run", "--rm", *NONE, name, "true"],
                ["tag", name, f"other-{number}"],
                ["rmi", name],
                ["run", "--rm", *NONE, f"other-{number}", "true"],
                ["rmi", f"other-{number}"],
            ):
                done = engine.tare(*words, check=False)
                if done.returncode:
                    problems.append(f"{words}: {done.stderr}")

    with nothing_leaks(engine):
        threads = [threading.Thread(target=churn, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not problems, "\n".join(problems)
    assert os.path.exists(engine.data_root / "state.db")
