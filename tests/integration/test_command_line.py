"""What a person types who knows docker, and what the answers look like: exit codes, words, streams."""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tare.api.shapes.host import architecture

from .conftest import BIN, Daemon, docker_binary

COMPLETION = Path(__file__).parents[2] / "contrib/completions/tare.bash"
NONE = ("--network", "none")
MACHINE = architecture()


@pytest.fixture
def running(engine: Daemon) -> Iterator[str]:
    """A container that does nothing, gone after the test."""
    id = engine.tare("run", "-d", *NONE, "-e", "A=b", "-l", "x=y", "busybox", "sleep", "1000").stdout.strip()
    yield id
    engine.tare("rm", "-f", id)


def test_what_force_wants_gone_may_be_gone_already(engine: Daemon) -> None:
    for client in (engine.tare, engine.docker):
        for words in (("rm", "-f", "nosuch"), ("rmi", "-f", "nosuch", "busybox:nosuch")):
            done = client(*words)
            assert (done.returncode, done.stdout) == (0, "")
            assert "nosuch" in done.stderr
        assert client("rm", "nosuch", check=False).returncode == 1
        assert client("rmi", "nosuch", check=False).returncode == 1


def test_exec_says_why_nothing_ran(engine: Daemon, running: str) -> None:
    for words, code, text in (
        (("exec", running, "nosuchcommand"), 127, "executable file not found"),
        (("exec", running, "/etc"), 126, "permission denied"),
        (("exec", "-u", "nobody-here", running, "true"), 126, "unable to find user nobody-here"),
        (("exec", "-w", "/no/such/dir", running, "true"), 127, "no such file or directory"),
    ):
        for client in (engine.tare, engine.docker):
            done = client(*words, check=False)
            assert (done.returncode, text in done.stderr + done.stdout) == (code, True), (words, done)


def test_templates_that_do_not_fit(engine: Daemon, running: str) -> None:
    for client in (engine.tare, engine.docker):
        assert client("inspect", "-f", "{{.NoSuchMember}}", running, check=False).returncode == 1
        assert client("inspect", "-f", "{{.Name", running, check=False).returncode == 64
        assert client("ps", "-a", "--format", "{{.NoSuchMember}}", check=False).returncode == 1
        for verb in ("info", "version"):
            assert client(verb, "--format", "{{.Name", check=False).returncode == 64
            assert client(verb, "--format", "{{.NoSuchMember}}", check=False).returncode == 1
        for format in ("{{.NoSuchMember}}", "{{.ID"):
            assert client("events", "--until", "1s", "--format", format, check=False).returncode == 64


def test_inspect_is_as_in_docker(engine: Daemon, running: str) -> None:
    for client in (engine.tare, engine.docker):
        done = client("inspect", "-f", "{{.Name", "nosuch", check=False)
        assert (done.returncode, done.stdout, "nosuch" in done.stderr) == (64, "", False)
        found = json.loads(client("inspect", "-f", "json", running, "busybox").stdout)
        assert [entry["Id"] == running for entry in found] == [True, False]
        done = client("inspect", "--type", "container", "busybox", check=False)
        assert (done.returncode, "No such container: busybox" in done.stderr) == (1, True)
        done = client("inspect", "--type", "image", running, check=False)
        assert (done.returncode, "o such image: " in done.stderr) == (1, True)


def test_quiet_and_a_format(engine: Daemon, running: str) -> None:
    for client in (engine.tare, engine.docker):
        assert client("images", "-q", "--format", "{{.Repository}}", "busybox").stdout == "busybox\n"
        assert client("network", "ls", "-q", "--format", "{{.Driver}}", "-f", "name=none").stdout == "null\n"
        done = client("ps", "-q", "--no-trunc", "--format", "{{.Names}}")
        assert (done.stdout, "Ignoring custom format" in done.stderr) == (f"{running}\n", True)


def test_a_tag_that_is_empty_is_no_tag(engine: Daemon) -> None:
    for client in (engine.tare, engine.docker):
        done = client("tag", "busybox", "twice:", check=False)
        assert (done.returncode, "invalid reference format" in done.stderr) == (1, True)
    assert engine.tare("images", "-q", "twice").stdout == ""


