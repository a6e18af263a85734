"""The tar around an image: what other programs write, and what is passed over or refused."""

from __future__ import annotations

import gzip
import io
import subprocess
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tare.errors import Invalid, TareError
from tare.linux import tar

from .conftest import DataRoot, config, docker_archive, oci_archive, pack, sha, tree

ONE, TWO = tree({"a": b"1" * 1000}), tree({"b": b"2" * 2000})
CONFIG = config(ONE, TWO)
FILES = docker_archive((["app:1"], CONFIG, [ONE, TWO]))
GOOD = pack(FILES)


def entry(name: str, kind: bytes, content: bytes = b"", **attributes: object) -> bytes:
    """One member of any type, with content whatever the type."""
    info = tarfile.TarInfo(name)
    info.size, info.type = len(content), kind
    for attribute, value in attributes.items():
        setattr(info, attribute, value)
    return info.tobuf(tarfile.PAX_FORMAT) + content + bytes(-len(content) % 512)


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout


SKIPPABLE = b"\x50\x2a\x4d\x18\x04\x00\x00\x00note"
READ: dict[str, Callable[[], bytes]] = {
    "GNU's directory of an incremental backup": lambda: entry("dump", b"D", b"Yfile\0\0") + GOOD,
    "a type of nobody": lambda: entry("what", b"Q", b"x" * 700) + GOOD,
    "a volume label": lambda: entry("label", b"V") + GOOD,
    "a device": lambda: entry("zero", tarfile.CHRTYPE, devmajor=1, devminor=5) + GOOD,
    "a fifo": lambda: entry("pipe", tarfile.FIFOTYPE) + GOOD,
    "a global pax header": lambda: entry("g", b"g", b"20 comment=whatever\n") + GOOD,
    "an empty pax path": lambda: entry("x", b"x", b"8 path=\n") + GOOD,
    "an empty pax size": lambda: entry("x", b"x", b"8 size=\n") + GOOD,
    "names with ./ before them": lambda: pack({f"./{name}": content for name, content in FILES.items()}),
    "a member that came twice": lambda: entry("manifest.json", tarfile.REGTYPE, b"nonsense") + GOOD,
    "something behind the end": lambda: GOOD + b"garbage" * 1000,
    "no end": lambda: GOOD.rstrip(b"\0") + b"\0" * (-len(GOOD.rstrip(b"\0")) % 512),
    "gzip in two members": lambda: gzip.compress(GOOD[:5000]) + gzip.compress(GOOD[5000:]),
    "gzip padded with zeros": lambda: gzip.compress(GOOD) + bytes(1000),
    "zstd in two frames": lambda: zstd(GOOD[:5000]) + zstd(GOOD[5000:]),
    "zstd with a frame to skip": lambda: SKIPPABLE + zstd(GOOD),
    "zstd with a frame to skip amid": lambda: zstd(GOOD[:5000]) + SKIPPABLE + zstd(GOOD[5000:]),
}


@pytest.mark.parametrize("kind", READ)
def test_read(data: DataRoot, kind: str) -> None:
    assert data.load(READ[kind]()) == ["app:1"]
    assert data.store.image("app:1").id == sha(CONFIG)
    assert data.leftovers() == []


def crc_wrong() -> bytes:
    packed = bytearray(gzip.compress(GOOD))
    packed[-8] ^= 1
    return bytes(packed)


def checksum_wrong() -> bytes:
    spoiled = bytearray(GOOD)
    spoiled[0] ^= 1
    return bytes(spoiled)


def lying(size: int) -> bytes:
    """A first member whose header claims this many bytes."""
    info = tarfile.TarInfo("lie")
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT) + GOOD


