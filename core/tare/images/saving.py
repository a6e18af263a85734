"""``save``: one tar that is a docker-archive and an OCI image layout at once, byte-stable, with the blobs as they lie."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import BinaryIO

from tare.images.blobs import Blobs, damaged, digest_of, hexadecimal
from tare.images.documents import encode_list
from tare.images.layout import MARKER, index, index_entries, oci_manifest
from tare.linux import tar
from tare.model.image import Image

CHUNK = 1 << 20


def save(blobs: Blobs, images: Sequence[Image], names: Mapping[str, Sequence[str]], out: BinaryIO) -> None:
    """Write ``images`` under ``names`` (by id). Each blob is written once. Raises Internal for a lost or damaged blob."""
    entries = []
    docker = []
    wanted: dict[str, bytes | None] = {}
    for image in images:
        stored = blobs.read(image.manifest)
        _, listed = oci_manifest(stored)
        wanted[digest_of(listed)] = listed
        wanted[image.id] = None
        for layer in image.layers:
            wanted[layer.blob] = None
        called = sorted(names.get(image.id, ()))
        entries += index_entries(listed, called, qualified=True)
        docker.append(
            {
                "Config": _name(image.id),
                "RepoTags": called or None,
                "Layers": [_name(layer.blob) for layer in image.layers],
            }
        )
    for directory in (b"blobs/", b"blobs/sha256/"):
        out.write(tar.header(_entry(directory, tar.DIRECTORY, 0o755, 0)))
    for digest in sorted(wanted):
        content = wanted[digest]
        if content is None:
            _copy(blobs, digest, out)
        else:
            _write(_name(digest), content, out)
    _write("index.json", index(entries), out)
    _write("manifest.json", encode_list(docker), out)
    _write("oci-layout", MARKER, out)
    out.write(tar.END)


def _name(digest: str) -> str:
    return f"blobs/sha256/{hexadecimal(digest)}"


def _entry(name: bytes, kind: bytes, mode: int, size: int) -> tar.Entry:
    entry = tar.Entry(name, kind)
    entry.mode, entry.size = mode, size
    return entry


def _write(name: str, content: bytes, out: BinaryIO) -> None:
    out.write(tar.header(_entry(name.encode(), tar.FILE, 0o644, len(content))))
    out.write(content)
    out.write(bytes(-len(content) % tar.RECORD))


def _copy(blobs: Blobs, digest: str, out: BinaryIO) -> None:
    with blobs.open(digest) as file:
        size = os.fstat(file.fileno()).st_size
        out.write(tar.header(_entry(_name(digest).encode(), tar.FILE, 0o644, size)))
        found = hashlib.sha256()
        while data := file.read(CHUNK):
            found.update(data)
            out.write(data)
        if found.hexdigest() != hexadecimal(digest):
            raise damaged(digest)
        out.write(bytes(-size % tar.RECORD))
