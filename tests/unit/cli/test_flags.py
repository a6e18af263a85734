"""Flags are read as Docker's users know them."""

from __future__ import annotations

import pytest

from tare.cli.flags import Flag, HelpWanted, Misused, parse
from tare.cli.wish.flags import RUN

SOME = (
    Flag("all", "a"),
    Flag("name", "n", "string"),
    Flag("publish", "p", "list"),
    Flag("net", "", "network", key="network"),
    Flag("network", "", "network"),
    Flag("memory", "m", "bytes"),
    Flag("gpus", "", "string", refused=True),
    Flag("tls", "", "bool", refused=True),
    Flag("platform", "", "strings"),
)


@pytest.mark.parametrize(
    ("words", "given", "rest"),
    [
        (["-a"], {"all": True}, []),
        (["--all=false"], {"all": False}, []),
        (["--all=T", "x"], {"all": True}, ["x"]),
        (["-a=0"], {"all": False}, []),
        (["--all", "false"], {"all": True}, ["false"]),
        (["--name", "x"], {"name": "x"}, []),
        (["--name=x=y"], {"name": "x=y"}, []),
        (["--name="], {"name": ""}, []),
        (["--name", "-a"], {"name": "-a"}, []),
        (["-nx"], {"name": "x"}, []),
        (["-n=x"], {"name": "x"}, []),
        (["-n", "x"], {"name": "x"}, []),
        (["-anx"], {"all": True, "name": "x"}, []),
        (["-an", "x"], {"all": True, "name": "x"}, []),
        (["-p80:80", "-p", "81", "--publish=82"], {"publish": ["80:80", "81", "82"]}, []),
        (["--net", "a", "--network", "b"], {"network": ["a", "b"]}, []),
        (["a", "-a", "b"], {"all": True}, ["a", "b"]),
        (["a", "--", "-a", "--b"], {}, ["a", "-a", "--b"]),
        (["-"], {}, ["-"]),
        (["-m", "1g"], {"memory": 1 << 30}, []),
        (["--name", "a", "--name", "b"], {"name": "b"}, []),
        (["--tls=false"], {"tls": False}, []),
        (["--platform", "a,b", "--platform=c"], {"platform": ["a", "b", "c"]}, []),
    ],
)
def test_words(words: list[str], given: dict[str, object], rest: list[str]) -> None:
    options = parse(SOME, words)
    assert options.given == given
    assert options.words == rest


def test_the_tail_of_run_is_the_containers() -> None:
    options = parse(RUN, ["-itd", "--net=none", "-e", "A=1", "busybox", "ls", "-l", "--rm"], interspersed=False)
    assert options.words == ["busybox", "ls", "-l", "--rm"]
    assert options.given == {"interactive": True, "tty": True, "detach": True, "network": ["none"], "env": ["A=1"]}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--foo"], "unknown flag: --foo"),
        (["--foo=1"], "unknown flag: --foo"),
        (["-z"], "unknown shorthand flag: 'z' in -z"),
        (["-az"], "unknown shorthand flag: 'z' in -az"),
        (["--name"], "flag needs an argument: --name"),
        (["-an"], "flag needs an argument: 'n' in -an"),
        (["---name"], "bad flag syntax: ---name"),
        (["--=x"], "bad flag syntax: --=x"),
        (["--all=maybe"], 'invalid argument "maybe" for "-a, --all" flag: strconv.ParseBool: parsing "maybe": invalid syntax'),
        (["-m", "foo"], "invalid argument \"foo\" for \"-m, --memory\" flag: invalid size: 'foo'"),
        (["--gpus", "all"], "--gpus is not supported yet"),
        (["--tls"], "--tls is not supported yet"),
    ],
)
def test_what_cannot_be_read(words: list[str], message: str) -> None:
    with pytest.raises(Misused) as caught:
        parse(SOME, words)
    assert caught.value.message == message
    assert caught.value.exit_code == 125


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["x", "--help"], ["-ah"]])
def test_help(words: list[str]) -> None:
    with pytest.raises(HelpWanted):
        parse(SOME, words)


def test_h_is_the_host_name_where_it_is_a_flag() -> None:
    assert parse(RUN, ["-h", "web"]).given == {"hostname": "web"}
