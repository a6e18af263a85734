"""Templates: the same text from tare's engine as from Go's, in docker's client, of the same daemon's objects."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest

from tare.errors import Invalid
from tare.present.template import render

from .conftest import Daemon

FIELDS = (
    ".Name", ".Id", ".ID", ".State.Status", ".State.ExitCode", ".State.Running", ".State.Health", ".Config.Env", ".Config.Labels",
    ".Config.Labels.zeta", ".Config.Labels.none", ".Config.Labels.none.more", ".Config.Cmd", ".Config.ExposedPorts",
    ".Config.StopTimeout", ".HostConfig.PortBindings", ".HostConfig.Memory", ".HostConfig.RestartPolicy", ".HostConfig.LogConfig",
    ".HostConfig.Binds", ".HostConfig.ConsoleSize", ".HostConfig.Dns", ".NetworkSettings.Ports",
    ".NetworkSettings.IPAddress", ".NetworkSettings.Networks.bridge.IPAddress", ".NetworkSettings.Networks.other.IPAddress",
    ".Mounts", ".Args", ".Path", ".Created", ".GraphDriver.Name", ".Platform", ".ExecIDs", ".SizeRw",
)  # fmt: skip
TEXTS = (
    '"a"',
    '"%v"',
    "`raw`",
    '"\\t\\u00e9"',
    '"a,b,c"',
    '""',
    '"%s=%q"',
    '"%5v|"',
    '"%-8s|"',
    '"%d"',
    '"%x"',
    "3",
    "1e3",
    "true",
)
ONE = ("len", "not", "html", "js", "urlquery", "print", "println", "json", "upper", "lower", "title")
TWO = ("and", "or", "eq", "ne", "lt", "ge", "index", "slice", "printf", "split", "join", "truncate", "print")


def generated(chance: random.Random) -> str:
    """A template with a pipe in it, a condition, a loop or a variable."""

    def atom() -> str:
        return chance.choice(FIELDS if chance.random() < 0.7 else TEXTS)

    def pipe() -> str:
        call = chance.choice((atom(), f"{chance.choice(ONE)} {atom()}", f"{chance.choice(TWO)} {atom()} {atom()}"))
        return call + chance.choice(("", "", f" | {chance.choice(ONE)}", ' | printf "%v"', f" | {chance.choice(TWO)} {atom()}"))

    return chance.choice(
        (
            f"{{{{{pipe()}}}}}",
            f"{{{{if {pipe()}}}}}yes{{{{else if {pipe()}}}}}perhaps{{{{else}}}}no{{{{end}}}}",
            f"{{{{range $i, $v := {atom()}}}}}{{{{$i}}}}={{{{json $v}}}};{{{{else}}}}none{{{{end}}}}",
            f"{{{{range {atom()}}}}}{{{{.}}}},{{{{end}}}}",
            f"{{{{with $v := {pipe()}}}}} {{{{- . -}}}} {{{{json $v}}}}{{{{else}}}}none{{{{end}}}}",
            f"{{{{$v := {pipe()}}}}}{{{{$v}}}}{{{{$v = {atom()}}}}}{{{{$v}}}}",
            f'{{{{define "t"}}}}{{{{{pipe()}}}}}{{{{end}}}}{{{{template "t" .}}}}',
        )
    )


@pytest.fixture(scope="module")
def container(engine: Daemon) -> Iterator[str]:
    flags = (
        "-l",
        "zeta=1",
        "-l",
        "alpha=x<y>&z",
        "-e",
        "A=b c",
        "-p",
        "127.0.0.1:8492:80",
        "--expose",
        "90/udp",
        "-v",
        "/usr:/u:ro",
    )
    yield engine.tare("run", "-d", "--name", "shown", *flags, "busybox", "sleep", "1000").stdout.strip()
    engine.tare("rm", "-f", "shown")


@pytest.mark.parametrize("seed", range(2))
def test_generated_templates(engine: Daemon, container: str, seed: int) -> None:
    if "28." not in engine.docker("--version").stdout:
        pytest.skip("structures and wordings are those of the client 28")
    (found,) = json.loads(engine.tare("inspect", container).stdout)
    chance = random.Random(seed)
    good = 0
    for _ in range(40):
        template = generated(chance)
        theirs = engine.docker("inspect", "-f", template, container, check=False)
        try:
            ours = render(template, found, "container") + "\n"
        except Invalid:
            assert theirs.returncode, template
        else:
            assert (0, ours) == (theirs.returncode, theirs.stdout), template
            good += 1
    assert good > 12


@pytest.mark.parametrize(
    "template",
    [
        "{{.NetworkSettings.Networks.other.IPAddress}}",
        '{{index .NetworkSettings.Ports "80/tcp" 0}} {{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}',
        '{{index .NetworkSettings.Networks "other"}} {{(index .NetworkSettings.Networks "bridge").Gateway}}',
        "{{range .SizeRw}}{{end}}",
        "{{range .Name}}{{end}}",
        "{{$v := lower $v}}",
        "{{index .Config.Labels .Config.Env 1}}",
        "{{html .HostConfig.RestartPolicy .Config.Labels}}",
        "{{(index .Config.Labels nil).x}}",
        '{{define "t"}}{{.Nope}}{{end}}{{template "t" .}}',
        '{{define "t"}}{{.Nope}}{{end}}{{template "t"}}',
        "{{json .Config.Labels}}{{json .NetworkSettings.Ports}}",
        "{{.HostConfig.PortBindings}} {{.HostConfig.NoSuchThingAtAll}}",
    ],
)
def test_chosen_templates(engine: Daemon, container: str, template: str) -> None:
    if "28." not in engine.docker("--version").stdout:
        pytest.skip("structures and wordings are those of the client 28")
    ours, theirs = (client("inspect", "-f", template, container, check=False) for client in (engine.tare, engine.docker))
    assert (ours.returncode, ours.stdout.strip()) == (theirs.returncode, theirs.stdout.strip())
    assert ours.stderr.removeprefix("tare: ") == theirs.stderr
