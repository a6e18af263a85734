"""Files, flags and environment become settings; everything wrong is named with its place."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from tare.config import load as loading
from tare.config import show
from tare.config.flags import flags_for_tared, parse
from tare.config.keys import ALIASES, KEYS
from tare.config.load import load
from tare.config.reload import reloaded
from tare.config.settings import Settings
from tare.errors import Invalid, NotFound, TareError
from tare.model.container import Ulimit

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str) -> Path:
        path = tmp_path / "daemon.toml"
        path.write_text(text)
        return path

    return written


@pytest.fixture
def no_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(loading, "DEFAULT_FILE", tmp_path / "absent.toml")


def refusal(path: Path, flags: dict[str, Any] | None = None) -> list[str]:
    """The lines of the error, without the file's name."""
    with pytest.raises(TareError) as caught:
        load(path, flags)
    return [line.removeprefix(f"{path}:").removeprefix(" ") for line in caught.value.message.splitlines()]


def test_defaults(no_default: None) -> None:
    settings = load()
    assert (settings.data_root, settings.exec_root) == (Path("/var/lib/tare"), Path("/run/tare"))
    assert settings.api.hosts == ("unix:///run/tare/tare.sock",)
    assert (settings.api.group, settings.runtime.default, settings.storage.driver) == ("tare", "ns", "")
    assert settings.containers.log.driver == "json-file"
    assert set(settings.origins.values()) == {"default"}


def test_every_supported_key_is_an_attribute_of_the_same_path(no_default: None) -> None:
    settings = load()
    for path, key in KEYS.items():
        value: Any = settings
        if not key.supported:
            assert path not in settings.values
            continue
        for part in path.split("."):
            value = getattr(value, part.replace("-", "_"))
        assert value == key.default == settings.value(path)


def test_settings_have_no_attribute_without_a_key() -> None:
    def leaves(cls: type, prefix: str = "") -> set[str]:
        hints, found = get_type_hints(cls), set()
        for item in dataclasses.fields(cls):
            path = prefix + item.name.replace("_", "-")
            found |= leaves(hints[item.name], path + ".") if dataclasses.is_dataclass(hints[item.name]) else {path}
        return found

    own = {"values", "origins", "tables", "warnings", "options", "aliases"}
    assert leaves(Settings) - own == {path for path, key in KEYS.items() if key.supported}


def test_file_environment_and_flags_in_that_order(write: Write) -> None:
    path = write('[storage]\ndriver = "vfs"\n\n[api]\nmin-version = "1.30"\n')
    environ = {"TARE_STORAGE_DRIVER": "overlay2"}
    settings = load(path, {"log.level": "warn"}, environ)
    assert settings.storage.driver == "overlay2"
    assert settings.api.min_version == "1.30"
    assert settings.origins["storage.driver"] == "environment TARE_STORAGE_DRIVER"
    assert settings.origins["api.min-version"] == f"{path}:5"
    assert settings.origins["log.level"] == "flag --log-level"
    assert load(write(""), {"storage.driver": "vfs"}, environ).storage.driver == "vfs"


def test_names_of_daemon_json_are_aliases_at_top_level(write: Write) -> None:
    settings = load(
        write('bridge = "br0"\ndns = ["1.1.1.1"]\nlog-driver = "none"\ngraph = "/srv"\nhost-gateway-ip = "10.0.0.1"\n')
    )
    assert settings.network.bridge.name == "br0"
    assert settings.dns.servers == ("1.1.1.1",)
    assert settings.containers.log.driver == "none"
    assert settings.data_root == Path("/srv")
    assert settings.network.host_gateway_ips == ("10.0.0.1",)
    assert any("graph is an old name for data-root" in warning for warning in settings.warnings)


def test_every_alias_leads_to_a_key() -> None:
    assert set(ALIASES.values()) <= set(KEYS)


