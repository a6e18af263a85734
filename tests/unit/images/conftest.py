"""A store on a scratch data-root, and archives made by hand: good ones and those that somebody spoiled."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tare.images.store import ImageStore
from tare.state.database import State


class DataRoot:
    """A store with its database; ``reopened`` is what a restarted daemon has."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.content = root / "content"
        self.lines: list[str] = []
        self.open()

    def open(self) -> None:
        self.state = State(self.root)
        self.store = ImageStore(self.content, self.state.images)

    def close(self) -> None:
        self.store.close()
        self.state.close()

    def reopened(self) -> ImageStore:
        self.close()
        self.open()
        return self.store

    def load(self, archive: bytes | Path) -> list[str]:
        path = archive
        if isinstance(archive, bytes):
            path = self.root / "archive"
            path.write_bytes(archive)
        with open(path, "rb") as file:
            return self.store.load(file, self.lines.append)

    def blobs(self) -> set[str]:
        return set(os.listdir(self.content / "blobs" / "sha256"))

    def leftovers(self) -> list[str]:
        return os.listdir(self.content / "ingest")


@pytest.fixture
def data(tmp_path: Path) -> Iterator[DataRoot]:
    root = tmp_path / "data"
    root.mkdir()
    made = DataRoot(root)
    yield made
    made.close()


def sha(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def tree(files: Mapping[str, bytes]) -> bytes:
    """The plain tar of a layer."""
    return pack({f"./{name}": content for name, content in files.items()})


def pack(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def config(*diffs: bytes, **members: Any) -> bytes:
    document = {
        "architecture": os.uname().machine.replace("x86_64", "amd64").replace("aarch64", "arm64"),
        "os": "linux",
        "created": "2024-01-02T03:04:05Z",
        "config": {"Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [sha(diff) for diff in diffs]},
        **members,
    }
    return json.dumps(document).encode()


def docker_archive(*images: tuple[list[str], bytes, list[bytes]]) -> dict[str, bytes]:
    """Files of a docker-archive of (names, configuration, layers)."""
    files: dict[str, bytes] = {}
    listed = []
    for names, document, layers in images:
        name = sha(document)[7:] + ".json"
        files[name] = document
        paths = []
        for layer in layers:
            paths.append(f"{sha(layer)[7:]}/layer.tar")
            files[paths[-1]] = layer
        listed.append({"Config": name, "RepoTags": names, "Layers": paths})
    files["manifest.json"] = json.dumps(listed).encode()
    return files


def oci_archive(
    document: bytes, layers: list[tuple[str, bytes]], name: str = "app:1", media_type: str = "", **annotations: str
) -> dict[str, bytes]:
    """Files of an OCI layout of one image; ``layers`` are (media type suffix, blob)."""
    docker = "docker" in media_type
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type or "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json"
            if docker
            else "application/vnd.oci.image.config.v1+json",
            "digest": sha(document),
            "size": len(document),
        },
        "layers": [
            {
                "mediaType": "application/vnd.docker.image.rootfs.diff.tar" + kind.replace("+", ".")
                if docker
                else "application/vnd.oci.image.layer.v1.tar" + kind,
                "digest": sha(blob),
                "size": len(blob),
            }
            for kind, blob in layers
        ],
    }
    content = json.dumps(manifest, indent=3).encode()
    entry = {
        "mediaType": manifest["mediaType"],
        "digest": sha(content),
        "size": len(content),
        "annotations": {"org.opencontainers.image.ref.name": name, **annotations},
    }
    files = {
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        "index.json": json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode(),
    }
    for blob in (content, document, *(blob for _, blob in layers)):
        files[f"blobs/sha256/{sha(blob)[7:]}"] = blob
    return files