def test_a_platform_is_what_is_meant_or_an_error(engine: Daemon, busybox_tar: Path, tmp_path: Path) -> None:
    engine.tare("import", "--platform", "linux/s390x", str(busybox_tar), "foreign")
    archive = tmp_path / "x.tar"
    try:
        for client in (engine.tare, engine.docker):
            flag = ("--platform", "linux/s390x")
            for words in (("history",), ("image", "inspect"), ("save", "-o", str(archive)), ("rmi",)):
                if client == engine.docker and "Version 20.10" in client("version").stdout:
                    break
                done = client(*words, *flag, "busybox", check=False)
                assert (done.returncode, "does not provide the specified platform" in done.stderr) == (1, True), done
                assert client(*words, "--platform", "linux/s390x", "foreign").stderr == ""
                engine.tare("import", "--platform", "linux/s390x", str(busybox_tar), "foreign")
            done = client("create", *flag, "busybox", "true", check=False)
            assert (done.returncode, "cannot run containers for linux/s390x" in done.stderr) == (1, True)
        assert engine.tare("create", "--platform", "linux", "foreign", "true").returncode == 0
        done = engine.tare("run", "--rm", *NONE, "--platform", f"linux/{MACHINE}", "foreign", "true", check=False)
        assert (done.returncode, "(linux/" in done.stderr) == (125, True)
    finally:
        engine.tare("rm", *engine.tare("ps", "-aq").stdout.split())
        engine.tare("rmi", "foreign")
        engine.tare("image", "prune", "-f")


def test_version_has_the_members_of_dockers(engine: Daemon) -> None:
    done = engine.tare(
        "version", "-f", "{{.Server.Version}} {{.Client.APIVersion}} {{.Server.APIVersion}} {{.Server.MinAPIVersion}}"
    )
    server = json.loads(engine.tare("version", "-f", "{{json .Server}}").stdout)
    assert done.stdout.split() == [server["Version"], "1.50", server["ApiVersion"], "1.24"]


def test_what_takes_room_through_templates(engine: Daemon, running: str) -> None:
    engine.tare("tag", "busybox", "another:name")
    try:
        for format in (
            "{{range .Images}}{{.Repository}} {{.UniqueSize}} {{.ID}} {{.Containers}};{{end}}",
            "{{range .Containers}}{{.ID}} {{.Command}} {{.Labels}} {{.State}};{{end}}{{len .Volumes}}{{json .BuildCache}}",
            "{{json (index .Containers 0).Labels}} {{(index .Images 0).Tag}}",
        ):
            ours, theirs = (client("system", "df", "-v", "--format", format).stdout for client in (engine.tare, engine.docker))
            assert ours.removesuffix("\n") == theirs.removesuffix("\n") != ""
    finally:
        engine.tare("rmi", "another:name")
    assert json.loads(engine.tare("system", "df", "-v", "--format", "json").stdout)["Containers"][0]["ID"] == running
    assert engine.tare("system", "df", "-v", "--format", "{{.Type}}", check=False).returncode == 1


def test_networks_have_dockers_drivers(engine: Daemon) -> None:
    for client in (engine.tare, engine.docker):
        rows = client("network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}").stdout.splitlines()
        assert rows == ["bridge bridge local", "host host local", "none null local"]
        assert (
            client("network", "ls", "-q", "-f", "driver=null").stdout == client("network", "ls", "-q", "-f", "name=none").stdout
        )
        assert client("network", "inspect", "none", "-f", "{{.Driver}}").stdout == "null\n"


