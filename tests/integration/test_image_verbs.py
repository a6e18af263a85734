"""import, save, load and tag as a user types them, well and badly."""

from __future__ import annotations

import http.server
import io
import json
import os
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.images.conftest import tree

from .conftest import BIN, Daemon
from .traces import nothing_more

CLIENTS = pytest.mark.parametrize("client", ["tare", "docker"])
ARCHIVE = tree({"etc/hello": b"hello\n" * 1000})


class Pages(http.server.BaseHTTPRequestHandler):
    """A server that answers well, badly, and not to the end."""

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        if name == "nonsense":
            self.wfile.write(b"this is no HTTP\r\n\r\n")
        elif name == "silent":
            return
        elif name == "there":
            self.send_response(302)
            self.send_header("Location", "/tree.tar")
            self.end_headers()
        elif name == "circle":
            self.send_response(301)
            self.send_header("Location", "/circle")
            self.end_headers()
        elif name == "file":
            self.send_response(301)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
        elif name == "error":
            self.send_error(500, "Out of order")
        elif name in ("tree.tar", "short.tar", "text"):
            self.send_response(200)
            body = ARCHIVE if name != "text" else b"hello\n" * 1000
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            # Cut between two members: without the length nobody would see it.
            self.wfile.write(body[:1024] if name == "short.tar" else body)
        else:
            self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{made.server_port}"
        made.shutdown()
        thread.join()


@CLIENTS
@pytest.mark.parametrize("page", ["tree.tar", "there"])
def test_import_of_a_url(engine: Daemon, server: str, client: str, page: str) -> None:
    id = getattr(engine, client)("import", f"{server}/{page}", "fetched:1").stdout.strip()
    try:
        assert engine.inspect("fetched:1")["Id"] == id.splitlines()[-1]
    finally:
        engine.tare("rmi", "fetched:1")


@CLIENTS
@pytest.mark.parametrize(
    ("page", "told"),
    [
        ("gone.tar", "status 404"), ("error", "status 500 out of order"), ("nonsense", "cannot download"), ("silent", "closed"),
        ("circle", "cannot download"), ("file", "cannot download"), ("short.tar", "bytes too early"), ("text", "no tar archive"),
    ],
)  # fmt: skip
def test_import_of_a_url_that_does_not_work(engine: Daemon, server: str, client: str, page: str, told: str) -> None:
    with nothing_more(engine):
        done = getattr(engine, client)("import", f"{server}/{page}", "fetched:1", check=False)
    assert done.returncode == 1 and told in done.stderr.lower(), done.stderr
    assert "errno" not in done.stderr.lower() and "in the daemon" not in done.stderr


