"""Nonsense over HTTP, for every route: an answer with a reason, and a daemon that is as well as before."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tare.api.router import Route
from tare.api.routes import containers, images, networks, streams, system, tare

from .conftest import Daemon, new_daemon, wait_for
from .traces import descriptors, resident

ROUTES = [route for noun in (system, containers, streams, images, networks, tare) for route in noun.ROUTES]
ENDLESS = 0.5
"""Seconds after which an answer that still goes on (events, logs -f, wait) counts as one."""

QUERY = (
    "all allocate changes condition detachKeys digests filters follow force format fromImage fromSrc h human limit link logs "
    "message name names no-trunc noprune platform ps_args quiet repo signal since size stderr stdin stdout stream t tag tail term "  # noqa: E501
    "timestamps type tz until v verbose w"
).split()

WORDS = [
    "", "0", "1", "-1", "true", "null", "1e9", "9" * 30, "9" * 400, "NaN", "٣", "1_0", " 7 ", "[]", "{}", "[[[]]]", "{", '"x"', "5",  # noqa: E501
    '{"status":["words"]}', '{"status":{"running":true}}', '{"name":["("]}', '{"name":["(a+)+$"]}', '{"label":[5]}', '{"label":null}',  # noqa: E501
    '{"until":["words"]}', '{"before":["x"],"since":["x"]}', '{"exited":["9e99"]}', '{"words":[]}', "\0", "a\0b", "\r\n", "é", "\ud83d",  # noqa: E501
    "..", "../../etc/passwd", "/", "//", "{{.}}", "{{", "{{range .}}", "{{index . 0}}", "%", "x" * 5000, "busybox", "busybox:latest",  # noqa: E501
    "1970-01-01T00:00:00Z", "9999-99-99T99:99:99Z", "1.5.5", "-5m", "99999h", "1.000000001", "ctrl-?", "ctrl-p,ctrl-q", "SIGTERM",
    "WORDS", "not-running", "Europe/Nowhere", "../UTC", "table {{.ID}}", "json", "host", "bridge", "sha256:" + "0" * 64,
]  # fmt: skip

NAMES = [
    "fuzzed",
    "none",
    "busybox",
    "busybox:latest",
    "bridge",
    "host",
    "%00",
    "%2e%2e",
    "%ff",
    "%F0%9F%90%B3",
    "a%0ab",
    "x" * 300,
]
NAMES += ["sha256:" + "0" * 64, "a@sha256:" + "1" * 64, "..", "0", "a" * 64, "%20", "a/b/c", "tare-runtime"]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.sampled_from(WORDS) | st.text(max_size=20),  # noqa: E501
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*QUERY, "a", "", "é"]) | st.text(max_size=8), inner, max_size=4),  # noqa: E501
    max_leaves=12,
)  # fmt: skip

CONFIG = (
    "Hostname Domainname User AttachStdin AttachStdout AttachStderr ExposedPorts Tty OpenStdin StdinOnce Env Cmd Healthcheck "
    "ArgsEscaped Image Volumes WorkingDir Entrypoint NetworkDisabled MacAddress OnBuild Labels StopSignal StopTimeout Shell "
    "HostConfig NetworkingConfig"
).split()
HOST = (
    "Binds ContainerIDFile LogConfig NetworkMode PortBindings RestartPolicy AutoRemove VolumeDriver VolumesFrom Mounts ConsoleSize "  # noqa: E501
    "Annotations CapAdd CapDrop CgroupnsMode Dns DnsOptions DnsSearch ExtraHosts GroupAdd IpcMode Cgroup Links OomScoreAdj PidMode "  # noqa: E501
    "Privileged PublishAllPorts ReadonlyRootfs SecurityOpt StorageOpt StorageDriver Tmpfs UTSMode UsernsMode ShmSize Sysctls Runtime "  # noqa: E501
    "Isolation MaskedPaths ReadonlyPaths CpuShares Memory CgroupParent BlkioWeight BlkioWeightDevice BlkioDeviceReadBps "
    "BlkioDeviceWriteBps BlkioDeviceReadIOps BlkioDeviceWriteIOps CpuPeriod CpuQuota CpuRealtimePeriod CpuRealtimeRuntime CpusetCpus "  # noqa: E501
    "CpusetMems Devices DeviceCgroupRules DeviceRequests KernelMemory KernelMemoryTCP MemoryReservation MemorySwap MemorySwappiness "  # noqa: E501
    "NanoCpus OomKillDisable Init PidsLimit Ulimits CpuCount CpuPercent IOMaximumIOps IOMaximumBandwidth"
).split()
"""Members of Docker's Config and HostConfig (api/swagger.yaml, with what old clients still send)."""

