"""The JSON documents of an image: configuration and manifest (OCI image spec, config.md and manifest.md; Docker's "Image
Manifest Version 2, Schema 2", whose members are the same)."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import NoneType
from typing import Any

from tare.errors import Invalid, Unsupported
from tare.images.blobs import checked, digest_of
from tare.images.measure import PLAIN
from tare.model.image import HistoryEntry, Image, ImageConfig, Layer
from tare.model.text import has_halves, writable

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
_OCI_NAMES = {
    "application/vnd.docker.container.image.v1+json": CONFIG,
    "application/vnd.docker.image.rootfs.diff.tar": PLAIN,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": PLAIN + "+gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd": PLAIN + "+zstd",
}
DEPTH_MAX = 100
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_FOREIGN = re.compile(r"foreign|nondistributable")

MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386", "ppc64le": "ppc64le", "s390x": "s390x"}


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest says of a blob."""

    media_type: str
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    config: Descriptor
    layers: tuple[Descriptor, ...]
    media_type: str


def architecture() -> str:
    """This machine as image configurations call it."""
    machine = os.uname().machine
    return MACHINES.get(machine, machine)


def decode(content: bytes, what: str) -> dict[str, Any]:
    """A JSON object. Raises Invalid naming ``what``."""
    document = decode_any(content, what)
    if not isinstance(document, dict):
        raise Invalid(f"{what} is no JSON object")
    return document


def decode_any(content: bytes, what: str) -> Any:
    """A JSON value. Stricter than Python's decoder, because others will read what is kept here: Raises Invalid naming ``what``
    for NaN, numbers beyond 64 bits, a name twice in an object, and more than DEPTH_MAX levels."""
    try:
        document = json.loads(content, object_pairs_hook=_object, parse_int=_integer, parse_constant=_constant)
    except RecursionError:
        raise _too_deep(what) from None
    except ValueError as error:
        raise Invalid(f"{what} is no JSON: {error}") from None
    level = [document]
    for _ in range(DEPTH_MAX + 1):
        level = [value for each in level if isinstance(each, (dict, list)) for value in _values(each)]
        if not level:
            break
    else:
        raise _too_deep(what)
    return writable(document) if has_halves(content) else document


def _too_deep(what: str) -> Invalid:
    return Invalid(f"{what} is nested deeper than {DEPTH_MAX} levels")


