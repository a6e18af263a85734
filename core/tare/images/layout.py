"""The content directory as an OCI image layout that skopeo and umoci read as it lies (OCI image spec, image-layout.md).

index.json is derived: what there is and what it is called stands in the state database. An image that came with a manifest
of Docker's schema 2 keeps that, and an OCI manifest with the same parts is listed beside it, because readers of layouts know no
other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tare.images.blobs import Blobs, digest_of, write_whole
from tare.images.documents import MANIFEST, Manifest, compose_manifest, encode, parse_manifest
from tare.images.references import parse

MARKER = b'{"imageLayoutVersion":"1.0.0"}'
REF_NAME = "org.opencontainers.image.ref.name"
FULL_NAME = "io.containerd.image.name"


def oci_manifest(content: bytes) -> tuple[Manifest, bytes]:
    """A stored manifest parsed, and the bytes that an OCI layout lists for it: the same when it is an OCI one."""
    manifest = parse_manifest(content)
    return manifest, content if manifest.media_type == MANIFEST else compose_manifest(manifest.config, manifest.layers)


def write_layout(blobs: Blobs, listed: Mapping[str, bytes], names: Mapping[str, Sequence[str]]) -> None:
    """Write oci-layout and index.json for images ``id → manifest that the layout lists`` with their names by id."""
    entries = []
    for id, manifest in listed.items():
        entries += index_entries(manifest, names.get(id, ()), qualified=False)
    _write_changed(f"{blobs.root}/oci-layout", MARKER)
    _write_changed(f"{blobs.root}/index.json", index(entries))


def _write_changed(path: str, content: bytes) -> None:
    """What says it already is left alone: a start needs no room on the disk."""
    try:
        with open(path, "rb") as file:
            if file.read() == content:
                return
    except FileNotFoundError:
        pass
    write_whole(path, content)


def index(entries: Sequence[Mapping[str, Any]]) -> bytes:
    return encode({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries})


def index_entries(listed: bytes, names: Iterable[str], *, qualified: bool) -> list[dict[str, Any]]:
    """One entry for each name, or one without. ``qualified`` adds the name that says the registry too."""
    plain = {"mediaType": MANIFEST, "digest": digest_of(listed), "size": len(listed)}
    entries = []
    for name in names:
        annotations = {REF_NAME: name}
        if qualified:
            annotations = {FULL_NAME: _qualified(name), REF_NAME: name}
        entries.append({**plain, "annotations": annotations})
    return entries or [plain]


def _qualified(name: str) -> str:
    reference = parse(name)
    return f"{reference.domain}/{reference.path}:{reference.tag}"
