"""What ``load`` does in its worker: an archive of images becomes verified blobs in a session.

Read are docker-archive (manifest.json, and the older repositories with a json file for each layer) and OCI image layouts.
Where an archive is both, the OCI side tells what the images are and manifest.json what they are called.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from typing import Any, BinaryIO

from tare.errors import Invalid, TareError, Unsupported
from tare.images.archive import Archive, seekable
from tare.images.blobs import Blobs, Session, digest_of, hexadecimal
from tare.images.documents import (
    CONFIG,
    DOCKER_LIST,
    INDEX,
    Descriptor,
    architecture,
    compose_manifest,
    decode,
    decode_any,
    descriptor,
    diff_ids,
    encode,
    parse_image,
    parse_manifest,
)
from tare.images.legacy import legacy_images
from tare.images.measure import Measured, measure
from tare.images.references import parse

NEST_MAX = 4
Platform = tuple[str, str, str]
"""Operating system, architecture and variant (``""``: any), as Go spells them."""
_VARIANTS = {"arm": "v7", "arm64": "v8"}
"""The variant of an architecture that is taken before others."""
NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


def load(blobs: Blobs, session: Session, source: BinaryIO, platform: Platform | None = None) -> Iterator[dict[str, Any]]:
    """Yield, for each image once all of it is in the session and on the disk, a dict with ``id``, ``manifest``, ``created``,
    ``references``, ``blobs`` (digests that the image consists of) and ``sizes`` (diff_id → bytes of its files).

    Of images for several platforms the one for this machine is taken; with ``platform`` no image but those for it."""
    file = seekable(source, f"{session.path}/archive")
    archive = Archive(file)
    loading = _Loading(session, archive, platform)
    if "index.json" in archive and ("oci-layout" in archive or "manifest.json" not in archive):
        yield from loading.layout()
    elif "manifest.json" in archive:
        yield from loading.docker(_manifest_json(archive))
    elif "repositories" in archive:
        yield from loading.docker(legacy_images(archive))
    else:
        raise Invalid(
            "this is no image archive: it has neither index.json nor manifest.json", hint="see 'tare import' for plain trees"
        )


class _Loading:
    def __init__(self, session: Session, archive: Archive, platform: Platform | None) -> None:
        self._only = platform
        self._platform = platform or ("linux", architecture(), "")
        self._session = session
        self._archive = archive
        self._measured: dict[str, Measured] = {}
        self._others: set[str] = set()
        self._indexes: set[tuple[str, str]] = set()

    # OCI image layout --------------------------------------------------------------------------------------------------

    def layout(self) -> Iterator[dict[str, Any]]:
        if "oci-layout" in self._archive:
            version = decode(self._archive.read("oci-layout"), "oci-layout").get("imageLayoutVersion")
            if not isinstance(version, str) or not version.startswith("1."):
                raise Unsupported(f"an OCI image layout of version {ascii(version)[:50]}", hint="only version 1 is supported")
        names = self._docker_names()
        found: dict[Descriptor, list[str]] = {}
        self._manifests(decode(self._archive.read("index.json"), "index.json"), "index.json", "", found, 0)
        none = True
        for described, references in found.items():
            image = self._image(described, references, names)
            if image:
                none = False
                yield image
        if none:
            raise self._nothing()

    def _manifests(
        self, index: dict[str, Any], what: str, inherited: str, found: dict[Descriptor, list[str]], depth: int
    ) -> None:
        """Collect manifest → names of each image for this machine in an index and those nested in it. A nested one is an image
        for several platforms: one of its manifests is taken."""
        listed = index.get("manifests")
        if not isinstance(listed, list):
            raise Invalid(f"{what} has no list of manifests")
        if depth > NEST_MAX:
            raise Invalid(f"{what} is nested more than {NEST_MAX} levels deep")
        fitting: list[tuple[bool, Descriptor, str]] = []
        for number, entry in enumerate(listed, 1):
            described = descriptor(entry, f"entry {number} of {what}")
            reference = _reference(entry.get("annotations")) or inherited
            platform = _platform(entry)
            if described.media_type in (INDEX, DOCKER_LIST):
                nested = f"image index {described.digest}"
                if (described.digest, reference) in self._indexes:
                    continue
                self._indexes.add((described.digest, reference))
                self._manifests(decode(self._document(described), nested), nested, reference, found, depth + 1)
            elif platform is not None and platform[:2] != self._platform[:2]:
                self._others.add("/".join(filter(None, platform)))
            elif "artifactType" in entry:
                self._others.add(f"an artifact of the type {entry['artifactType']}")
            else:
                best = platform is None or platform[2] in (self._platform[2], _VARIANTS.get(self._platform[1]))
                fitting.append((best, described, reference))
        if depth:
            fitting = sorted(fitting, key=lambda each: not each[0])[:1]
        for _, described, reference in fitting:
            names = found.setdefault(described, [])
            if reference and reference not in names:
                names.append(reference)

    def _document(self, described: Descriptor) -> bytes:
        digest = described.digest
        content = self._archive.read(f"blobs/sha256/{hexadecimal(digest)}")
        if digest_of(content) != digest:
            raise Invalid(f"the digest of {digest} does not match its content", subject=digest)
        if len(content) != described.size:
            raise Invalid(f"{digest} has {len(content)} bytes, not {described.size}", subject=digest)
        return content

    def _nothing(self) -> Unsupported:
        others = f", but for {', '.join(sorted(self._others))}" if self._others else ""
        return Unsupported(f"the archive has no image for {'/'.join(filter(None, self._platform))}{others}"[:500])

    def _is_wanted(self, config: dict[str, Any]) -> bool:
        if self._only is None:
            return True
        said = (str(config.get("os") or "linux"), str(config.get("architecture") or ""), str(config.get("variant") or ""))
        if said[:2] == self._only[:2] and self._only[2] in ("", said[2]):
            return True
        self._others.add("/".join(filter(None, said)))
        return False

    def _image(self, described: Descriptor, references: list[str], names: dict[str, list[str]]) -> dict[str, Any] | None:
        digest = described.digest
        content = self._document(described)
        manifest = parse_manifest(content)
        config = self._document(manifest.config)
        document = decode(config, "the image configuration")
        if not self._is_wanted(document):
            return None
        wanted = diff_ids(document)
        sizes = {}
        for layer, diff_id in zip(manifest.layers, wanted, strict=False):
            measured = self._layer(f"blobs/sha256/{hexadecimal(layer.digest)}", layer.digest)
            if measured.blob != layer.digest and measured.diff_id != diff_id:
                raise Invalid(f"the digest of layer {layer.digest} does not match its content", subject=layer.digest)
            if measured.blob == layer.digest and measured.size != layer.size:
                raise Invalid(f"layer {layer.digest} has {measured.size} bytes, not {layer.size}", subject=layer.digest)
            if measured.diff_id != diff_id:
                raise Invalid(f"layer {layer.digest} holds {measured.diff_id}, not {diff_id}", subject=layer.digest)
            sizes[diff_id] = measured.files
        image = parse_image(config, manifest, digest, sizes)
        self._session.write(content)
        self._session.write(config)
        self._session.sync()
        every = references + [name for name in names.get(manifest.config.digest, ()) if name not in references]
        parts = [digest, manifest.config.digest, *(layer.digest for layer in manifest.layers)]
        return _result(image.id, digest, image.created, every, parts, sizes)

    def _docker_names(self) -> dict[str, list[str]]:
        """Configuration digest → names that a manifest.json beside the index gives."""
        if "manifest.json" not in self._archive:
            return {}
        names: dict[str, list[str]] = {}
        for image in _manifest_json(self._archive):
            config = digest_of(self._archive.read(image["Config"]))
            names.setdefault(config, []).extend(parse(name).name for name in image["RepoTags"])
        return names

    # docker-archive ----------------------------------------------------------------------------------------------------

    def docker(self, images: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        none = True
        for image in images:
            config: bytes = image.get("config") or self._archive.read(image["Config"])
            stem = posixpath.basename(image["Config"]).removesuffix(".json")
            if len(stem) == 64 and "config" not in image and stem != hexadecimal(digest_of(config)):
                raise Invalid(f"the digest of {image['Config']} does not match its content", subject=image["Config"])
            document = decode(config, "the image configuration")
            if not self._is_wanted(document):
                continue
            none = False
            layers = [self._layer(name, "") for name in image["Layers"]]
            if "config" in image:
                config, wanted = _with_layers(document, layers)
            else:
                wanted = diff_ids(document)
            if len(wanted) != len(layers):
                raise Invalid(f"the image configuration names {len(wanted)} layers, manifest.json {len(layers)}")
            for name, layer, diff_id in zip(image["Layers"], layers, wanted, strict=True):
                if layer.diff_id != diff_id:
                    raise Invalid(f"layer {name} holds {layer.diff_id}, not {diff_id}", subject=name)
            yield self._composed(config, layers, [parse(name).name for name in image["RepoTags"]])
        if none:
            raise self._nothing()

    def _composed(self, config: bytes, layers: list[Measured], references: list[str]) -> dict[str, Any]:
        described = Descriptor(CONFIG, digest_of(config), len(config))
        parts = [Descriptor(layer.media_type, layer.blob, layer.size) for layer in layers]
        content = compose_manifest(described, parts)
        sizes = {layer.diff_id: layer.files for layer in layers}
        image = parse_image(config, parse_manifest(content), digest_of(content), sizes)
        self._session.write(content)
        self._session.write(config)
        self._session.sync()
        blobs = [image.manifest, described.digest, *(part.digest for part in parts)]
        return _result(image.id, image.manifest, image.created, references, blobs, sizes)

    # both --------------------------------------------------------------------------------------------------------------

    def _layer(self, name: str, expected: str) -> Measured:
        """Read a layer into the session, once for each name."""
        known = self._measured.get(name)
        if known is not None:
            return known
        part = self._archive.open(name)
        temporary = f"{self._session.path}/layer"
        target = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            measured = measure(part, target)
        except TareError as error:
            raise Invalid(f"layer {expected or name}: {error.message}", subject=name, hint=error.hint) from None
        finally:
            os.close(target)
        if expected and measured.blob != expected:
            raise Invalid(f"the digest of layer {expected} does not match its content", subject=expected)
        self._session.keep(temporary, measured.blob)
        self._measured[name] = measured
        return measured


def _result(
    id: str, manifest: str, created: str, references: list[str], blobs: list[str], sizes: dict[str, int]
) -> dict[str, Any]:
    return {"id": id, "manifest": manifest, "created": created, "references": references, "blobs": blobs, "sizes": sizes}


def _with_layers(document: dict[str, Any], layers: list[Measured]) -> tuple[bytes, list[str]]:
    ids = [layer.diff_id for layer in layers]
    document["rootfs"] = {"type": "layers", "diff_ids": ids}
    return encode(document), ids


def _manifest_json(archive: Archive) -> list[dict[str, Any]]:
    """The entries of manifest.json, checked. Raises Invalid."""
    images = decode_any(archive.read("manifest.json"), "manifest.json")
    if not isinstance(images, list) or not images:
        raise Invalid("manifest.json lists no image")
    checked_images = []
    for image in images:
        if not isinstance(image, dict) or not isinstance(image.get("Config"), str):
            raise Invalid("manifest.json has an image without Config")
        layers, names = ([] if image.get(key) is None else image[key] for key in ("Layers", "RepoTags"))
        for values, key in ((layers, "Layers"), (names, "RepoTags")):
            if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
                raise Invalid(f"manifest.json has a wrong {key}")
        checked_images.append({"Config": image["Config"], "Layers": layers, "RepoTags": names})
    return checked_images


def _reference(annotations: object) -> str:
    """The name that annotations give an image, or ``""``. A bare ``latest`` is a tag without a name."""
    if not isinstance(annotations, dict):
        return ""
    for key in NAME_ANNOTATIONS:
        name = annotations.get(key)
        if isinstance(name, str) and name and name != "latest":
            try:
                return parse(name).name
            except Invalid:
                continue
    return ""


def _platform(entry: dict[str, Any]) -> Platform | None:
    """The platform that an entry of an index is for; None when it does not say. Raises Invalid."""
    platform = entry.get("platform")
    if platform is None:
        return None
    members = tuple(platform.get(key, "") for key in ("os", "architecture", "variant")) if isinstance(platform, dict) else ()
    if len(members) != 3 or not all(isinstance(member, str) for member in members):
        raise Invalid(f"the index has a wrong platform for {entry['digest']}", subject=entry["digest"])
    return members[0] or "linux", members[1], members[2]