def test_values_are_typed(write: Write) -> None:
    settings = load(
        write(
            """
            labels = ["a=b", "c=d"]
            [containers]
            shm-size = "128m"
            ulimits.nofile = { Soft = 1024, Hard = 2048 }
            ulimits.core = 0
            log.opts = { max-size = "10m", max-file = 3 }
            [network]
            address-pools = [{ base = "10.9.0.0/16", size = 24 }]
            [runtime.runtimes.strict]
            runtimeType = "ns"
            """
        )
    )
    assert settings.labels == ("a=b", "c=d")
    assert settings.containers.shm_size == 128 << 20
    assert settings.containers.ulimits == (Ulimit("nofile", 1024, 2048), Ulimit("core", 0, 0))
    assert settings.containers.log.opts == {"max-size": "10m", "max-file": "3"}
    assert (settings.network.address_pools[0].base, settings.network.address_pools[0].size) == ("10.9.0.0/16", 24)
    assert settings.runtime.runtimes["strict"].runtime_type == "ns"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\ndata_root = '/x'", "2: data_root: unknown key; did you mean data-root"),
        ("fixed-cdr = 'x'", "1: fixed-cdr: unknown key; did you mean network.bridge.fixed-cidr"),
        ("[network]\nfixed-cidr = '10.0.0.0/24'", "2: network.fixed-cidr: unknown key; did you mean network.bridge.fixed-cidr"),
        ("[aip]\nhosts = []", "1: aip: unknown key; did you mean api"),
        ("api = 3", "1: api: must be a table, not an integer"),
        ("data-root = 'relative'", "1: data-root: must be an absolute path, not 'relative'"),
        ("shutdown-timeout = '15'", "1: shutdown-timeout: must be an integer, not a string"),
        ("shutdown-timeout = true", "1: shutdown-timeout: must be an integer, not a boolean"),
        ("log.debug = 1", "1: log.debug: must be a boolean, not an integer"),
        ("hosts = [\n'unix:///a',\n'ftp://b']", "3: hosts[1]: unknown scheme ftp:// in 'ftp://b' (use unix://, tcp:// or fd://)"),
        ("hosts = ['unix://a']", "1: hosts[0]: must name an absolute path: unix:///…, not 'unix://a'"),
        ("hosts = []", "1: hosts: must name at least one host"),
        ("labels = ['a']", "1: labels[0]: must be KEY=VALUE, not 'a'"),
        ("labels = ['a=1', 'a=2']", "1: labels[1]: label a is given with different values"),
        ("bip = '10.0.0.0/33'", "1: bip: must be an IPv4 address with prefix such as 10.1.0.1/24, not '10.0.0.0/33'"),
        ("mtu = 10", "1: mtu: must be 68 to 65535, not 10"),
        ("containers.shm-size = 'big'", '1: containers.shm-size: must be a size such as 64m or 10g, not "big"'),
        ("containers.log.driver = 'syslog'",
         '1: containers.log.driver: "syslog" is not supported (there is local, json-file, none)'),
        ("containers.ulimits.nofiles = 3", "1: containers.ulimits.nofiles: unknown resource limit"),
        ("containers.ulimits.nofile = { soft = 3, hard = 2 }",
         "1: containers.ulimits.nofile: soft limit 3 is above the hard limit 2"),
        ("[runtime.runtimes.x]\npath = '/x'\nruntimeType = 'ns'", "1: runtime.runtimes.x: needs either path or runtimeType"),
        ("[runtime.runtimes.x]\npth = '/x'", "2: runtime.runtimes.x.pth: unknown key"),
        ("network.address-pools = [\n{base = '10.0.0.0/16', size = 8}]",
         "2: network.address-pools[0].size: must be between 16 and 32, not 8"),
        ("userns-remap = 'default'", "1: userns-remap: not supported yet"),
        ("[api]\ntls.verify = true", "2: api.tls.verify: TLS is not supported yet"),
        ("registry-mirrors = []", "1: registry-mirrors: images cannot be pulled from a registry yet"),
        ("swarm-raft-heartbeat-tick = 1", "1: swarm-raft-heartbeat-tick: tare has no swarm"),
        ("live-restore = false", "1: live-restore: false is not supported (there is true)"),
        ("exec-opts = ['native.cgroupdriver=systemd']",
         '1: exec-opts: "native.cgroupdriver=systemd" is not supported (there is native.cgroupdriver=cgroupfs)'),
        ("log-level = 'info'\n[log]\nlevel = 'warn'", "3: log.level: the same as log-level in line 1: give one of them"),
        ("exec-root = '/var/lib/tare'", "1: exec-root: is the same directory as data-root: /var/lib/tare"),
        ("[network.bridge]\nname = 'br0'\nip = '10.0.0.1/24'",
         "3: network.bridge.ip: cannot be given for a bridge of yours: network.bridge.name is br0"),
        ("storage.opts = ['size=3']", "1: storage.opts: must be DRIVER.KEY=VALUE, not 'size=3'"),
        ("storage.opts = ['vfs.size=3']\n[storage.vfs]\nsize = '1'", "1: storage.opts: vfs.size is given twice"),
        ("seccomp-profile = '/nowhere.json'",
         "1: seccomp-profile: cannot read the seccomp profile /nowhere.json: No such file or directory"),
        ("a = ", "1: invalid value"),
        ("a = 1\na = 2", "2: cannot overwrite a value"),
        ('\n{ "debug": true }', "2: invalid statement"),
    ],
)  # fmt: skip
def test_refused_with_line_and_key(write: Write, text: str, expected: str) -> None:
    lines = refusal(write(text))
    assert len(lines) == 1
    assert lines[0].startswith(expected), lines[0]