SHAPED = {
    "Mounts": {"Type": "bind", "Source": "/tmp", "Target": "/x", "BindOptions": {"Propagation": "rprivate"}},
    "PortBindings": {"HostIp": "", "HostPort": "0"},
    "Ulimits": {"Name": "nofile", "Soft": 1, "Hard": 1},
    "Devices": {"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "r"},
    "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
    "Healthcheck": {"Test": ["NONE"], "Interval": 0},
}
"""What is at home inside a member: spoiled one by one too."""


@pytest.fixture(scope="module")
def fuzzed(suite_directory: Path, busybox_tar: Path) -> Iterator[Daemon]:
    """A daemon of the module's own, with one container called ``fuzzed``; well and no larger at the end."""
    daemon = new_daemon(suite_directory, "fuzzed")
    daemon.start()
    try:
        furnish(daemon, busybox_tar)
        assert daemon.process is not None
        process, before, memory = daemon.process, descriptors(daemon), resident(daemon.process.pid)
        yield daemon
        assert daemon.process is process and process.poll() is None
        assert daemon.tare("run", "--rm", "--network", "none", "busybox", "echo", "well").stdout == "well\n"
        wait_for(lambda: all(count <= before[name] + 12 for name, count in descriptors(daemon).items()), "descriptors to close")
        assert resident(process.pid) < memory + (64 << 20)
    finally:
        daemon.stop()
        shutil.rmtree(daemon.directory, ignore_errors=True)


def furnish(daemon: Daemon, busybox_tar: Path) -> None:
    """The image and the container that names mean; whatever was done to them before."""
    if daemon.tare("image", "inspect", "busybox", check=False).returncode:
        daemon.tare("import", str(busybox_tar), "busybox")
    daemon.tare("unpause", "fuzzed", check=False)
    if daemon.tare("start", "fuzzed", check=False).returncode:
        daemon.tare("run", "-d", "--name", "fuzzed", "--network", "none", "busybox", "sh", "-c", "echo words; sleep 10000")


def ask(daemon: Daemon, head: bytes, body: bytes = b"") -> bytes:
    """One exchange on a fresh connection: everything that is answered, until the end or for ENDLESS seconds."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(str(daemon.socket))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(head + body)
        answer = b""
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while piece := sock.recv(1 << 16):
                answer += piece
                sock.settimeout(ENDLESS)
        return answer


def request(method: str, path: str, query: dict[str, str], body: bytes, headers: dict[str, str]) -> bytes:
    text = "&".join(f"{quote(name)}={quote(value, errors='replace')}" for name, value in query.items())
    lines = [
        f"{method} {path}{'?' + text if text else ''} HTTP/1.1",
        "Host: docker",
        "Connection: close",
        f"Content-Length: {len(body)}",
    ]
    lines += [f"{name}: {value}" for name, value in ({"Content-Type": "application/json"} | headers).items()]
    return "\r\n".join(lines).encode("ascii", "replace") + b"\r\n\r\n" + body


def judge(answer: bytes, what: str) -> None:
    """An answer is a success, or a failure with a reason; a defect never is one."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1."), f"{what}: {answer[:200]!r}"
    status = int(head.split()[1])
    assert b"in the daemon" not in answer, f"{what}: {answer[-400:]!r}"
    assert b"the worker for" not in answer, f"{what}: {answer[-400:]!r}"
    if status >= 400 and not what.startswith("HEAD"):
        told = json.loads(body)
        assert told["message"] and told["message"][:400].strip(), what
        assert status in (400, 403, 404, 405, 408, 409, 411, 413, 414, 415, 431, 501, 503, 507), f"{what}: {told}"


def put_in(path: str, name: str) -> str:
    while "{" in path:
        start, _, rest = path.partition("{")
        path = start + name + rest.partition("}")[2]
    return path