def test_what_ps_filters_find_and_ports_of_who_has_no_address(engine: Daemon) -> None:
    port = ("-p", "8491:81", "--expose", "82")
    engine.tare("run", "-d", "--name", "f-up", *port, "busybox", "sleep", "1000")
    engine.tare("run", "-d", "--name", "f-none", *NONE, "--expose", "82", "busybox", "sleep", "1000")
    engine.tare("run", "--name", "f-over", *NONE, "busybox", "sh", "-c", "exit 3", check=False)
    try:
        for client in (engine.tare, engine.docker):

            def found(*words: str, client: Callable[..., subprocess.CompletedProcess[str]] = client) -> list[str]:
                return client("ps", "--format", "{{.Names}}", *words).stdout.split()

            assert found("-f", "publish=8491") == found("-f", "publish=8400-8500/tcp") == ["f-up"]
            assert found("-f", "publish=81") == found("-f", "exited=3") == found("-f", "since=f-none") == []
            assert found("-a", "-f", "exited=3") == found("-f", "status=exited") == ["f-over"]
            assert client("ps", "--format", "{{.Ports}}", "-f", "name=f-none").stdout == "\n"
            assert client("inspect", "-f", "{{json .NetworkSettings.Ports}}", "f-none").stdout == "{}\n"
    finally:
        engine.tare("rm", "-f", "f-up", "f-none", "f-over")


def test_ports_on_a_network_that_has_none(engine: Daemon) -> None:
    done = engine.tare("run", "--rm", *NONE, "-p", "80:80", "-P", "--expose", "90", "busybox", "echo", "fine")
    assert (done.stdout, done.stderr) == ("fine\n", "")
    done = engine.tare("run", "--rm", "--network", "host", "-p", "80:80", "busybox", "echo", "fine")
    assert (done.stdout, done.stderr) == ("fine\n", "WARNING: Published ports are discarded when using host network mode\n")


def test_events_tell_who_joins_a_network(engine: Daemon) -> None:
    id = engine.tare("create", *NONE, "busybox", "true").stdout.strip()
    engine.tare("start", "-a", id)
    engine.tare("rm", id)
    engine.tare("run", "-d", *NONE, "busybox", "nosuchcommand", check=False)
    # docker's client cuts the times that it is given to whole seconds
    until = str(int(time.time()) + 1)
    for client in (engine.tare, engine.docker):
        asked = ("events", "--since", "1m", "--until", until, "-f", "type=network", "-f", "network=none")
        told = client(*asked, "--format", "{{.Action}} {{.Actor.Attributes.type}} {{.Actor.Attributes.container}}").stdout
        lines = told.splitlines()
        assert [line for line in lines if id in line] == [f"connect null {id}", f"disconnect null {id}"]
        assert [line.split()[0] for line in lines[-2:]] == ["connect", "disconnect"]
    engine.tare("rm", engine.tare("ps", "-aql").stdout.strip())


def test_events_in_json_are_as_docker_prints_them(engine: Daemon) -> None:
    engine.tare("run", "--rm", *NONE, "-l", "zeta=<1>", "-l", "alpha=&", "busybox", "true")
    until = str(int(time.time()) + 1)
    for format in ("json", "{{json .}}", "{{json .Actor.Attributes}} {{.Actor.Attributes.none.more}}"):
        asked = ("events", "--since", "1m", "--until", until, "-f", "label=zeta", "--format", format)
        ours, theirs = (client(*asked).stdout for client in (engine.tare, engine.docker))
        assert ours == theirs != ""


def test_save_into_nowhere_names_what_was_typed(engine: Daemon, tmp_path: Path) -> None:
    target = tmp_path / "no" / "x.tar"
    done = engine.tare("save", "busybox", "-o", str(target), check=False)
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, f"tare: {target}: there is no directory {target.parent}")


def test_pruned_images_are_listed_as_docker_lists_them(engine: Daemon, busybox_tar: Path) -> None:
    engine.tare("import", "-m", "to be pruned", str(busybox_tar))
    done = engine.tare("image", "prune", "-f")
    assert done.stdout.startswith("Deleted Images:\ndeleted: sha256:")
    assert "\n\nTotal reclaimed space: " in done.stdout


