"""Archives that somebody spoiled, or made to harm: refused in Docker's way, nothing left, nothing touched outside."""

from __future__ import annotations

import gzip
import io
import json
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.images.conftest import config, docker_archive, oci_archive, pack, sha, tree

from .conftest import Daemon
from .traces import nothing_more, resident

ONE, TWO = tree({"a": b"1" * 1000}), tree({"b": b"2" * 2000})
CONFIG = config(ONE, TWO)
GOOD = docker_archive((["hostile:1"], CONFIG, [ONE, TWO]))
OCI = oci_archive(CONFIG, [("", ONE), ("", TWO)], name="hostile:1")
NONE = ("run", "--rm", "--network", "none")

CLIENTS = pytest.mark.parametrize("client", ["tare", "docker"])


@pytest.fixture(scope="module", autouse=True)
def unpacked(engine: Daemon) -> None:
    """The first container of an image leaves its layers, by right."""
    engine.tare(*NONE, "busybox", "true")


def changed(files: dict[str, bytes], **members: object) -> bytes:
    """A docker-archive whose manifest.json says something else."""
    listed = json.loads(files["manifest.json"])
    listed[0].update(members)
    return pack({**files, "manifest.json": json.dumps(listed).encode()})


def with_config(document: object) -> bytes:
    """A docker-archive with a configuration of our own making, correctly named."""
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    return pack(docker_archive((["hostile:1"], content, [ONE, TWO])))


def configured(**members: object) -> dict[str, object]:
    return json.loads(config(ONE, TWO, **members))


def with_index(change: Callable[[dict[str, object]], object]) -> bytes:
    """An OCI archive with another index.json."""
    index = json.loads(OCI["index.json"])
    change(index)
    return pack({**OCI, "index.json": json.dumps(index).encode()})


def with_manifest(change: Callable[[dict[str, object]], object]) -> bytes:
    """An OCI archive with another manifest, correctly named in the index."""
    index = json.loads(OCI["index.json"])
    manifest = json.loads(OCI[f"blobs/sha256/{index['manifests'][0]['digest'][7:]}"])
    change(manifest)
    content = json.dumps(manifest).encode()
    index["manifests"][0] |= {"digest": sha(content), "size": len(content)}
    return pack({**OCI, f"blobs/sha256/{sha(content)[7:]}": content, "index.json": json.dumps(index).encode()})


def put(target: dict[str, object], *path: object) -> None:
    """``put(document, "layers", 0, "size", 5)``."""
    *above, name, value = path
    for step in above:
        target = target[step]  # type: ignore[index,assignment]
    target[name] = value  # type: ignore[index]