@pytest.mark.parametrize("route", ROUTES, ids=[f"{route.method} {route.path}" for route in ROUTES])
def test_every_route(fuzzed: Daemon, busybox_tar: Path, route: Route) -> None:
    queries = st.dictionaries(st.sampled_from(QUERY), st.sampled_from(WORDS), max_size=4)
    bodies = st.just(b"") | json_values.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60)
    heads = st.dictionaries(
        st.sampled_from(["Content-Type", "Accept", "Upgrade", "Expect", "X-Registry-Auth"]),
        st.sampled_from(["application/json", "text/plain", "text/html; q=words", "tcp", "100-continue", "", "\x01", "x" * 3000]),
        max_size=2,
    )
    many = 12 if route.watched else 30

    @settings(max_examples=many, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(NAMES), queries, bodies, heads, st.sampled_from(["", "/v1.24", "/v1.41", "/v1.50", "/v9.9", "/v1"]))
    def spoil(name: str, query: dict[str, str], body: bytes, headers: dict[str, str], version: str) -> None:
        if query.get("fromSrc", "-") != "-":
            query["fromSrc"] = "http://127.0.0.1:1/" + query["fromSrc"]
        if route.path == "/containers/{ref}" and name in ("fuzzed", "0"):
            name = "none"
        path = version + put_in(route.path, name)
        judge(ask(fuzzed, request(route.method, path, query, body, headers)), f"{route.method} {path} {query} {headers} {body!r}")

    spoil()
    furnish(fuzzed, busybox_tar)


def create(daemon: Daemon, body: dict[str, Any]) -> None:
    """Create (never start) what is asked for; what comes of it is removed again."""
    content = json.dumps(body).encode()
    answer = ask(daemon, request("POST", "/containers/create", {}, content, {"Content-Type": "application/json"}))
    judge(answer, f"create {body}")
    if b" 201 " in answer[:20]:
        id = json.loads(answer.partition(b"\r\n\r\n")[2])["Id"]
        for path in (f"/containers/{id}/json", "/containers/json?all=1"):
            judge(ask(daemon, request("GET", path, {}, b"", {})), f"inspect of {body}")
        judge(ask(daemon, request("DELETE", f"/containers/{id}", {"force": "1"}, b"", {})), f"removal of {body}")


@pytest.mark.parametrize("member", [*CONFIG, *(f"HostConfig.{name}" for name in HOST)])
def test_every_member_of_a_wish(fuzzed: Daemon, member: str) -> None:
    inner, _, name = member.rpartition(".")
    shape = SHAPED.get(name, {"a": "b"})
    spoiled = st.dictionaries(st.sampled_from(sorted(shape)), json_values, min_size=1, max_size=2).map(lambda new: shape | new)
    inside = st.one_of(
        st.lists(spoiled, max_size=2),
        spoiled,
        st.dictionaries(st.sampled_from(["80/tcp", "x", ""]), st.lists(spoiled, max_size=2)),
    )

    @settings(max_examples=20, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(
        json_values
        | st.lists(st.sampled_from(WORDS), max_size=3)
        | st.dictionaries(st.sampled_from(WORDS), st.sampled_from(WORDS), max_size=3)
        | inside
    )
    def spoil(value: object) -> None:
        body: dict[str, Any] = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none"}}
        (body["HostConfig"] if inner else body)[name] = value
        create(fuzzed, body)

    spoil()


RAW = {
    "nothing": b"\r\n\r\n",
    "words": b"hello\r\n\r\n",
    "no version": b"GET /_ping\r\n\r\n",
    "version 9": b"GET /_ping HTTP/9.9\r\n\r\n",
    "binary": bytes(range(256)) * 10 + b"\r\n\r\n",
    "NUL in a header": b"GET /_ping HTTP/1.1\r\nHost: a\0b\r\n\r\n",
    "header without a name": b"GET /_ping HTTP/1.1\r\n: x\r\n\r\n",
    "folded header": b"GET /_ping HTTP/1.1\r\nHost: a\r\n b\r\nConnection: close\r\n\r\n",
    "two lengths": b"POST /containers/create HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\n{}",
    "length and chunks": b"POST /containers/create HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",  # noqa: E501
    "length below nothing": b"POST /containers/create HTTP/1.1\r\nHost: a\r\nContent-Length: -2\r\n\r\n{}",
    "length of words": b"POST /containers/create HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n{}",
    "length beyond all measure": b"POST /containers/create HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n{}",
    "chunk of words": b"POST /containers/create HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "chunk beyond all measure": b"POST /containers/create HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"f" * 30
    + b"\r\n{}",
    "unknown encoding": b"POST /containers/create HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: words\r\n\r\n{}",
    "a line of 1 MiB": b"GET /" + b"x" * (1 << 20) + b" HTTP/1.1\r\n\r\n",
    "a header of 1 MiB": b"GET /_ping HTTP/1.1\r\nHost: a\r\nX: " + b"x" * (1 << 20) + b"\r\n\r\n",
    "100000 headers": b"GET /_ping HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
    "an absolute target": b"GET http://example.com/_ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "a star": b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "CONNECT": b"CONNECT example.com:80 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "an unknown method": b"WORDS /_ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "a method of bytes": b"\xff\xfe /_ping HTTP/1.1\r\nHost: a\r\n\r\n",
    "a target of bytes": b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "TLS": bytes.fromhex("16030100a5010000a1030300") + os.urandom(150) + b"\r\n\r\n",
    "a body that is too large": b"POST /containers/create HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n"
    + b" " * (17 << 20),
    "2000 query members": b"GET /containers/json?" + b"a=b&" * 2000 + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "JSON 100000 deep": b"POST /containers/create HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 100000\r\n"
    + b"Content-Type: application/json\r\n\r\n"
    + b"[" * 100_000,
    "filters 3000 deep": b"GET /containers/json?filters=" + b"[" * 30_000 + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
}


@pytest.mark.parametrize("what", RAW)
def test_raw_requests(fuzzed: Daemon, what: str) -> None:
    """Answered by 4xx (or, where the method or the form is merely odd, as usual), never by a silent end in the daemon."""
    answer = ask(fuzzed, RAW[what])
    if answer:
        judge(answer, what)
    assert ask(fuzzed, request("GET", "/_ping", {}, b"", {})).endswith(b"\r\n\r\nOK")


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=200), st.sampled_from(list(RAW)), st.integers(0, 300))
def test_raw_bytes(fuzzed: Daemon, junk: bytes, what: str, at: int) -> None:
    base = RAW[what][:2000]
    spoiled = base[:at] + junk + base[at:]
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(str(fuzzed.socket))
        with contextlib.suppress(OSError):
            sock.sendall(spoiled)
            sock.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := sock.recv(1 << 16):
                answer += piece
            assert b"in the daemon" not in answer