def test_json_is_recognised(write: Write) -> None:
    with pytest.raises(Invalid) as caught:
        load(write('{ "debug": true }'))
    assert "tare config import" in caught.value.hint


def test_every_problem_is_named_at_once_in_the_order_of_lines(write: Write) -> None:
    lines = refusal(write("nonsense = 1\nmtu = 3\n[api]\nhosts = 7\n"))
    assert [line.split(":")[0] for line in lines] == ["1", "2", "4"]


def test_plain_tcp_must_be_allowed(write: Write) -> None:
    text = "[api]\nhosts = ['tcp://127.0.0.1:2375']\n"
    assert "api.allow-plain-tcp" in refusal(write(text))[0]
    assert load(write(text + "allow-plain-tcp = true\n")).api.hosts == ("tcp://127.0.0.1:2375",)


def test_same_key_in_flag_and_file(write: Write) -> None:
    (line,) = refusal(write("debug = true\n"), {"log.debug": False})
    assert "the following directives are specified both as a flag and in the configuration file: " in line
    assert "log.debug: (from flag: false, from file: true)" in line


def test_runtimes_may_come_from_both(write: Write) -> None:
    line, _ = parse(["--add-runtime", "a=/a"])
    settings = load(write("[runtime.runtimes.b]\npath = '/b'\n"), line.values)
    assert {name: entry.path for name, entry in settings.runtime.runtimes.items()} == {"a": "/a", "b": "/b"}
    assert line.values == {"runtime.runtimes": {"a": {"path": "/a"}}}


