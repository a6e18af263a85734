"""load: archives of every sort, and every sort of spoiled archive."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tare.errors import Invalid, NotFound, TareError

from .conftest import DataRoot, config, docker_archive, oci_archive, pack, sha, tree

ONE, TWO = tree({"a": b"1" * 1000}), tree({"b": b"2" * 2000})
CONFIG = config(ONE, TWO)


def test_docker_archive(data: DataRoot) -> None:
    assert data.load(pack(docker_archive((["app:1", "other/app:2"], CONFIG, [ONE, TWO])))) == ["app:1", "other/app:2"]
    assert data.lines == ["Loaded image: app:1", "Loaded image: other/app:2"]
    image = data.store.image("app:1")
    assert image.id == sha(CONFIG)
    assert image.tags == ("app:1", "other/app:2")
    assert image.size == 3000
    assert [layer.diff_id for layer in image.layers] == [sha(ONE), sha(TWO)]
    assert image.layers[1].chain_id == sha(f"{sha(ONE)} {sha(TWO)}".encode())
    assert data.leftovers() == []


@pytest.mark.parametrize("program", ["cat", "gzip -c", "zstd -qc", "xz -c", "bzip2 -c"])
def test_any_compression_whatever_the_name(data: DataRoot, program: str) -> None:
    plain = pack(docker_archive((["app:1"], CONFIG, [ONE, TWO])))
    archive = subprocess.run(program.split(), input=plain, capture_output=True, check=True).stdout
    assert data.load(archive) == ["app:1"]
    assert data.leftovers() == []


def test_from_a_pipe(data: DataRoot) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as out:
        out.write(pack(docker_archive((["app:1"], CONFIG, [ONE, TWO])))[:60_000])
    with os.fdopen(reading, "rb") as source:
        assert data.store.load(source, data.lines.append) == ["app:1"]


def test_several_images_share_layers_and_one_has_no_name(data: DataRoot) -> None:
    second = config(ONE)
    files = docker_archive((["app:1"], CONFIG, [ONE, TWO]), ([], second, [ONE]))
    assert data.load(pack(files)) == ["app:1", sha(second)]
    assert data.lines[-1] == f"Loaded image ID: {sha(second)}"
    assert len(data.store.images()) == 2


@pytest.mark.parametrize("kind", ["", "+gzip", "+zstd"])
def test_oci_archive_keeps_blobs_and_manifest_as_they_are(data: DataRoot, kind: str) -> None:
    program = {"": "cat", "+gzip": "gzip -c", "+zstd": "zstd -qc"}[kind]
    blobs = [subprocess.run(program.split(), input=layer, capture_output=True, check=True).stdout for layer in (ONE, TWO)]
    files = oci_archive(CONFIG, [(kind, blob) for blob in blobs])
    assert data.load(pack(files)) == ["app:1"]
    image = data.store.image("app:1")
    assert [layer.blob for layer in image.layers] == [sha(blob) for blob in blobs]
    manifest = json.loads(files["index.json"])["manifests"][0]["digest"]
    assert image.manifest == manifest and manifest[7:] in data.blobs()
    assert data.store.image(f"app@{manifest}").id == image.id


def test_schema_2_keeps_its_bytes_and_lists_an_oci_manifest(data: DataRoot) -> None:
    media_type = "application/vnd.docker.distribution.manifest.v2+json"
    data.load(pack(oci_archive(CONFIG, [("+gzip", gzip.compress(ONE)), ("+gzip", gzip.compress(TWO))], media_type=media_type)))
    image = data.store.image("app:1")
    assert json.loads((data.content / "blobs/sha256" / image.manifest[7:]).read_bytes())["mediaType"] == media_type
    listed = json.loads((data.content / "index.json").read_bytes())["manifests"][0]
    assert listed["mediaType"] == "application/vnd.oci.image.manifest.v1+json" and listed["digest"] != image.manifest
    out = subprocess.run(
        ["skopeo", "inspect", "--config", "--raw", f"oci:{data.content}:app:1"], capture_output=True, check=True
    ).stdout
    assert sha(out.strip()) == image.id


def test_nested_index_gives_this_machine_s_image(data: DataRoot) -> None:
    files = oci_archive(CONFIG, [("", ONE), ("", TWO)])
    entry = json.loads(files["index.json"])["manifests"][0]
    foreign = {**entry, "digest": "sha256:" + "f" * 64, "platform": {"os": "linux", "architecture": "mips"}}
    ours = {**entry, "annotations": {}, "platform": {"os": "linux", "architecture": json.loads(CONFIG)["architecture"]}}
    inner = json.dumps({"schemaVersion": 2, "manifests": [foreign, ours]}).encode()
    files[f"blobs/sha256/{sha(inner)[7:]}"] = inner
    outer = {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": sha(inner), "size": len(inner)}
    names = {"io.containerd.image.name": "docker.io/library/multi:3", "org.opencontainers.image.ref.name": "3"}
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [{**outer, "annotations": names}]}).encode()
    assert data.load(pack(files)) == ["multi:3"]
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [foreign]}).encode()
    with pytest.raises(TareError, match="no image for linux"):
        data.load(pack(files))


def test_archives_from_before_manifest_json(data: DataRoot) -> None:
    files = {
        "repositories": json.dumps({"old/app": {"v1": "b" * 64}}).encode(),
        "a" * 64 + "/json": json.dumps({"id": "a" * 64, "container_config": {"Cmd": ["ADD", "x"]}}).encode(),
        "a" * 64 + "/layer.tar": ONE,
        "b" * 64 + "/json": json.dumps({"id": "b" * 64, "parent": "a" * 64, "os": "linux", "config": {"Cmd": ["run"]}}).encode(),
        "b" * 64 + "/layer.tar": TWO,
    }
    assert data.load(pack(files)) == ["old/app:v1"]
    image = data.store.image("old/app:v1")
    assert [layer.diff_id for layer in image.layers] == [sha(ONE), sha(TWO)]
    assert image.config.command == ("run",)
    assert image.history[0].created_by == "ADD x"


def spoiled() -> dict[str, Callable[[dict[str, bytes]], bytes]]:
    """What may be wrong with a docker-archive: name → what makes it so."""

    def member(name: str, content: bytes) -> Callable[[dict[str, bytes]], bytes]:
        return lambda files: pack({**files, name: content})

    def without(name: str) -> Callable[[dict[str, bytes]], bytes]:
        return lambda files: pack({key: value for key, value in files.items() if key != name})

    def manifest(**members: object) -> Callable[[dict[str, bytes]], bytes]:
        def make(files: dict[str, bytes]) -> bytes:
            listed = json.loads(files["manifest.json"])
            listed[0].update(members)
            return pack({**files, "manifest.json": json.dumps(listed).encode()})

        return make

    layer = f"{sha(ONE)[7:]}/layer.tar"
    name = f"{sha(CONFIG)[7:]}.json"
    return {
        "empty": lambda files: b"",
        "junk": lambda files: os.urandom(5000),
        "text": lambda files: b"hello\n" * 1000,
        "a tar of something else": lambda files: pack({"etc/passwd": b"x"}),
        "cut": lambda files: pack(files)[:3000],
        "cut gzip": lambda files: gzip.compress(pack(files))[:-400],
        "no layer": without(layer),
        "no configuration": without(name),
        "another layer": member(layer, TWO),
        "a layer that is junk": member(layer, b"x" * 1000),
        "a layer that is cut": member(layer, ONE[:700]),
        "another configuration": member(name, config(ONE, ONE)),
        "configuration no JSON": member(name, b"{"),
        "configuration a list": member(name, b"[]"),
        "manifest no JSON": member("manifest.json", b"nope"),
        "manifest deep": member("manifest.json", b"[" * 100_000),
        "manifest an object": member("manifest.json", b"{}"),
        "manifest empty": member("manifest.json", b"[]"),
        "layers wrong": manifest(Layers="x"),
        "layer outside": manifest(Layers=["../../../../etc/passwd", layer]),
        "one layer for two": manifest(Layers=[layer, layer]),
        "too few layers": manifest(Layers=[layer]),
        "bad name": manifest(RepoTags=["Not A Name"]),
        "configuration a number": manifest(Config=5),
    }


@pytest.mark.parametrize("kind", spoiled())
def test_a_spoiled_archive_is_refused_and_leaves_nothing(data: DataRoot, kind: str) -> None:
    with pytest.raises(Invalid) as raised:
        data.load(spoiled()[kind](docker_archive((["app:1"], CONFIG, [ONE, TWO]))))
    assert len(str(raised.value)) < 500
    assert (data.store.images(), data.blobs(), data.leftovers()) == ([], set(), [])


def test_members_that_are_links_out_or_devices_are_not_read(data: DataRoot) -> None:
    for kind, target in (
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.SYMTYPE, "../../../etc/passwd"),
        (tarfile.LNKTYPE, "/etc/passwd"),
        (tarfile.CHRTYPE, ""),
    ):
        out = io.BytesIO(pack({"x": b""}))
        with tarfile.open(fileobj=out, mode="w") as archive:
            info = tarfile.TarInfo("manifest.json")
            info.type, info.linkname = kind, target
            archive.addfile(info)
        with pytest.raises(Invalid):
            data.load(out.getvalue())


def test_layers_that_are_links_to_each_other_as_docker_save_once_wrote(data: DataRoot) -> None:
    """The same layer twice in one image, packed once: by a symbolic link, by a hard link, and under one name."""
    document = config(ONE, ONE, ONE, ONE)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        listed = [{"Config": "c.json", "RepoTags": ["app:1"], "Layers": [f"{name}/layer.tar" for name in "abca"]}]
        for name, content in (("a/layer.tar", ONE), ("c.json", document), ("manifest.json", json.dumps(listed).encode())):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for name, kind, target in (("b", tarfile.SYMTYPE, "../a/layer.tar"), ("c", tarfile.LNKTYPE, "a/layer.tar")):
            info = tarfile.TarInfo(f"{name}/layer.tar")
            info.type, info.linkname = kind, target
            archive.addfile(info)
    assert data.load(out.getvalue()) == ["app:1"]
    image = data.store.image("app:1")
    assert [layer.diff_id for layer in image.layers] == [sha(ONE)] * 4
    assert len({layer.chain_id for layer in image.layers}) == 4
    assert len(data.blobs()) == 3
    again = io.BytesIO()
    data.store.save(["app:1"], again)
    data.store.remove("app:1")
    assert data.load(again.getvalue()) == ["app:1"] and data.store.image("app:1") == image


@pytest.mark.parametrize("which", ["layer", "config", "manifest"])
def test_an_oci_digest_that_does_not_match_is_refused(data: DataRoot, which: str) -> None:
    files = oci_archive(CONFIG, [("", ONE), ("", TWO)])
    manifest = json.loads(files["index.json"])["manifests"][0]["digest"]
    digest, before, after = {
        "layer": (sha(ONE), b"1" * 1000, b"3" * 1000),
        "config": (sha(CONFIG), b'"sh"', b'"ls"'),
        "manifest": (manifest, b"application/", b"applicatioN/"),
    }[which]
    name = f"blobs/sha256/{digest[7:]}"
    assert before in files[name]
    files[name] = files[name].replace(before, after)
    with pytest.raises(Invalid, match="does not match"):
        data.load(pack(files))
    assert (data.store.images(), data.blobs(), data.leftovers()) == ([], set(), [])


def test_two_layers_claiming_one_digest(data: DataRoot) -> None:
    files = oci_archive(config(ONE, TWO), [("", ONE), ("", ONE)])
    with pytest.raises(Invalid, match="holds"):
        data.load(pack(files))


@pytest.mark.parametrize("name", ["../escape", "a/../../escape"])
def test_a_layer_that_climbs_is_refused_when_it_comes_in(data: DataRoot, name: str) -> None:
    evil = pack({name: b"x"})
    with pytest.raises(Invalid, match="climbs out"):
        data.load(pack(docker_archive((["app:1"], config(evil), [evil]))))


def test_a_good_image_stays_when_the_next_one_is_spoiled(data: DataRoot) -> None:
    bad = config(TWO)
    files = docker_archive((["good:1"], CONFIG, [ONE, TWO]), (["bad:1"], bad, [ONE]))
    with pytest.raises(Invalid):
        data.load(pack(files))
    assert [image.tags for image in data.store.images()] == [("good:1",)]
    with pytest.raises(NotFound, match="No such image: bad:1"):
        data.store.image("bad:1")


def test_a_name_moves_and_the_old_image_stays_without(data: DataRoot) -> None:
    data.load(pack(docker_archive((["app:1"], CONFIG, [ONE, TWO]))))
    newer = config(ONE)
    data.load(pack(docker_archive((["app:1"], newer, [ONE]))))
    assert "already exists, renaming the old one" in data.lines[-2]
    assert data.store.image("app:1").id == sha(newer)
    assert data.store.image(sha(CONFIG)).tags == ()


@pytest.mark.parametrize("source", ["docker-archive", "oci-archive"])
def test_archives_of_skopeo(data: DataRoot, tmp_path: Path, source: str) -> None:
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "tool").write_bytes(b"#!/bin/sh\n")
    layout = tmp_path / "layout"
    for command in (
        f"umoci init --layout {layout}",
        f"umoci new --image {layout}:made",
        f"umoci insert --image {layout}:made {root}/bin /bin",
        f"umoci config --image {layout}:made --config.env A=b --config.cmd /bin/tool",
        f"skopeo --insecure-policy copy -q oci:{layout}:made {source}:{tmp_path}/archive:made/app:1",
    ):
        subprocess.run(command.split(), check=True, capture_output=True)
    (name,) = data.load(tmp_path / "archive")
    image = data.store.image(name)
    assert name == "made/app:1"
    assert (image.config.command, image.config.env) == (("/bin/tool",), ("A=b",))