@CLIENTS
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-c", "RUN x", "-"], "RUN is not a valid change command"),
        (["-c", "ENV", "-"], "ENV requires"),
        (["--platform", "windows", "-"], "operating system is not supported: windows"),
        (["-", "Upper:1"], "must be lowercase"),
        (["-", "name:"], "invalid reference format"),
        (["-", "name@sha256:" + "0" * 64], "cannot import digest reference"),
        (["/etc/passwd"], "it is no tar archive"),
        (["/dev"], "is a directory"),
        (["/nonexistent.tar"], "no such file"),
    ],
)
def test_import_refuses(engine: Daemon, tmp_path: Path, client: str, words: list[str], told: str) -> None:
    archive = tmp_path / "tree.tar"
    archive.write_bytes(ARCHIVE)
    binary = str(BIN / "tare") if client == "tare" else "docker"
    with nothing_more(engine), open(archive, "rb") as stdin:
        command = [binary, "import", *words]
        done = subprocess.run(command, env=engine.environment(), stdin=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and told in done.stderr, done.stderr
    if client == "docker" and told[0].isupper():
        assert done.stderr.startswith("Error response from daemon: ")  # a status, not a line on a stream of success


@CLIENTS
def test_every_change(engine: Daemon, tmp_path: Path, client: str) -> None:
    archive = tmp_path / "tree.tar"
    archive.write_bytes(ARCHIVE)
    changes = [
        'CMD ["sh", "-c"]',
        "ENTRYPOINT echo hi", 'ENV A=b C="d e"', "env D e f", "EXPOSE 80 81/udp", "LABEL x=y", "USER nobody:x",
        "WORKDIR /x", 'VOLUME ["/v", "/w"]', "STOPSIGNAL SIGINT", "ONBUILD RUN make", "HEALTHCHECK --interval=5s CMD true",
    ]  # fmt: skip
    words = [word for change in changes for word in ("-c", change)]
    getattr(engine, client)("import", *words, "-m", "from me", "--platform", "linux/arm64/v8", str(archive), "changed:1")
    try:
        image = engine.inspect("changed:1")
        assert image["Config"] == image["Config"] | {
            "Cmd": ["sh", "-c"], "Entrypoint": ["/bin/sh", "-c", "echo hi"], "Env": ["A=b", "C=d e", "D=e f"],
            "ExposedPorts": {"80/tcp": {}, "81/udp": {}}, "Labels": {"x": "y"}, "User": "nobody:x", "WorkingDir": "/x",
            "Volumes": {"/v": {}, "/w": {}}, "StopSignal": "SIGINT", "OnBuild": ["RUN make"],
            "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 5_000_000_000},
        }  # fmt: skip
        assert (image["Architecture"], image["Variant"], image["Os"], image["Comment"]) == ("arm64", "v8", "linux", "from me")
        assert "from me" in engine.tare("history", "changed:1").stdout
    finally:
        engine.tare("rmi", "changed:1")


@pytest.mark.parametrize("words", [["load", "-i", "/dev/zero"], ["load"], ["import", "/dev/urandom"], ["import", "-"]])
def test_a_device_without_end_is_not_read(engine: Daemon, words: list[str]) -> None:
    with open("/dev/zero", "rb") as stdin:
        command = [str(BIN / "tare"), *words]
        done = subprocess.run(command, env=engine.environment(), stdin=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "is a device" in done.stderr


@pytest.mark.parametrize("target", ["a:", "a b", "/a", "a//b", "a:b:c", "Upper", "x.y/Foo", "a/-x", "a:-x", "a:" + "x" * 129])
def test_tag_refuses_and_names_what_was_typed(engine: Daemon, target: str) -> None:
    with nothing_more(engine):
        done = engine.tare("tag", "busybox", target, check=False)
    assert done.returncode == 1 and "invalid reference format" in done.stderr
    assert target.partition("/")[0] in done.stderr or "lowercase" in done.stderr


@pytest.mark.parametrize("target", ["a:" + "x" * 128, "localhost:5000/a/b:1", "a__b/c-d:_1", "1:2", "host.example:1/x"])
def test_tag_takes_what_docker_takes(engine: Daemon, target: str) -> None:
    engine.tare("tag", "busybox", target)
    assert engine.docker("rmi", target).stdout.startswith(f"Untagged: {target}")


@CLIENTS
def test_save_and_load_through_a_pipe_and_a_fifo(engine: Daemon, tmp_path: Path, client: str) -> None:
    for name in ("one:1", "one:2", "two"):
        engine.tare("import", "-c", f"LABEL name={name[:3]}", str(_written(tmp_path)), name)
    binary = str(BIN / "tare") if client == "tare" else "docker"

    def save(*names: str) -> bytes:
        command = [binary, "save", *names]
        return subprocess.run(command, env=engine.environment(), capture_output=True, check=True).stdout

    try:
        whole = save("one:1", "one:2", "two")
        assert whole == save("one:1", "one:2", "two")
        with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
            member = archive.extractfile("manifest.json")
            assert member is not None
            assert sorted(name for image in json.load(member) for name in image["RepoTags"]) == ["one:1", "one:2", "two:latest"]
        engine.tare("rmi", "one:1", "one:2", "two")
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo)
        writer = threading.Thread(target=fifo.write_bytes, args=(whole,))
        writer.start()
        loaded = getattr(engine, client)("load", "-i", str(fifo)).stdout.splitlines()
        writer.join()
        assert sorted(loaded) == ["Loaded image: one:1", "Loaded image: one:2", "Loaded image: two:latest"]
        assert save("one:1", "one:2", "two") == whole
    finally:
        engine.tare("rmi", "one:1", "one:2", "two")


@pytest.mark.parametrize("words", [["image", "inspect"], ["history"], ["save"], ["rmi"]])
def test_a_platform_that_the_image_has_not(engine: Daemon, words: list[str]) -> None:
    machine = str(engine.inspect("busybox")["Architecture"])
    with nothing_more(engine):
        refused = engine.tare(*words, "--platform", "linux/sparc", "busybox", check=False)
        assert refused.returncode == 1
        told = "image with reference busybox was found but does not provide the specified platform (linux/sparc)"
        assert told in refused.stderr and f"it is for linux/{machine}" in refused.stderr
        assert "invalid platform" in engine.tare(*words, "--platform", "a/b/c/d", "busybox", check=False).stderr
    engine.tare("tag", "busybox", "platform:1")
    for asked in ("linux", f"linux/{machine}"):
        engine.tare("tag", "busybox", "platform:1")
        assert engine.tare(*words, "--platform", asked, "platform:1").stdout
    engine.tare("rmi", "platform:1", check=False)


def test_a_platform_that_the_archive_has_not(engine: Daemon, tmp_path: Path) -> None:
    engine.tare("import", "--platform", "linux/arm64/v8", str(_written(tmp_path)), "foreign:1")
    engine.tare("save", "-o", str(tmp_path / "foreign.tar"), "foreign:1")
    engine.tare("rmi", "foreign:1")
    with nothing_more(engine):
        refused = engine.tare("load", "--platform", "linux", "-i", str(tmp_path / "foreign.tar"), check=False)
        assert refused.returncode == 1 and "but for linux/arm64/v8" in refused.stderr
    assert engine.tare("load", "--platform", "linux/arm64", "-i", str(tmp_path / "foreign.tar")).stdout
    engine.tare("rmi", "foreign:1")


def _written(directory: Path) -> Path:
    path = directory / "tree.tar"
    path.write_bytes(ARCHIVE)
    return path