def test_prune_asks_first_and_names_what_goes(engine: Daemon, busybox_tar: Path) -> None:
    over = engine.tare("create", "-l", "gone=yes", *NONE, "busybox", "true").stdout.strip()
    other = engine.tare("create", *NONE, "busybox", "true").stdout.strip()
    dangling = engine.tare("import", "-m", "pruned by system prune", str(busybox_tar)).stdout.strip()
    try:
        for client in (engine.tare, engine.docker):
            done = client("network", "prune", input="n\n", check=False)
            assert done.stdout == (
                "WARNING! This will remove all custom networks not used by at least one container.\n"
                "Are you sure you want to continue? [y/N] "
            )
            assert client("network", "prune", "-f").stdout == ""
            assert client("network", "prune", "-f", "--filter", "colour=red", check=False).returncode == 1
        asked = engine.tare("system", "prune", "--filter", "label=gone", input="no\n")
        assert asked.stdout.startswith("WARNING! This will remove:\n  - all stopped containers\n")
        assert "\n  Items to be pruned will be filtered with:\n  - label=gone\n\nAre you sure" in asked.stdout
        assert engine.tare("ps", "-aq", "--no-trunc").stdout.split() == [other, over]
        done = engine.tare("system", "prune", "--filter", "label=gone", input="y\n")
        assert done.stdout.partition("[y/N] ")[2].startswith(f"Deleted Containers:\n{over}\n\nTotal reclaimed space: ")
        done = engine.tare("system", "prune", "-f")
        assert done.stdout.startswith(f"Deleted Containers:\n{other}\n\nDeleted Images:\ndeleted: {dangling}\n\nTotal")
        assert engine.tare("images", "-q", "busybox").stdout
    finally:
        engine.tare("rm", "-f", over, other)


@pytest.mark.parametrize("client", ["tare", "docker"])
def test_the_id_of_what_did_not_start_is_printed(engine: Daemon, client: str) -> None:
    done = getattr(engine, client)("run", "-d", *NONE, "busybox", "nosuchcommand", check=False)
    assert (done.returncode, len(done.stdout)) == (127, 65)
    assert engine.tare("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", done.stdout.strip()).stdout == "created 127\n"
    engine.tare("rm", done.stdout.strip())


def shell(engine: Daemon, client: str, script: str) -> subprocess.CompletedProcess[str]:
    """A line of somebody's script, with ``$E`` for the engine's command."""
    program = str(BIN / "tare") if client == "tare" else docker_binary()
    return engine.run(["sh", "-c", f"E={shlex.quote(program)}; {script}"], check=False, input=None, timeout=60)


@pytest.mark.parametrize("client", ["tare", "docker"])
def test_scripts_that_parse_columns(engine: Daemon, client: str) -> None:
    for name in ("col-one", "col-two"):
        engine.tare("run", "--name", name, *NONE, "busybox", "sh", "-c", "exit 3", check=False)
    engine.tare("run", "-d", "--name", "col-up", *NONE, "busybox", "sleep", "1000")
    try:
        stopped = shell(engine, client, "$E ps -a | grep Exited | awk '{print $NF}' | grep ^col-").stdout
        assert stopped == "col-two\ncol-one\n"
        assert shell(engine, client, "$E ps | awk 'NR==2 {print $2, $3}'").stdout == 'busybox "sleep\n'
        assert shell(engine, client, "$E images | awk '$1==\"busybox\" {print $2, length($3)}'").stdout == "latest 12\n"
        assert (
            shell(engine, client, "$E inspect -f '{{.Name}}' $($E ps -aq -f name=col-)").stdout == "/col-up\n/col-two\n/col-one\n"
        )
        done = shell(engine, client, "$E rm $($E ps -a | grep Exited | grep col- | awk '{print $1 }')")
        assert (done.returncode, len(done.stdout.split())) == (0, 2)
    finally:
        done = shell(engine, client, "$E rm -f $($E ps -aq)")
    assert (done.returncode, engine.tare("ps", "-aq").stdout) == (0, "")


