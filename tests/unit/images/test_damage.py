"""Content that somebody damaged, and content that goes while it is used."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tare.errors import Internal
from tare.images.blobs import Blobs
from tare.images.unpacking import DriverSpec

from .conftest import DataRoot, config, docker_archive, oci_archive, pack, sha, tree

ONE, TWO = tree({"a": b"1" * 1000}), tree({"b": b"2" * 2000})
CONFIG, SECOND = config(ONE, TWO), config(ONE)


@pytest.fixture
def loaded(data: DataRoot) -> DataRoot:
    data.load(pack(docker_archive((["app:1"], CONFIG, [ONE, TWO]), (["base"], SECOND, [ONE]))))
    return data


Damage = Callable[[Path], None]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def blob(data: DataRoot, digest: str) -> Path:
    return data.content / "blobs" / "sha256" / digest[7:]


@pytest.mark.parametrize("damage", [Path.unlink, cut, emptied, a_directory])
@pytest.mark.parametrize("what", ["configuration", "manifest"])
def test_a_damaged_image_hides_no_other_and_can_be_removed(loaded: DataRoot, what: str, damage: Damage) -> None:
    image = loaded.store.image("app:1")
    broken = {"configuration": image.id, "manifest": image.manifest}[what]
    damage(blob(loaded, broken))
    store = loaded.reopened()
    assert [(each.id, each.tags) for each in store.images()][-1] == (sha(CONFIG), ("app:1",))
    with pytest.raises(Internal, match=f"{broken}.*load the image again"):
        store.image("app:1")
    assert store.image(sha(SECOND)).tags == ("base:latest",)
    assert store.remove("app:1") == [("untagged", "app:1"), ("deleted", sha(CONFIG))]
    assert [each.tags for each in store.images()] == [("base:latest",)]


@pytest.mark.parametrize("damage", [Path.unlink, cut, emptied])
@pytest.mark.parametrize("what", ["configuration", "manifest", "layer"])
def test_what_is_damaged_is_mended_by_loading_it_again(loaded: DataRoot, tmp_path: Path, what: str, damage: Damage) -> None:
    image = loaded.store.image("app:1")
    broken = {"configuration": image.id, "manifest": image.manifest, "layer": image.layers[1].blob}[what]
    damage(blob(loaded, broken))
    loaded.reopened()
    loaded.load(pack(docker_archive((["app:1"], CONFIG, [ONE, TWO]))))
    assert loaded.reopened().image("app:1") == image
    spec = DriverSpec("tare_storage.overlay2.driver:Overlay2", str(tmp_path), str(tmp_path))
    assert loaded.store.unpack(image, spec, lambda id: False) == 2
    assert sha(blob(loaded, broken).read_bytes()) == broken


def test_a_damaged_layer_is_mended_by_another_manifest_of_the_same_image(loaded: DataRoot) -> None:
    cut(blob(loaded, sha(TWO)))
    packed = [("+gzip", gzip.compress(layer)) for layer in (ONE, TWO)]
    loaded.load(pack(oci_archive(CONFIG, packed)))
    image = loaded.store.image("app:1")
    assert [layer.blob for layer in image.layers] == [sha(content) for _, content in packed]
    assert sha(TWO)[7:] not in loaded.blobs()
    assert len(loaded.store.images()) == 2


def test_save_of_a_damaged_layer_is_refused(loaded: DataRoot) -> None:
    blob(loaded, sha(TWO)).write_bytes(TWO.replace(b"2", b"3"))
    with pytest.raises(Internal, match=f"damaged {sha(TWO)}"):
        loaded.store.save(["app:1"], io.BytesIO())


def test_a_directory_among_the_blobs_stops_nothing(loaded: DataRoot) -> None:
    (loaded.content / "blobs" / "sha256" / "lost+found").mkdir()
    loaded.reopened().remove("app:1")
    assert [image.tags for image in loaded.store.images()] == [("base:latest",)]


@pytest.mark.parametrize("content", [b"", b"[]", b"5", b"null", b"{", b"[" * 100_000, b'{"sha256:x": "y"}'])
@pytest.mark.parametrize("name", ["sizes.json", "index.json", "oci-layout"])
def test_a_spoiled_file_beside_the_blobs_stops_no_start(loaded: DataRoot, name: str, content: bytes) -> None:
    (loaded.content / name).write_bytes(content)
    assert [image.tags for image in loaded.reopened().images()] == [("app:1",), ("base:latest",)]
    json.loads((loaded.content / "index.json").read_bytes())["manifests"][1]


def test_what_is_loaded_stays_until_all_of_the_archive_is(loaded: DataRoot) -> None:
    """Somebody removes the first image of an archive before the second, which shares its layer, is recorded."""
    shared, own = tree({"shared": b"s"}), tree({"own": b"o"})
    files = docker_archive((["first:1"], config(shared), [shared]), (["second:1"], config(shared, own), [shared, own]))
    (loaded.root / "archive").write_bytes(pack(files))

    def line(text: str) -> None:
        if "first:1" in text:
            loaded.store.remove("first:1")
            assert sha(shared)[7:] in loaded.blobs()

    with open(loaded.root / "archive", "rb") as file:
        loaded.store.load(file, line)
    assert {layer.blob[7:] for layer in loaded.store.image("second:1").layers} <= loaded.blobs()
    loaded.store.remove("second:1")
    assert sha(shared)[7:] not in loaded.blobs()


def test_save_beside_rmi_gives_the_whole_image(loaded: DataRoot) -> None:
    class Removing(io.BytesIO):
        def write(self, data: bytes) -> int:
            if not self.tell():
                loaded.store.remove("app:1")
            return super().write(data)

    out = Removing()
    loaded.store.save(["app:1"], out)
    assert sha(TWO)[7:] not in loaded.blobs()
    assert loaded.load(out.getvalue()) == ["app:1"]


def test_a_change_reads_no_other_image(loaded: DataRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tag or a removal takes as long with a thousand images as with two."""
    asked: list[str] = []
    read = Blobs.read
    monkeypatch.setattr(Blobs, "read", lambda blobs, digest: asked.append(digest) or read(blobs, digest))
    loaded.store.tag("base", "x:1")
    loaded.store.remove("x:1")
    assert asked == []
