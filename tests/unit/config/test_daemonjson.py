"""daemon.json files as people have them, as tare's TOML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tare.config.daemonjson import import_json
from tare.config.load import load
from tare.errors import Invalid, NotFound, TareError

FROM_A_BLOG = """{
  "registry-mirrors": ["https://registry.docker-cn.com"],
  "graph": "/opt/mydocker", # 修改数据的存放目录到/opt/mydocker/(原/var/lib/docker/
  "insecure-registries": ["10.0.0.100:5000"],
  "live-restore": true
}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "daemon.json"


def taken_over(file: Path, content: str | bytes) -> tuple[Any, str, list[str]]:
    """(the settings that the TOML gives, the TOML, the warnings without the file's name)"""
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    imported = import_json(file)
    written = file.with_suffix(".toml")
    written.write_text(imported.text)
    return load(written), imported.text, [warning.removeprefix(f"{file}: ") for warning in imported.warnings]


def test_a_file_from_a_blog(file: Path) -> None:
    settings, text, warnings = taken_over(file, FROM_A_BLOG)
    assert settings.data_root == Path("/opt/mydocker")
    assert '# registry-mirrors = ["https://registry.docker-cn.com"]' in text
    assert warnings == [
        "line 3: a comment is no JSON",
        "registry-mirrors is left out: images cannot be pulled from a registry yet",
        "graph is an old name for data-root",
        "insecure-registries is left out: images cannot be pulled from a registry yet",
    ]


def test_the_runtime_of_docker_is_that_of_tare(file: Path) -> None:
    settings, text, warnings = taken_over(file, '{"default-runtime": "runc"}')
    assert settings.runtime.default == "ns" and '# default-runtime = "runc"' in text
    assert warnings == ["default-runtime is left out: tare's own runtime, ns, is the default"]


def test_a_comma_too_many(file: Path) -> None:
    settings, _, warnings = taken_over(file, '{\n"dns": ["1.1.1.1",],\n"log-level": "warn", // loud\n}')
    assert settings.dns.servers == ("1.1.1.1",)
    assert settings.log.level == "warn"
    assert warnings == [
        "line 2: a comma before ] is no JSON",
        "line 3: a comment is no JSON",
        "line 4: a comma before } is no JSON",
    ]


def test_nested_tables(file: Path) -> None:
    document = {
        "default-ulimits": {"nofile": {"Name": "nofile", "Hard": 64000, "Soft": 64000}},
        "log-opts": {"max-size": "10m", "max-file": "3"},
        "default-address-pools": [{"base": "10.9.0.0/16", "size": 24}],
        "runtimes": {"with space": {"path": "/x", "runtimeArgs": ["--debug"]}},
        "hosts": ["unix:///x.sock", "fd://"],
        "bip": "10.1.0.1/24",
    }
    settings, _, warnings = taken_over(file, json.dumps(document))
    assert settings.containers.ulimits[0].hard == 64000
    assert settings.containers.log.opts == {"max-size": "10m", "max-file": "3"}
    assert settings.network.address_pools[0].size == 24
    assert settings.runtime.runtimes["with space"].runtime_args == ("--debug",)
    assert settings.api.hosts == ("unix:///x.sock", "fd://")
    assert settings.network.bridge.ip == "10.1.0.1/24"
    assert warnings == []


def test_what_tare_cannot_do_becomes_a_comment(file: Path) -> None:
    document = {
        "exec-opts": ["native.cgroupdriver=systemd"],
        "log-driver": "syslog",
        "live-restore": False,
        "proxies": {"http-proxy": "http://p"},
        "features": {"buildkit": True},
    }
    settings, text, warnings = taken_over(file, json.dumps(document))
    assert settings.containers.log.driver == "json-file"
    assert len(warnings) == 5
    assert '# exec-opts = ["native.cgroupdriver=systemd"]' in text
    assert "# features = { buildkit = true }" in text
    assert '# http-proxy = "http://p"' in text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings(file: Path, encoding: str) -> None:
    settings, _, _ = taken_over(file, '{"labels": ["ort=Köln"]}'.encode(encoding))
    assert settings.labels == ("ort=Köln",)


@pytest.mark.parametrize("content", ["", "{}", "  \n", "# nothing\n"])
def test_nothing_in_it(file: Path, content: str) -> None:
    assert taken_over(file, content)[0].log.level == "info"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"debugg": true}', ": debugg: unknown key; did you mean debug"),
        ('{"debug": "yes"}', ": debug: must be a boolean, not a string"),
        ('{"debug": true, "debug": false}', ": debug is given twice"),
        ('{"graph": "/a", "data-root": "/b"}', ": data-root: the same as another key of this file (data-root)"),
        ("[]", ": must be an object, not an array"),
        ('{\n"debug": tru\n}', ":2: expecting value"),
        ('{\n"a": "b\n}', ":2: invalid control character at"),
        ('{"hosts": ["unix:///a", 3]}', ": hosts[1]: must be a string, not an integer"),
        ("[" * 100_000, ": is nested too deeply"),
    ],
)
def test_refused(file: Path, content: str, expected: str) -> None:
    file.write_text(content)
    with pytest.raises(Invalid) as caught:
        import_json(file)
    assert caught.value.message.removeprefix(str(file)).startswith(expected), caught.value.message


def test_bytes_that_are_no_text(file: Path) -> None:
    file.write_bytes(b'{"labels": ["a=\xff"]}')
    with pytest.raises(Invalid, match="is not UTF-8"):
        import_json(file)
    with pytest.raises(NotFound):
        import_json(file.with_name("absent"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet='{}[]",:#/*\\ \nabc1', max_size=40))
def test_any_text_gives_toml_or_a_clear_error(file: Path, content: str) -> None:
    file.write_text(content)
    try:
        import_json(file)
    except TareError as error:
        assert str(error).startswith(str(file))