def members(*infos: tuple[str, dict[str, object], bytes]) -> bytes:
    """A tar of (name, what TarInfo has, content)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, attributes, content in infos:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for attribute, value in attributes.items():
                setattr(info, attribute, value)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


HUGE = 10**4200
BROKEN: dict[str, Callable[[], bytes]] = {
    "empty file": lambda: b"",
    "two blocks of nothing": lambda: bytes(1024),
    "no tar": lambda: b"hello\n" * 1000,
    "random": lambda: b"\x1f\x8b" + os.urandom(5000),
    "cut": lambda: pack(GOOD)[:3000],
    "cut in a header": lambda: pack(GOOD)[:700],
    "cut gzip": lambda: gzip.compress(pack(GOOD))[:-400],
    "gzip of nothing": lambda: gzip.compress(b""),
    "gzip bomb, cut short": lambda: gzip.compress(bytes(200 << 20), 1)[:-100],
    "a plain tree": lambda: pack({"etc/passwd": b"x"}),
    "manifest no JSON": lambda: pack({**GOOD, "manifest.json": b"nope"}),
    "manifest deep": lambda: pack({**GOOD, "manifest.json": b"[" * 100_000}),
    "manifest of huge numbers": lambda: pack({**GOOD, "manifest.json": b'[{"Config": ' + b"9" * 100_000 + b"}]"}),
    "manifest not UTF-8": lambda: pack({**GOOD, "manifest.json": b'[{"Config": "\xff\xfe"}]'}),
    "missing layer": lambda: changed(GOOD, Layers=[f"{sha(ONE)[7:]}/layer.tar", "none/layer.tar"]),
    "layer outside": lambda: changed(GOOD, Layers=["../../../../etc/passwd", "/etc/passwd"]),
    "configuration outside": lambda: changed(GOOD, Config="../../../../etc/passwd"),
    "name of a surrogate": lambda: changed(GOOD, RepoTags=["\ud800:1"]),
    "name that is a path": lambda: changed(GOOD, RepoTags=["../../x:1"]),
    "names a number": lambda: changed(GOOD, RepoTags=5),
    "configuration no JSON": lambda: with_config(b"{"),
    "configuration a number": lambda: with_config(b"5"),
    "configuration of huge numbers": lambda: with_config(b'{"rootfs": ' + b"9" * 100_000 + b"}"),
    "no diff_ids": lambda: with_config(configured(rootfs={"type": "layers"})),
    "diff_ids of another sort": lambda: with_config(configured(rootfs={"type": "layers", "diff_ids": [5, None]})),
    "diff_ids that climb": lambda: with_config(configured(rootfs={"diff_ids": ["sha256:../../../../x", sha(TWO)]})),
    "one layer too many": lambda: with_config(json.loads(config(ONE, TWO, TWO))),
    "other layers": lambda: with_config(json.loads(config(TWO, ONE))),
    "environment a number": lambda: with_config(configured(config={"Env": 5})),
    "command of numbers": lambda: with_config(configured(config={"Cmd": [5]})),
    "history a number": lambda: with_config(configured(history=5)),
    "two layers, one digest": lambda: pack(oci_archive(config(ONE, TWO), [("", ONE), ("", ONE)])),
    "a digest that does not match": lambda: pack({**OCI, f"blobs/sha256/{sha(ONE)[7:]}": TWO}),
    "index with a missing manifest": lambda: with_index(lambda i: put(i, "manifests", 0, "digest", "sha256:" + "0" * 64)),
    "index with a digest that climbs": lambda: with_index(lambda i: put(i, "manifests", 0, "digest", "sha256:../../x")),
    "index with another hash": lambda: with_index(lambda i: put(i, "manifests", 0, "digest", "md5:" + "0" * 32)),
    "index in an index without end": lambda: with_index(
        lambda i: put(i, "manifests", 0, "mediaType", "application/vnd.oci.image.index.v1+json")
    ),
    "manifest with a size below nothing": lambda: with_manifest(lambda m: put(m, "layers", 0, "size", -1)),
    "manifest with a size of text": lambda: with_manifest(lambda m: put(m, "layers", 0, "size", "5")),
    "manifest with a size that is wrong": lambda: with_manifest(lambda m: put(m, "layers", 0, "size", 1 << 62)),
    "manifest with a missing layer": lambda: with_manifest(lambda m: put(m, "layers", 0, "digest", "sha256:" + "0" * 64)),
    "manifest with layers elsewhere": lambda: with_manifest(
        lambda m: put(m, "layers", 0, "mediaType", "application/vnd.oci.image.layer.nondistributable.v1.tar")
    ),
    "manifest without layers": lambda: with_manifest(lambda m: put(m, "layers", 5)),
    "layer no tar": lambda: pack(docker_archive((["hostile:1"], config(b"x" * 999), [b"x" * 999]))),
    "layer cut": lambda: pack(docker_archive((["hostile:1"], config(ONE[:700]), [ONE[:700]]))),
    "links instead of files": lambda: members(("manifest.json", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, b"")),
    "links in a ring": lambda: members(
        ("manifest.json", {"type": tarfile.SYMTYPE, "linkname": "m"}, b""),
        ("m", {"type": tarfile.SYMTYPE, "linkname": "manifest.json"}, b""),
    ),
    "a device instead of a file": lambda: members(("manifest.json", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 9}, b"")),  # noqa: E501
}


@CLIENTS
@pytest.mark.parametrize("kind", BROKEN)
def test_load_refuses(engine: Daemon, tmp_path: Path, client: str, kind: str) -> None:
    archive = tmp_path / "archive.tar"
    archive.write_bytes(BROKEN[kind]())
    with nothing_more(engine):
        done = getattr(engine, client)("load", "-i", str(archive), check=False)
    assert done.returncode == 1, done.stdout
    assert done.stderr.strip() and "Traceback" not in done.stderr
    assert not any(word in done.stderr for word in ("in the daemon", "worker for", "died")), done.stderr
    assert len(done.stderr) < 700


def climbing(name: str) -> bytes:
    return members((name, {}, b"outside\n"))


LAYERS: dict[str, Callable[[str], bytes]] = {
    "a path that climbs": lambda out: climbing(f"../../../../../../../..{out}/touched"),
    "a path that climbs later": lambda out: climbing(f"a/../../../../../../../../..{out}/touched"),
    "an absolute path": lambda out: climbing(f"{out}/touched"),
    "a link out and a file through it": lambda out: members(
        ("door", {"type": tarfile.SYMTYPE, "linkname": out}, b""), ("door/touched", {}, b"outside\n")
    ),
    "a climbing link and a file through it": lambda out: members(
        ("door", {"type": tarfile.SYMTYPE, "linkname": "../../../../../../../../.." + out}, b""),
        ("door/touched", {}, b"outside\n"),
    ),
    "links to links out": lambda out: members(
        ("one", {"type": tarfile.SYMTYPE, "linkname": "two"}, b""),
        ("two", {"type": tarfile.SYMTYPE, "linkname": out}, b""),
        ("one/touched", {}, b"outside\n"),
    ),
    "a hard link out": lambda out: members(
        ("door", {"type": tarfile.LNKTYPE, "linkname": f"{out}/precious"}, b""), ("door", {}, b"overwritten\n")
    ),
    "a climbing hard link": lambda out: members(
        ("door", {"type": tarfile.LNKTYPE, "linkname": f"../../../../../../../../..{out}/precious"}, b"")
    ),
    "a hard link through a link out": lambda out: members(
        ("door", {"type": tarfile.SYMTYPE, "linkname": out}, b""),
        ("copy", {"type": tarfile.LNKTYPE, "linkname": "door/precious"}, b""),
    ),
    "a directory over a link out": lambda out: members(
        ("door", {"type": tarfile.SYMTYPE, "linkname": out}, b""),
        ("door", {"type": tarfile.DIRTYPE, "mode": 0o777}, b""),
        ("door/touched", {}, b"outside\n"),
    ),
    "a whiteout of what is outside": lambda out: members(
        ("door", {"type": tarfile.SYMTYPE, "linkname": out}, b""), ("door/.wh.precious", {}, b"")
    ),
    "a whiteout that climbs": lambda out: members(("a/.wh...", {}, b""), ("b/.wh.", {}, b""), ("c/.wh..", {}, b"")),
    "an opaque mark outside": lambda out: members(
        ("door", {"type": tarfile.SYMTYPE, "linkname": out}, b""), ("door/.wh..wh..opq", {}, b"")
    ),
    "marks of overlayfs": lambda out: members(
        ("bin", {"type": tarfile.DIRTYPE, "pax_headers": {"SCHILY.xattr.trusted.overlay.redirect": out}}, b""),
        ("etc", {"type": tarfile.DIRTYPE, "pax_headers": {"SCHILY.xattr.trusted.overlay.opaque": "y"}}, b""),
        ("x", {"pax_headers": {"SCHILY.xattr.user.overlay.metacopy": ""}}, b""),
    ),
    "a path of 10000 directories": lambda out: members(("/".join(["d"] * 10_000) + "/f", {}, b"deep\n")),
    "a name of 300 bytes": lambda out: members(("n" * 300, {}, b"")),
    "an empty name": lambda out: members(("", {}, b"x"), ("/", {}, b"x"), (".", {}, b"x")),
    "a file called as a directory was": lambda out: members(
        ("d", {"type": tarfile.DIRTYPE}, b""), ("d/f", {}, b"1"), ("d", {}, b"now a file"), ("d/f", {}, b"2")
    ),
    "the same name a thousand times": lambda out: members(*(("f", {}, str(n).encode()) for n in range(1000))),
    "owners and times beyond all measure": lambda out: members(
        ("f", {"uid": 2**40, "gid": 2**40, "mtime": 2**60}, b""), ("g", {"mtime": -(2**60)}, b"")
    ),
    "attributes beyond all measure": lambda out: members(("f", {"pax_headers": {"SCHILY.xattr.user.x": "v" * 70_000}}, b"")),
    "attributes of no namespace": lambda out: members(("f", {"pax_headers": {"SCHILY.xattr.": "v", "SCHILY.xattr.x": "v"}}, b"")),
}


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A directory of the host, and the proof that it is as it was."""
    directory = tmp_path / "outside"
    directory.mkdir()
    (directory / "precious").write_text("precious\n")
    before = os.stat(directory)
    yield directory
    assert os.listdir(directory) == ["precious"]
    assert (directory / "precious").read_text() == "precious\n"
    assert os.stat(directory / "precious").st_nlink == 1
    after = os.stat(directory)
    assert (before.st_mtime_ns, before.st_mode, before.st_uid) == (after.st_mtime_ns, after.st_mode, after.st_uid)
    assert not any(name.startswith("trusted") for name in os.listxattr(directory))