def test_what_is_shown_of_logs(engine: Daemon) -> None:
    engine.tare("run", "--name", "talked", *NONE, "busybox", "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.3; done")
    try:
        for client in (engine.tare, engine.docker):
            assert client("logs", "--tail", "2", "talked").stdout == "2\n3\n"
            assert client("logs", "-n", "0", "talked").stdout == ""
            assert client("logs", "-f", "--tail=all", "talked").stdout == "1\n2\n3\n"
            stamps = [line.split() for line in client("logs", "-t", "talked").stdout.splitlines()]
            assert [(len(stamp), text) for stamp, text in stamps] == [(30, "1"), (30, "2"), (30, "3")]
            assert client("logs", "--since", stamps[1][0], "talked").stdout == "2\n3\n"
            assert client("logs", "--until", stamps[0][0], "talked").stdout == "1\n"
            assert client("logs", "--since", "1h", "--until", "30m", "talked").stdout == ""
            assert client("logs", "--details", "talked").stdout == " 1\n 2\n 3\n"
            assert client("logs", "--details", "-t", "-n", "1", "talked").stdout.split(" ")[1:] == ["", "3\n"]
            assert client("logs", "--since", "soon", "talked", check=False).returncode == 1
    finally:
        engine.tare("rm", "talked")


def test_restart_keeps_its_port(engine: Daemon) -> None:
    engine.tare("run", "-d", "--name", "again", "-p", "8490:80", "busybox", "httpd", "-f", "-p", "80")
    try:
        for _ in range(5):
            assert engine.tare("restart", "-t", "0", "again").stdout == "again\n"
            assert engine.tare("port", "again", "80").stdout == "0.0.0.0:8490\n[::]:8490\n"
    finally:
        engine.tare("rm", "-f", "again")


@pytest.mark.parametrize(
    "words",
    [
        ("pull", "nginx"), ("push", "busybox"), ("search", "httpd"), ("login", "registry.test"), ("logout",),
        ("build", "-t", "name", "."), ("commit", "a", "b"), ("cp", "a:/etc", "."), ("diff", "a"), ("export", "a"), ("stats",),
        ("update", "a"), ("volume", "create", "v"), ("network", "create", "-d", "macvlan", "n"), ("compose", "up", "-d"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_commands_of_later_days_are_refused_by_name(engine: Daemon, words: tuple[str, ...]) -> None:
    done = engine.tare(*words, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"tare: `tare {words[0]}")
    assert "is not available yet" in done.stderr


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--restart=always",), "--restart always"),
        (("--link", "web01:centos"), "--link"),
        (("--volumes-from", "other"), "--volumes-from"),
        (("-v", "/data"), "-v /data"),
        (("-v", "clsn:/usr/share"), "-v clsn:/usr/share"),
        (("--gpus", "all"), "--gpus"),
    ],
)
def test_flags_of_later_days_are_refused_by_name(engine: Daemon, flags: tuple[str, ...], named: str) -> None:
    for client in (engine.tare, engine.docker):
        done = client("run", *flags, *NONE, "busybox", "true", check=False)
        assert (done.returncode, done.stdout) == (125, "")
        if client == engine.docker and "links are only supported" in done.stderr:
            continue  # What an older docker says by itself.
        assert named in done.stderr and "not supported yet" in done.stderr
    assert engine.tare("ps", "-aq").stdout == ""


def test_a_typo_is_guessed_and_nonsense_is_not(engine: Daemon) -> None:
    assert "did you mean `tare attach`?" in engine.tare("attack", "x", check=False).stderr
    assert "did you mean" not in engine.tare("swarm", "init", check=False).stderr


def test_completion_knows_what_is_there(engine: Daemon, running: str) -> None:
    name = engine.tare("inspect", "-f", "{{.Name}}", running).stdout.strip().removeprefix("/")
    for words, offered in (
        (("stop", name[:3]), name),
        (("run", "busy"), "busybox:latest"),
        (("run", "--network", ""), "bridge host none"),
    ):
        line = " ".join(shlex.quote(word) for word in ("tare", *words))
        word = f"COMP_WORDS=({line}); COMP_CWORD={len(words)}"
        script = f'PATH={BIN}:$PATH; source {COMPLETION}; {word}; _tare; echo "${{COMPREPLY[@]}}"'
        done = engine.run(["bash", "-c", script], check=True, input=None, timeout=60)
        assert done.stdout.split() == offered.split(), done
