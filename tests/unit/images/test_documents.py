"""The JSON documents of an archive: each may be anything, and what is wrong with it is said with its name."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tare.errors import Invalid, TareError, Unsupported
from tare.images.documents import decode

from .conftest import DataRoot, config, docker_archive, oci_archive, pack, sha, tree

ONE, TWO = tree({"a": b"1" * 1000}), tree({"b": b"2" * 2000})
CONFIG = config(ONE, TWO)
OCI = oci_archive(CONFIG, [("", ONE), ("", TWO)])
INDEX = "application/vnd.oci.image.index.v1+json"
MACHINE = json.loads(CONFIG)["architecture"]

NO_OBJECT = [b"[]", b"null", b'"text"', b"5", b"true", b"", b"{"]
NO_JSON = {
    "nested 200 deep": (b'{"x":' * 200 + b"1" + b"}" * 200, "nested deeper than 100 levels"),
    "nested 100000 deep": (b'{"x":' * 100_000, "nested deeper than 100 levels"),
    "lists nested 101 deep": (b'{"x":' + b"[" * 101 + b"]" * 101 + b"}", "nested deeper than 100 levels"),
    "NaN": (b'{"x": NaN}', "NaN is no number"),
    "infinity": (b'{"x": -Infinity}', "-Infinity is no number"),
    "2**63": (b'{"x": 9223372036854775808}', "beyond 64 bits"),
    "a number of 100000 digits": (b'{"x": ' + b"9" * 100_000 + b"}", "beyond 64 bits"),
    "a name twice": (b'{"x": 1, "y": {"z": 1, "z": 2}}', "'z' stands in one object twice"),
    "no UTF-8": (b'{"x": "\xff"}', "is no JSON"),
}


@pytest.mark.parametrize("kind", NO_JSON)
def test_stricter_than_python(kind: str) -> None:
    content, told = NO_JSON[kind]
    with pytest.raises(Invalid, match=f"^the thing.*{told}") as raised:
        decode(content, "the thing")
    assert len(str(raised.value)) < 200


def test_the_limits_themselves_are_allowed() -> None:
    document = decode(b'{"x":' * 99 + b"9223372036854775807" + b"}" * 99, "the thing")
    for _ in range(98):
        document = document["x"]
    assert document == {"x": (1 << 63) - 1}
    assert decode(b'{"a": "\\ud800"}', "the thing") == {"a": "\ufffd"}


def docker(name: str, content: bytes) -> bytes:
    files = docker_archive((["app:1"], content if name == "config" else CONFIG, [ONE, TWO]))
    return pack(files if name == "config" else {**files, name: content})


def oci(name: str, content: bytes) -> bytes:
    """An OCI archive with one document replaced, and correctly named by those above it."""
    files = dict(OCI)
    index = json.loads(files["index.json"])
    entry = index["manifests"][0]
    manifest = json.loads(files[f"blobs/sha256/{entry['digest'][7:]}"])
    if name == "config":
        manifest["config"] |= {"digest": sha(content), "size": len(content)}
        files[f"blobs/sha256/{sha(content)[7:]}"] = content
        content = json.dumps(manifest).encode()
    if name in ("config", "manifest"):
        entry |= {"digest": sha(content), "size": len(content)}
        files[f"blobs/sha256/{sha(content)[7:]}"] = content
        name, content = "index.json", json.dumps(index).encode()
    return pack({**files, name: content})


def legacy(name: str, content: bytes) -> bytes:
    id = "a" * 64
    files = {
        "repositories": json.dumps({"old/app": {"v1": id}}).encode(),
        f"{id}/json": json.dumps({"id": id}).encode(),
        f"{id}/layer.tar": ONE,
    }
    return pack({**files, name: content})


PLACES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "manifest.json": (lambda content: docker("manifest.json", content), "manifest.json"),
    "configuration in a docker-archive": (lambda content: docker("config", content), "the image configuration"),
    "index.json": (lambda content: oci("index.json", content), "index.json"),
    "oci-layout": (lambda content: oci("oci-layout", content), "oci-layout"),
    "manifest": (lambda content: oci("manifest", content), "the manifest"),
    "configuration in an OCI archive": (lambda content: oci("config", content), "the image configuration"),
    "repositories": (lambda content: legacy("repositories", content), "repositories"),
    "json of a layer": (lambda content: legacy("a" * 64 + "/json", content), "a" * 64 + "/json"),
}


def refused(data: DataRoot, archive: bytes, told: str, error: type[TareError] = Invalid) -> None:
    with pytest.raises(error, match=told) as raised:
        data.load(archive)
    assert len(str(raised.value)) < 500
    assert (data.store.images(), data.blobs(), data.leftovers()) == ([], set(), [])


@pytest.mark.parametrize("place", PLACES)
def test_a_document_of_another_sort(data: DataRoot, place: str) -> None:
    make, name = PLACES[place]
    for content in (*NO_OBJECT, NO_JSON["nested 200 deep"][0], NO_JSON["a name twice"][0]):
        if content != b"[]" or place != "manifest.json":
            refused(data, make(content), f"^{name}")


MEMBERS: list[tuple[str, Any]] = [
    ("rootfs", None), ("rootfs", []), ("rootfs", {"diff_ids": {}}), ("rootfs", {"diff_ids": [None, 5]}),
    ("history", {}), ("history", 0), ("history", ["x"]), ("history", [None]), ("history", [{"created": "x"}]),
    ("history", [{"empty_layer": 1}]), ("config", []), ("config", ""), ("config", {"Env": {}}), ("config", {"Labels": {"a": 1}}),
    ("config", {"Healthcheck": []}), ("config", {"Healthcheck": {"Interval": "1s"}}),
    ("config", {"Healthcheck": {"Retries": True}}), ("config", {"Healthcheck": {"Timeout": 0.5}}),
    ("created", 5), ("created", "yesterday"), ("created", "2024-02-31T00:00:00Z"), ("created", "2024-02-03"), ("os", []),
]  # fmt: skip


@pytest.mark.parametrize(("member", "value"), MEMBERS)
def test_a_configuration_with_a_wrong_member(data: DataRoot, member: str, value: object) -> None:
    document = json.dumps({**json.loads(CONFIG), member: value}).encode()
    refused(data, docker("config", document), "(image configuration|history|invalid digest)")


@pytest.mark.parametrize("size", [-1, 1.0, "5", True, None, 1 << 63, 5, 1 << 62])
@pytest.mark.parametrize("where", ["layer", "config", "index"])
def test_sizes_that_are_none(data: DataRoot, where: str, size: object) -> None:
    entry = json.loads(OCI["index.json"])["manifests"][0]
    manifest = json.loads(OCI[f"blobs/sha256/{entry['digest'][7:]}"])
    if where == "index":
        refused(data, oci("index.json", json.dumps({"manifests": [{**entry, "size": size}]}).encode()), "size|bytes|64 bits")
        return
    part = manifest["config"] if where == "config" else manifest["layers"][1]
    part["size"] = size
    refused(data, oci("manifest", json.dumps(manifest).encode()), "size|bytes|64 bits")


@pytest.mark.parametrize("version", [1, "2", 2.0, True, None])
def test_a_manifest_of_another_version(data: DataRoot, version: object) -> None:
    manifest = json.loads(OCI[f"blobs/sha256/{json.loads(OCI['index.json'])['manifests'][0]['digest'][7:]}"])
    refused(data, oci("manifest", json.dumps({**manifest, "schemaVersion": version}).encode()), "schema version", Unsupported)


def test_layouts_of_another_version(data: DataRoot) -> None:
    for version in ("2.0.0", 1, None):
        content = json.dumps({"imageLayoutVersion": version}).encode()
        refused(data, oci("oci-layout", content), "OCI image layout of version", Unsupported)


def platforms(*variants: tuple[str, str, bytes]) -> dict[str, bytes]:
    """An OCI archive of one image for several platforms: (architecture, variant, configuration)."""
    files: dict[str, bytes] = {}
    entries = []
    for machine, variant, document in variants:
        made = oci_archive(document, [("", ONE), ("", TWO)])
        entry = json.loads(made["index.json"])["manifests"][0]
        entries.append({**entry, "annotations": {}, "platform": {"os": "linux", "architecture": machine, "variant": variant}})
        files |= made
    inner = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    names = {"org.opencontainers.image.ref.name": "multi:3"}
    outer = {"mediaType": INDEX, "digest": sha(inner), "size": len(inner), "annotations": names}
    files[f"blobs/sha256/{sha(inner)[7:]}"] = inner
    return {**files, "index.json": json.dumps({"schemaVersion": 2, "manifests": [outer]}).encode()}


def test_one_image_is_taken_of_several_platforms(data: DataRoot) -> None:
    foreign, newer = config(ONE, TWO, author="foreign"), config(ONE, TWO, author="newer")
    files = platforms(("mips", "", foreign), (MACHINE, "v99", newer), (MACHINE, "", CONFIG))
    assert data.load(pack(files)) == ["multi:3"]
    assert [image.id for image in data.store.images()] == [sha(CONFIG)]


def test_no_image_for_this_machine_says_for_which(data: DataRoot) -> None:
    files = platforms(("mips", "r2", CONFIG), ("sparc", "", CONFIG))
    refused(data, pack(files), f"no image for linux/{MACHINE}, but for linux/mips/r2, linux/sparc", Unsupported)


def test_a_platform_asked_for_is_taken_or_nothing(data: DataRoot) -> None:
    foreign = config(ONE, TWO, architecture="mips", variant="r2")

    def load(files: dict[str, bytes], *platform: str) -> list[str]:
        (data.root / "archive").write_bytes(pack(files))
        with open(data.root / "archive", "rb") as file:
            return data.store.load(file, data.lines.append, platform)  # type: ignore[arg-type]

    docker = docker_archive((["ours:1"], CONFIG, [ONE, TWO]), (["theirs:1"], foreign, [ONE, TWO]))
    assert load(docker, "linux", "mips", "") == load(docker, "linux", "mips", "r2") == ["theirs:1"]
    assert load(platforms((MACHINE, "", CONFIG), ("mips", "r2", foreign)), "linux", "mips", "") == ["multi:3"]
    assert [image.id for image in data.store.images()] == [sha(foreign)]
    for files in (docker, oci_archive(CONFIG, [("", ONE), ("", TWO)]), platforms((MACHINE, "", CONFIG))):
        with pytest.raises(Unsupported, match=f"no image for linux/sparc, but for linux/({MACHINE}|mips)"):
            load(files, "linux", "sparc", "")


def test_an_artifact_is_no_image(data: DataRoot) -> None:
    entry = json.loads(OCI["index.json"])["manifests"][0]
    manifest = json.loads(OCI[f"blobs/sha256/{entry['digest'][7:]}"])
    manifest["config"]["mediaType"] = "application/vnd.cncf.helm.config.v1+json"
    refused(data, oci("manifest", json.dumps(manifest).encode()), "helm.*no image", Unsupported)
    signed = {**entry, "artifactType": "application/vnd.dev.cosign", "annotations": {}}
    refused(data, oci("index.json", json.dumps({"manifests": [signed]}).encode()), "cosign", Unsupported)
    assert data.load(oci("index.json", json.dumps({"manifests": [signed, entry]}).encode())) == ["app:1"]


@pytest.mark.parametrize("kind", ["docker.image.rootfs.foreign.diff.tar.gzip", "oci.image.layer.nondistributable.v1.tar"])
def test_layers_that_are_elsewhere(data: DataRoot, kind: str) -> None:
    manifest = json.loads(OCI[f"blobs/sha256/{json.loads(OCI['index.json'])['manifests'][0]['digest'][7:]}"])
    manifest["layers"][1]["mediaType"] = f"application/vnd.{kind}"
    refused(data, oci("manifest", json.dumps(manifest).encode()), f"{sha(TWO)}.*{kind}.*elsewhere", Unsupported)


def test_indexes_that_name_each_other_a_thousand_times(data: DataRoot) -> None:
    files = dict(OCI)
    entry = json.loads(files["index.json"])["manifests"][0]
    for _ in range(3):
        index = json.dumps({"schemaVersion": 2, "manifests": [entry] * 1000}).encode()
        entry = {"mediaType": INDEX, "digest": sha(index), "size": len(index)}
        files[f"blobs/sha256/{sha(index)[7:]}"] = index
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    data.load(pack(files))
    assert [image.id for image in data.store.images()] == [sha(CONFIG)]


def test_an_old_layout_has_no_marker(data: DataRoot) -> None:
    assert data.load(pack({name: content for name, content in OCI.items() if name != "oci-layout"})) == ["app:1"]