def test_ignored_keys_warn(write: Write) -> None:
    path = write("experimental = true\n")
    assert load(path).warnings == (f"{path}:1: experimental changes nothing: nothing in tare is experimental",)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xff\xfea\0", "is UTF-16, TOML is UTF-8"),
        (b"a = 1\nb = '\xe9'\n", ":2: is not UTF-8: byte 0xe9"),
        (b"a = [" + b"[" * 5000, "nested too deeply"),
    ],
)
def test_bytes_that_are_no_toml(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "daemon.toml"
    path.write_bytes(content)
    with pytest.raises(Invalid, match=expected):
        load(path)


def test_a_mark_at_the_beginning_and_an_empty_file_are_fine(tmp_path: Path, write: Write) -> None:
    path = tmp_path / "marked.toml"
    path.write_bytes(b"\xef\xbb\xbflog.level = 'warn'\n")
    assert load(path).log.level == "warn"
    assert load(write("")).log.level == "info"


def test_what_is_no_readable_file(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no configuration file"):
        load(tmp_path / "absent.toml")
    with pytest.raises(Invalid, match="is a directory"):
        load(tmp_path)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    """Root reads everything, so the attempt is made by somebody else."""
    path = tmp_path / "daemon.toml"
    path.write_text("")
    path.chmod(0)
    if os.geteuid() != 0:
        with pytest.raises(Invalid, match="cannot be read: Permission denied"):
            load(path)
        return
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        try:
            load(path)
        except Invalid as error:
            os._exit(0 if str(error) == f"{path}: cannot be read: Permission denied" else 2)
        os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_what_is_shown_can_be_read_again(write: Write) -> None:
    first = load(
        write(
            "storage.opts = ['overlay2.size=10g']\n[network.bridge]\nspecial = 1\n"
            "[containers.ulimits]\nnofile = 7\n[runtime.runtimes.'a b']\npath = '/x'\nruntimeArgs = ['--q']\n"
        ),
        {"labels": ["a=b"]},
        {"TARE_STORAGE_DRIVER": "vfs"},
    )
    rows = show.rows(first)
    text = show.text(rows)
    assert '"vfs"  # environment TARE_STORAGE_DRIVER' in text
    assert 'labels = ["a=b"]  # flag --label' in text
    assert "special = 1  # " in text
    assert load(write(text)) == first


def test_reload_takes_what_can_be_taken(write: Write) -> None:
    old = load(write("labels = ['a=b']\n"))
    new = load(write("labels = ['a=c']\ndata-root = '/elsewhere'\nlog.debug = true\n[storage.vfs]\nx = 1\n"))
    now, changed, waiting = reloaded(old, new)
    assert (now.labels, now.log.debug, now.data_root) == (("a=c",), True, Path("/var/lib/tare"))
    assert set(changed) == {"labels", "log.debug"}
    assert set(waiting) == {"data-root", "storage.vfs"}


def test_flags_as_dockerd_spells_them() -> None:
    words = "-Dl debug -H unix:///a -Hfd:// --iptables=false --default-ulimit nofile=3:4 -g /x --dns 1.1.1.1 --mtu=1400 -p /p"
    line, rest = parse([*words.split(), "--default-address-pool", "base=10.0.0.0/8,size=24", "--log-opt", "max-size=1m"])
    assert rest == {}
    assert line.values == {
        "log.debug": True,
        "log.level": "debug",
        "api.hosts": ["unix:///a", "fd://"],
        "network.firewall.ipv4": False,
        "containers.ulimits": {"nofile": {"Soft": 3, "Hard": 4}},
        "data-root": "/x",
        "dns.servers": ["1.1.1.1"],
        "network.bridge.mtu": 1400,
        "pidfile": "/p",
        "network.address-pools": [{"base": "10.0.0.0/8", "size": 24}],
        "containers.log.opts": {"max-size": "1m"},
    }


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--tls"], "--tls: TLS is not supported yet"),
        (["--dnss", "x"], "unknown flag: --dnss; did you mean --dns"),
        (["-Z"], "unknown shorthand flag: -Z"),
        (["word"], "tared takes no arguments: word"),
        (["--mtu"], "flag needs an argument: --mtu"),
        (["--mtu", "x"], "invalid value 'x' for --mtu: must be an integer"),
        (["--icc=maybe"], "invalid value 'maybe' for --icc: must be true or false"),
        (["--default-ulimit", "nofile"], "invalid value 'nofile' for --default-ulimit: must be NAME=VALUE"),
        (["--"], "tared takes no arguments: --"),
    ],
)
def test_flags_refused(words: list[str], expected: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(words)
    assert caught.value.message.startswith(expected)


def test_no_flag_means_two_things() -> None:
    names = [name for flag in flags_for_tared() for name in flag.names]
    assert len(names) == len(set(names))


def test_a_value_from_a_flag_is_checked_like_one_from_a_file(no_default: None) -> None:
    line, _ = parse(["--bip", "nonsense"])
    with pytest.raises(Invalid, match=r"^flag --bip: network\.bridge\.ip: must be an IPv4 address with prefix"):
        load(None, line.values)


def test_flags_know_every_flag_of_the_real_dockerd() -> None:
    """Each long flag of the dockerd on this host is a key of ours, supported or refused by name."""
    try:
        text = subprocess.run(["dockerd", "--help"], capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        pytest.skip("docker.io is not installed")
    theirs = {word.rstrip(",") for line in text.splitlines() for word in line.split()[:2] if word.startswith("--")}
    ours = {name for key in KEYS.values() for name in key.flags} | {name for flag in flags_for_tared() for name in flag.names}
    assert theirs - ours == set()
    assert len(theirs) > 50