def test_who_says_nothing_keeps_nobody_waiting(fuzzed: Daemon) -> None:
    """Hundreds of connections that stop in the middle: others are answered at once, and when they go all is closed."""
    before = descriptors(fuzzed)["tared"]
    with contextlib.ExitStack() as open_:
        for start in (b"", b"GET /_p", b"POST /containers/create HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n{", b"POST /images/load HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nx"):  # fmt: skip  # noqa: E501
            for _ in range(100):
                sock = open_.enter_context(socket.socket(socket.AF_UNIX))
                sock.connect(str(fuzzed.socket))
                sock.sendall(start)
        assert ask(fuzzed, request("GET", "/_ping", {}, b"", {})).endswith(b"OK")
        assert fuzzed.tare("ps", "-q").returncode == 0
    wait_for(lambda: descriptors(fuzzed)["tared"] <= before + 2, "the end of the connections")


def test_a_reader_that_leaves(fuzzed: Daemon) -> None:
    """Streams whose reader goes away in the middle end, and nothing stays open."""
    before = descriptors(fuzzed)
    for path in ("/events", "/images/busybox/get", "/containers/fuzzed/logs?stdout=1&follow=1", "/containers/fuzzed/wait"):
        for _ in range(20):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(fuzzed.socket))
                method = "POST" if path.endswith("wait") else "GET"
                sock.sendall(request(method, path, {}, b"", {}))
                sock.recv(100)
    wait_for(
        lambda: all(count <= before[name] + 2 for name, count in descriptors(fuzzed).items()),
        f"{before}, not {descriptors(fuzzed)}",
    )


def test_pipelined_requests_are_answered_in_order(fuzzed: Daemon) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(str(fuzzed.socket))
        sock.sendall(
            b"GET /_ping HTTP/1.1\r\nHost: a\r\n\r\n" * 50 + b"GET /no-such HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        )
        answers = b""
        while piece := sock.recv(1 << 16):
            answers += piece
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == 50
    assert answers.rindex(b"\r\n\r\nOKHTTP/1.1") < answers.index(b"HTTP/1.1 404")