@pytest.mark.parametrize("way", ["import", "load"])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_stays_inside(engine: Daemon, busybox_tar: Path, outside: Path, tmp_path: Path, way: str, kind: str) -> None:
    """It may be refused when it comes in, or when a container needs it; or it may do its worst inside the container."""
    layer = LAYERS[kind](str(outside))
    archive = tmp_path / "archive.tar"
    base = busybox_tar.read_bytes()
    archive.write_bytes(layer if way == "import" else pack(docker_archive((["hostile:1"], config(base, layer), [base, layer]))))
    words = ["import", str(archive), "hostile:1"] if way == "import" else ["load", "-i", str(archive)]
    with nothing_more(engine):
        done = engine.tare(*words, check=False)
        assert done.returncode in (0, 1)
        if done.returncode == 0:
            ran = engine.tare(*NONE, "hostile:1", "true", check=False)
            assert ran.returncode in (0, 125, 126, 127), ran.stderr
            if way == "load" and ran.returncode == 0:
                assert engine.tare(*NONE, "hostile:1", "cat", "/etc/group").stdout.startswith("root")
            for text in (ran.stderr, done.stderr):
                assert "Traceback" not in text and "in the daemon" not in text and "died" not in text
            assert engine.tare("rmi", "-f", "hostile:1").returncode == 0