def _values(each: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return each.values() if isinstance(each, dict) else each


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        left = Counter(name for name, _ in pairs)
        raise ValueError(f"{left.most_common(1)[0][0][:100]!a} stands in one object twice")
    return document


def _integer(digits: str) -> int:
    if len(digits) > 20 or not -(1 << 63) <= int(digits) < 1 << 63:
        raise ValueError(f"the number {digits[:20]}{'…' if len(digits) > 20 else ''} is beyond 64 bits")
    return int(digits)


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def encode(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def encode_list(documents: Sequence[Mapping[str, Any]]) -> bytes:
    return json.dumps(documents, separators=(",", ":"), ensure_ascii=False).encode()


def descriptor(document: object, what: str) -> Descriptor:
    if not isinstance(document, dict):
        raise Invalid(f"{what} is no descriptor")
    size = document.get("size")
    if type(size) is not int or size < 0:
        raise Invalid(f"{what} has a wrong size: {ascii(size)[:50]}")
    media_type = document.get("mediaType", "")
    if not isinstance(media_type, str):
        raise Invalid(f"{what} has a wrong mediaType: {ascii(media_type)[:50]}")
    return Descriptor(media_type, checked(document.get("digest"), what), size)


def parse_manifest(content: bytes) -> Manifest:
    """Raises Invalid, and Unsupported for what is not in the archive but elsewhere."""
    document = decode(content, "the manifest")
    layers = document.get("layers")
    version = document.get("schemaVersion")
    if type(version) is not int or version != 2:
        raise Unsupported(f"a manifest of schema version {ascii(version)[:50]}", hint="only version 2 is supported")
    if not isinstance(layers, list):
        raise Invalid("the manifest has no list of layers")
    parsed = tuple(descriptor(layer, f"layer {number} of the manifest") for number, layer in enumerate(layers, 1))
    for layer in parsed:
        if _FOREIGN.search(layer.media_type):
            what = f"layer {layer.digest} of the type {layer.media_type[:200]}"
            raise Unsupported(f"{what}, which is not in the archive but elsewhere", subject=layer.digest)
    config = descriptor(document.get("config"), "the configuration in the manifest")
    if config.media_type not in ("", CONFIG, *(docker for docker, oci in _OCI_NAMES.items() if oci == CONFIG)):
        raise Unsupported(f"an artifact of the type {config.media_type[:200]}, which is no image", subject=config.digest)
    return Manifest(config, parsed, str(document.get("mediaType") or MANIFEST))


def compose_manifest(config: Descriptor, layers: Sequence[Descriptor]) -> bytes:
    """An OCI manifest, byte-stable. Docker's media types become OCI's."""

    def member(part: Descriptor) -> dict[str, Any]:
        return {"mediaType": _OCI_NAMES.get(part.media_type, part.media_type), "digest": part.digest, "size": part.size}

    return encode(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": member(config),
            "layers": [member(layer) for layer in layers],
        }
    )


def chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """OCI image spec, config.md, "Layer ChainID"."""
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append("sha256:" + hashlib.sha256(f"{chain[-1]} {diff_id}".encode()).hexdigest() if chain else diff_id)
    return chain


def diff_ids(config: Mapping[str, Any]) -> list[str]:
    rootfs = config.get("rootfs")
    listed = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if listed is None and isinstance(rootfs, dict):
        return []
    if not isinstance(listed, list):
        raise Invalid("the image configuration has no rootfs.diff_ids")
    return [checked(diff_id, "a layer in the image configuration") for diff_id in listed]


def parse_image(config: bytes, manifest: Manifest, manifest_digest: str, sizes: Mapping[str, int]) -> Image:
    """The image that a configuration and a manifest describe, without its names. Raises Invalid."""
    document = decode(config, "the image configuration")
    ids = diff_ids(document)
    if len(ids) != len(manifest.layers):
        raise Invalid(f"the image configuration names {len(ids)} layers, the manifest {len(manifest.layers)}")
    layers = tuple(
        Layer(diff_id, chain_id, layer.digest, layer.media_type, layer.size, sizes.get(diff_id, layer.size))
        for diff_id, chain_id, layer in zip(ids, chain_ids(ids), manifest.layers, strict=True)
    )
    read = _Members(document, "the image configuration")
    history = document.get("history")
    if history is None:
        history = []
    if not isinstance(history, list):
        raise Invalid("the image configuration's history is no list")
    inherited = document.get("config")
    return Image(
        id=digest_of(config),
        manifest=manifest_digest,
        created=read.time("created"),
        architecture=read.text("architecture"),
        os=read.text("os") or "linux",
        config=_image_config({} if inherited is None else inherited),
        layers=layers,
        history=tuple(_history(_Members(line, "an entry of the image's history")) for line in history),
        size=sum(layer.unpacked for layer in layers),
        author=read.text("author"),
        comment=read.text("comment"),
        variant=read.text("variant"),
        docker_version=read.text("docker_version"),
    )


def _history(read: _Members) -> HistoryEntry:
    return HistoryEntry(
        read.time("created"), read.text("created_by"), read.text("comment"), read.text("author"), read.flag("empty_layer")
    )


def _image_config(document: object) -> ImageConfig:
    read = _Members(document, "the image configuration's config")
    healthcheck = read.document.get("Healthcheck")
    if healthcheck is not None:
        test = _Members(healthcheck, "the image configuration's Healthcheck")
        test.texts("Test")
        for key in ("Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"):
            test.number(key)
    return ImageConfig(
        env=read.texts("Env") or (),
        command=read.texts("Cmd"),
        entrypoint=read.texts("Entrypoint"),
        user=read.text("User"),
        working_dir=read.text("WorkingDir"),
        labels=read.labels("Labels"),
        exposed_ports=read.keys("ExposedPorts"),
        volumes=read.keys("Volumes"),
        stop_signal=read.text("StopSignal"),
        shell=read.texts("Shell") or (),
        healthcheck=healthcheck,
        on_build=read.texts("OnBuild") or (),
    )


class _Members:
    """Members of a JSON object by type; null and missing are the same. Raises Invalid."""

    def __init__(self, document: object, what: str) -> None:
        if not isinstance(document, dict):
            raise Invalid(f"{what} is no object")
        self.document: dict[str, Any] = document
        self._what = what

    def text(self, key: str) -> str:
        value = self.document.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self._wrong(key)
        return value

    def time(self, key: str) -> str:
        """RFC 3339, or ``""``."""
        value = self.text(key)
        if value:
            try:
                datetime.fromisoformat(value[:19] if _RFC3339.fullmatch(value) else "no time")
            except ValueError:
                raise self._wrong(key) from None
        return value

    def number(self, key: str) -> None:
        if type(self.document.get(key, 0)) not in (int, NoneType):
            raise self._wrong(key)

    def flag(self, key: str) -> bool:
        value = self.document.get(key)
        if value is not None and not isinstance(value, bool):
            raise self._wrong(key)
        return bool(value)

    def texts(self, key: str) -> tuple[str, ...] | None:
        value = self.document.get(key)
        if value is None:
            return None
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(key)
        return tuple(value)

    def labels(self, key: str) -> dict[str, str]:
        value = self.document.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
            raise self._wrong(key)
        return dict(value)

    def keys(self, key: str) -> tuple[str, ...]:
        value = self.document.get(key)
        if value is None:
            return ()
        if not isinstance(value, dict):
            raise self._wrong(key)
        return tuple(sorted(value))

    def _wrong(self, key: str) -> Invalid:
        return Invalid(f"{self._what} has a wrong {key}", subject=key)
