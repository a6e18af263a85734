"""What ``import`` does in its worker: a tar of a tree becomes an image of one layer."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any, BinaryIO

from tare.errors import Invalid
from tare.images.blobs import Session, digest_of
from tare.images.documents import CONFIG, Descriptor, architecture, compose_manifest, encode
from tare.images.measure import measure


def import_tree(session: Session, source: BinaryIO, config: dict[str, Any], message: str, platform: str) -> dict[str, Any]:
    """Write the layer, a configuration and a manifest into the session. Returns what tare.images.loading.load yields.

    ``platform`` is ``os[/architecture[/variant]]``; without it the image is for this machine. Raises Invalid.
    """
    temporary = f"{session.path}/layer"
    target = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        layer = measure(source, target)
    finally:
        os.close(target)
    session.keep(temporary, layer.blob)
    created = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    document = {
        **_platform(platform),
        "created": created,
        "comment": message,
        "config": config,
        "history": [{"created": created, "comment": message}],
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
    }
    content = encode(document)
    described = Descriptor(CONFIG, digest_of(content), len(content))
    manifest = compose_manifest(described, [Descriptor(layer.media_type, layer.blob, layer.size)])
    session.write(content)
    session.write(manifest)
    session.sync()
    return {
        "id": described.digest,
        "manifest": digest_of(manifest),
        "created": created,
        "references": [],
        "blobs": [digest_of(manifest), described.digest, layer.blob],
        "sizes": {layer.diff_id: layer.files},
    }


def _platform(text: str) -> dict[str, str]:
    system, _, rest = text.partition("/")
    machine, _, variant = rest.partition("/")
    if system and system != "linux":
        raise Invalid(f"operating system is not supported: {system}", subject=text, hint="use linux")
    members = {"architecture": machine or architecture(), "os": "linux"}
    return {**members, "variant": variant} if variant else members