def test_devices_in_a_layer_are_of_no_use(engine: Daemon, busybox_tar: Path, tmp_path: Path) -> None:
    """They may be there, as in Docker; what they lead to is not the container's."""
    nodes = members(
        ("disk", {"type": tarfile.BLKTYPE, "devmajor": 8, "devminor": 0, "mode": 0o666}, b""),
        ("mem", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 1, "mode": 0o666}, b""),
    )
    base = busybox_tar.read_bytes()
    archive = tmp_path / "archive.tar"
    archive.write_bytes(pack(docker_archive((["hostile:1"], config(base, nodes), [base, nodes]))))
    engine.tare("load", "-i", str(archive))
    try:
        for name in ("disk", "mem"):
            done = engine.tare(*NONE, "hostile:1", "dd", f"if=/{name}", "of=/dev/null", "count=1", check=False)
            assert done.returncode == 1 and "not permitted" in done.stderr
    finally:
        engine.tare("rmi", "-f", "hostile:1")


def test_set_user_bits_come_through(engine: Daemon, busybox_tar: Path, tmp_path: Path) -> None:
    """Nothing is mangled for safety's sake: a layer is what it says."""
    layer = members(("tool", {"mode": 0o4755, "uid": 7, "gid": 8}, b"x"))
    base = busybox_tar.read_bytes()
    archive = tmp_path / "archive.tar"
    archive.write_bytes(pack(docker_archive((["hostile:1"], config(base, layer), [base, layer]))))
    engine.tare("load", "-i", str(archive))
    try:
        assert engine.tare(*NONE, "hostile:1", "stat", "-c", "%a %u %g", "/tool").stdout == "4755 7 8\n"
    finally:
        engine.tare("rmi", "-f", "hostile:1")