REFUSED: dict[str, Callable[[], bytes]] = {
    "gzip with a wrong sum": crc_wrong,
    "a header with a wrong sum": checksum_wrong,
    "gzip with garbage behind it": lambda: gzip.compress(GOOD) + b"garbage",
    "zstd cut": lambda: zstd(GOOD)[:-10],
    "a size beyond the file": lambda: lying(1 << 40),
    "a size beyond all files": lambda: lying((1 << 63) + 5),
    "a size that hides all else": lambda: lying(len(GOOD)),
    "cut in a member": lambda: GOOD[: len(GOOD) - 12_000],
    "an extended header alone": lambda: entry("x", b"x", b"8 path=\n"),
    "a sparse manifest": lambda: pack({name: content for name, content in FILES.items() if name != "manifest.json"})[:-10240]
    + entry("manifest.json", tarfile.REGTYPE, b"[]", pax_headers={"GNU.sparse.map": "0,2", "GNU.sparse.size": "2"})
    + bytes(1024),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused(data: DataRoot, kind: str) -> None:
    with pytest.raises(Invalid) as raised:
        data.load(REFUSED[kind]())
    assert 10 < len(str(raised.value)) < 300
    assert (data.store.images(), data.blobs(), data.leftovers()) == ([], set(), [])


@pytest.mark.parametrize(
    ("kind", "layer"),
    [
        ("a type of nobody", entry("etc/strange", b"Q")),
        ("an absolute name", entry("/etc/strange", tarfile.REGTYPE)),
        ("a name that climbs", entry("../etc/strange", tarfile.REGTYPE)),
        ("a hard link that climbs", entry("etc/strange", tarfile.LNKTYPE, linkname="../x")),
        ("a cut file", entry("etc/strange", tarfile.REGTYPE, b"x" * 2000)[:-700]),
    ],
)
@pytest.mark.parametrize("form", ["docker", "oci"])
def test_what_is_wrong_with_a_layer_is_told_with_its_place(data: DataRoot, form: str, kind: str, layer: bytes) -> None:
    layer = entry("etc", tarfile.DIRTYPE) + layer
    document = config(ONE, layer)
    files = docker_archive(([], document, [ONE, layer])) if form == "docker" else oci_archive(document, [("", ONE), ("", layer)])
    with pytest.raises(Invalid, match=f"layer .*{sha(layer)[7:]}.*etc/strange|layer .*{sha(layer)[7:]}.*\\.\\./x"):
        data.load(pack(files))
    assert (data.store.images(), data.blobs()) == ([], set())


def test_what_only_the_driver_can_see_is_told_with_its_place(data: DataRoot, tmp_path: Path) -> None:
    from tare.images.unpacking import DriverSpec

    layer = entry("door", tarfile.SYMTYPE, linkname="/") + entry("door/strange", tarfile.REGTYPE)
    data.load(pack(docker_archive((["app:1"], config(layer), [layer]))))
    spec = DriverSpec("tare_storage.overlay2.driver:Overlay2", str(tmp_path), str(tmp_path))
    with pytest.raises(TareError, match=f"layer {sha(layer)}: .*door/strange"):
        data.store.unpack(data.store.image("app:1"), spec, lambda id: False)


def test_a_bomb_is_not_read_into_memory_and_leaves_nothing(data: DataRoot) -> None:
    """200 MB of zeros in the middle of a member, two hundred thousand bytes on the wire."""
    machine = zlib.compressobj(1, wbits=31)
    info = tarfile.TarInfo("bomb")
    info.size = 200 << 20
    packed = machine.compress(info.tobuf())
    for _ in range(199):
        packed += machine.compress(bytes(1 << 20))
    with pytest.raises(Invalid, match="ends in the middle"):
        data.load(packed + machine.flush())
    assert (data.blobs(), data.leftovers()) == (set(), [])


class Seekable(io.BytesIO):
    skipped = 0

    def skip(self, size: int) -> int:
        ahead = min(size, len(self.getvalue()) - self.tell())
        self.seek(ahead, io.SEEK_CUR)
        self.skipped += ahead
        return ahead


def test_a_source_that_skips_is_not_read_and_offsets_are_right() -> None:
    files = {"big": b"b" * (3 << 20), "small": b"s", "n" * 300: b"long", "last": b"l" * (2 << 20)}
    source = Seekable(pack(files))
    reader = tar.Reader(source)
    for each in reader:
        assert source.getvalue()[reader.offset :].startswith(files[each.name.decode()][:10])
    assert source.skipped > 1 << 20
    cut = Seekable(pack(files)[: 2 << 20])
    with pytest.raises(tar.Damaged, match="ends in the middle"):
        list(tar.Reader(cut))