@pytest.mark.parametrize(
    "members_",
    [
        {"Env": ["A=\ud800"], "Cmd": ["sh", "-c", "echo $A"]},
        {"Env": ["A=\x00b"], "Cmd": ["true"]},
        {"Cmd": ["tr\x00ue"]},
        {"Cmd": [""]},
        {"Cmd": ["true"], "User": "a\x00b"},
        {"Cmd": ["true"], "WorkingDir": "relative/../../x"},
        {"Cmd": ["true"], "WorkingDir": "/" + "x" * 5000},
        {"Cmd": ["true"], "StopSignal": "WORDS"},
        {"Cmd": ["true"], "ExposedPorts": {"words": {}, "99999/tcp": {}}},
        {"Cmd": ["true"], "Labels": {"a\ud800": "\ud800"}},
        {"Cmd": ["true"], "Env": ["=x", "", "NOVALUE"]},
        {"Cmd": ["x" * 300_000]},
    ],
)
def test_a_hostile_configuration(engine: Daemon, busybox_tar: Path, tmp_path: Path, members_: dict[str, object]) -> None:
    """What a configuration says may be nonsense: then run says so, and lists go on."""
    base = busybox_tar.read_bytes()
    archive = tmp_path / "archive.tar"
    archive.write_bytes(pack(docker_archive((["hostile:1"], config(base, config=members_), [base]))))
    with nothing_more(engine):
        done = engine.tare("load", "-i", str(archive), check=False)
        assert "Traceback" not in done.stderr and "died" not in done.stderr, done.stderr
        if done.returncode == 0:
            for words in (("images",), ("image", "inspect", "hostile:1"), ("history", "hostile:1")):
                assert engine.tare(*words).returncode == 0
                assert engine.docker(*words).returncode == 0
            ran = engine.tare(*NONE, "hostile:1", check=False)
            assert ran.returncode in (0, 125, 126, 127), ran.stderr
            assert "Traceback" not in ran.stderr and "in the daemon" not in ran.stderr, ran.stderr
            engine.tare("rmi", "-f", "hostile:1")


def test_a_bomb_takes_disk_and_no_memory(engine: Daemon, tmp_path: Path) -> None:
    assert engine.process is not None
    bomb = tmp_path / "bomb.gz"
    with gzip.open(bomb, "wb", 1) as file:
        for _ in range(100):
            file.write(bytes(4 << 20))
    before = resident(engine.process.pid)
    with nothing_more(engine):
        assert engine.tare("load", "-i", str(bomb), check=False).returncode == 1
        engine.tare("import", str(bomb), "hostile:1")  # to tar, zeros are an archive with nothing in it
        engine.tare("rmi", "hostile:1")
    assert resident(engine.process.pid) < before + (16 << 20)


def test_a_fifo_and_a_socket_in_a_layer(engine: Daemon, busybox_tar: Path, tmp_path: Path) -> None:
    layer = members(("pipe", {"type": tarfile.FIFOTYPE, "mode": 0o600}, b""))
    archive = tmp_path / "archive.tar"
    base = busybox_tar.read_bytes()
    archive.write_bytes(pack(docker_archive((["hostile:1"], config(base, layer), [base, layer]))))
    engine.tare("load", "-i", str(archive))
    try:
        mode = int(engine.tare(*NONE, "hostile:1", "stat", "-c", "%f", "/pipe").stdout, 16)
        assert stat.S_ISFIFO(mode)
    finally:
        engine.tare("rmi", "-f", "hostile:1")
