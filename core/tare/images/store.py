"""The images of one data-root: what there is, what it is called, and every verb that changes either.

Three places, each with one job: ``content/blobs`` holds what images are made of (blobs.py), the state database says which
images exist and what they are called, and index.json repeats that for other programs (layout.py). A change is on the disk in
this order: blobs, database, index.json; so a crash leaves an old or a new image, and at most blobs that nobody names,
which the next start deletes.

Readers never wait: they look at a Catalog, which is never changed but replaced.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from tare.errors import Conflict, Invalid, TareError
from tare.images.blobs import Blobs, digest_of, write_whole
from tare.images.catalog import Catalog
from tare.images.documents import Manifest, decode, parse_image, parse_manifest
from tare.images.instructions import apply_changes
from tare.images.layout import oci_manifest, write_layout
from tare.images.references import parse
from tare.images.saving import save
from tare.images.unpacking import DriverSpec, layer_id
from tare.images.workers import Workers
from tare.model.image import Image, ImageConfig

log = logging.getLogger(__name__)

UNREADABLE = ImageConfig()
"""The configuration of an image whose own cannot be read."""

Line = Callable[[str], None]


class Table(Protocol):
    """What the store needs of tare.state.tables.Images."""

    def transaction(self) -> Any: ...
    def images(self) -> dict[str, str]: ...
    def add(self, id: str, manifest: str, created: str) -> None: ...
    def remove(self, id: str) -> None: ...
    def references(self) -> dict[str, str]: ...
    def set_reference(self, name: str, id: str) -> None: ...
    def remove_reference(self, name: str) -> None: ...


class ImageStore:
    """See the module. Methods may be called from any thread; ``image`` and ``images`` never block on the others."""

    def __init__(self, root: Path, table: Table) -> None:
        self._blobs = Blobs(root)
        self._table = table
        self._workers = Workers()
        self._writing = threading.RLock()
        self._blobs.make()
        self._blobs.clear_sessions()
        self._sizes: dict[str, int] = self._read_sizes()
        self._parsed: dict[str, Image] = {}
        self._manifests: dict[str, tuple[Manifest, bytes]] = {}
        self._held: list[set[str]] = []
        self._spared = False
        self._told: set[str] = set()
        self._catalog = Catalog(table.images(), table.references())
        self._settle()

    def close(self) -> None:
        """End what workers are doing. Safe twice."""
        self._workers.close()

    # what there is -----------------------------------------------------------------------------------------------------

    def image(self, ref: str) -> Image:
        """An image by name, ``name@digest``, id, or the beginning of an id. Raises NotFound, Invalid."""
        catalog = self._catalog
        known = catalog.found.get(ref)
        if known is None:
            known = catalog.found[ref] = self._dressed(catalog, catalog.find(ref))
        return known

    def has(self, id: str) -> bool:
        return id in self._catalog.manifests

    def known(self, ref: str) -> tuple[Image, str]:
        """An image, and the name that ``ref`` is of it (``""`` for an id or a digest). Of one whose content is damaged only
        ``id``, ``manifest`` and ``tags`` are known. Raises NotFound, Invalid."""
        catalog = self._catalog
        return self._at_least(catalog, catalog.find(ref)), catalog.name_of(ref)

    def images(self) -> list[Image]:
        """All images, newest first; of one whose content is damaged only what ``known`` tells."""
        catalog = self._catalog
        found = [self._at_least(catalog, id) for id in catalog.manifests]
        return sorted(found, key=lambda image: image.created, reverse=True)

    @property
    def whole(self) -> bool:
        """Every image can be read; while one cannot it is not known which layers are its own."""
        return not any(image.config is UNREADABLE for image in self.images())

    def _at_least(self, catalog: Catalog, id: str) -> Image:
        try:
            return self._dressed(catalog, id)
        except TareError as error:
            self._tell(catalog, id, error)
            tags = tuple(catalog.tags.get(id, ()))
            return Image(id, catalog.manifests[id], "", "", "", UNREADABLE, (), tags=tags)

    def _tell(self, catalog: Catalog, id: str, error: TareError) -> None:
        if id not in self._told:
            self._told.add(id)
            log.error("image %s (%s) cannot be read and is kept: %s", " ".join(catalog.tags.get(id, ["<none>"])), id, error)

    def _dressed(self, catalog: Catalog, id: str) -> Image:
        parsed = self._parsed.get(id)
        if parsed is None:
            manifest = parse_manifest(self._blobs.read(catalog.manifests[id]))
            parsed = parse_image(self._blobs.read(id), manifest, catalog.manifests[id], self._sizes)
            self._parsed[id] = parsed
        tags = catalog.tags.get(id, ())
        return replace(parsed, tags=tuple(tags)) if tags else parsed

    # names -------------------------------------------------------------------------------------------------------------

    def tag(self, ref: str, target: str) -> None:
        """Give an image another name; a name that meant another image means this one then. Raises NotFound, Invalid."""
        reference = parse(target)
        if reference.digest:
            raise Invalid("refusing to create a tag with a digest reference", subject=target)
        with self._writing:
            self._table.set_reference(reference.name, self._catalog.find(ref))
            self._reread()

    def remove(self, ref: str, *, force: bool = False, keep: bool = False) -> list[tuple[str, str]]:
        """Take a name away, and the image with its last name; by id, all names. ``keep``: the image stays whatever happens.

        Returns ("untagged", name) and ("deleted", id) in order. Raises NotFound; Conflict by id when names in several
        repositories mean the image and ``force`` is not given.
        """
        with self._writing:
            image, name = self.known(ref)
            if not name and not force and len({parse(tag).repository for tag in image.tags}) > 1:
                short = image.id.removeprefix("sha256:")[:12]
                raise Conflict(
                    f"conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories",
                    subject=ref,
                )
            gone = [name] if name else list(image.tags)
            delete = not keep and len(gone) == len(image.tags)
            with self._table.transaction():
                for each in gone:
                    self._table.remove_reference(each)
                if delete:
                    self._table.remove(image.id)
            self._reread()
            if delete:
                self._collect()
        return [("untagged", each) for each in gone] + ([("deleted", image.id)] if delete else [])

    # in and out --------------------------------------------------------------------------------------------------------

    def load(self, archive: BinaryIO, line: Line, platform: tuple[str, str, str] | None = None) -> list[str]:
        """Take in every image of an archive (an open file); each is there whole or not at all. ``platform`` (system,
        architecture, variant): only images for it. Returns names, and ids of those without. ``line`` gets what ``docker load``
        prints. Raises Invalid for anything broken, false or hostile, Unsupported when no image is for this machine."""
        loaded: list[str] = []

        def image(document: dict[str, Any]) -> None:
            names = document["references"]
            with self._writing:
                for name in names:
                    old = self._catalog.names.get(name)
                    if old is not None and old != document["id"]:
                        line(f"The image {name} already exists, renaming the old one with ID {old} to empty string")
                self._record(document, names)
            for name in names:
                line(f"Loaded image: {name}")
            if not names:
                line(f"Loaded image ID: {document['id']}")
            loaded.extend(names or [document["id"]])

        self._bring({"job": "load", "platform": platform}, archive, image)
        return loaded

    def import_(
        self,
        archive: BinaryIO,
        *,
        reference: str = "",
        message: str = "",
        changes: Sequence[str] = (),
        platform: str = "",
    ) -> Image:
        """Make an image of one layer from the tar of a tree, compressed or not. Raises Invalid."""
        names = [parse(reference).name] if reference else []
        if reference and parse(reference).digest:
            raise Invalid("cannot import digest reference", subject=reference)
        config = apply_changes({}, changes)
        made: list[Image] = []

        def image(document: dict[str, Any]) -> None:
            made.append(self._record(document, names))

        request = {"job": "import", "config": config, "message": message or "Imported from -", "platform": platform}
        self._bring(request, archive, image)
        return made[0]

    def save(self, refs: Sequence[str], out: BinaryIO) -> None:
        """Write images as one tar, docker-archive and OCI layout at once. A repository without a tag means all its tags.
        Raises NotFound before the first byte."""
        names: dict[str, list[str]] = {}
        with self._holding() as held:
            with self._writing:
                for ref in refs:
                    for id, name in self._catalog.select(ref):
                        called = names.setdefault(id, [])
                        if name and name not in called:
                            called.append(name)
                images = [self.image(id) for id in names]
                held.update(blob for image in images for blob in _blobs(image))
            save(self._blobs, images, names, out)

    def unpack(self, image: Image, spec: DriverSpec, known: Callable[[str], bool]) -> int:
        """Make an image's layers exist in a driver, those that it does not know by their layer id. Returns how many were
        missing. Raises what the driver raises, Invalid when content is not what its digest says."""
        missing = []
        parent = ""
        for layer in image.layers:
            id = layer_id(layer.chain_id)
            if not known(id):
                missing.append((id, parent, layer.blob, layer.diff_id))
            parent = id
        if missing:
            request = {"job": "unpack", "root": self._blobs.root, "driver": spec.document(), "layers": missing}
            with self._holding() as held:
                held.update(blob for _, _, blob, _ in missing)
                self._workers.run(request)
        return len(missing)

    def _bring(self, request: dict[str, Any], archive: BinaryIO, image: Callable[[dict[str, Any]], None]) -> None:
        """A worker reads ``archive``; what it brought first is still there when its last image is recorded."""
        source = archive.fileno()

        def record(document: dict[str, Any]) -> None:
            with self._writing:
                held.update(document["blobs"])
                image(document)

        with self._holding() as held:
            try:
                self._workers.run({**request, "root": self._blobs.root, "source": source}, (source,), record)
            except BaseException:
                self._blobs.clear_sessions()
                raise

    @contextmanager
    def _holding(self) -> Iterator[set[str]]:
        """Blobs that are put into the set are not collected meanwhile, but afterwards when nobody needs them."""
        held: set[str] = set()
        with self._writing:
            self._held.append(held)
        try:
            yield held
        finally:
            with self._writing:
                self._held = [other for other in self._held if other is not held]
                if self._spared:
                    self._collect()

    # changes -----------------------------------------------------------------------------------------------------------

    def _record(self, document: dict[str, Any], names: Sequence[str]) -> Image:
        """An image that a worker has ready becomes one of ours. One that we have already is from now on made of what came: so
        whatever was lost or damaged of it is whole again."""
        id, manifest = document["id"], document["manifest"]
        with self._writing:
            self._blobs.adopt(document["session"], document["blobs"])
            if document["sizes"].items() - self._sizes.items():
                self._sizes = {**self._sizes, **document["sizes"]}
                write_whole(f"{self._blobs.root}/sizes.json", json.dumps(self._sizes).encode())
            with self._table.transaction():
                if self._catalog.manifests.get(id) != manifest:
                    self._table.add(id, manifest, document["created"])
                    self._spared = self._spared or id in self._catalog.manifests
                for name in names:
                    self._table.set_reference(name, id)
            self._reread()
            return self.image(id)

    def _reread(self) -> None:
        self._catalog = Catalog(self._table.images(), self._table.references())
        manifests = self._catalog.manifests
        self._parsed = {id: image for id, image in self._parsed.items() if manifests.get(id) == image.manifest}
        self._write_layout()

    def _settle(self) -> None:
        """After a start: index.json says what the database says, and blobs that nobody names are gone."""
        self._write_layout()
        self._collect()

    def _write_layout(self) -> None:
        write_layout(self._blobs, {id: listed for id, (_, listed) in self._sound().items()}, self._catalog.tags)

    def _sound(self) -> dict[str, tuple[Manifest, bytes]]:
        """id → manifest, and the one that the layout lists for it, of the images whose manifest could be read: now, or since
        the start."""
        sound = {}
        for id, digest in self._catalog.manifests.items():
            known = self._manifests.get(digest)
            if known is None:
                try:
                    known = oci_manifest(self._blobs.read(digest))
                except TareError as error:
                    self._tell(self._catalog, id, error)
                    continue
                if digest_of(known[1]) != digest:
                    self._blobs.write(known[1])
            sound[id] = known
        self._manifests = {self._catalog.manifests[id]: known for id, known in sound.items()}
        return sound

    def _collect(self) -> None:
        sound = self._sound()
        if len(sound) < len(self._catalog.manifests):
            return
        keep = set(self._catalog.manifests.values())
        for manifest, listed in sound.values():
            keep.update((manifest.config.digest, digest_of(listed), *(layer.digest for layer in manifest.layers)))
        held = set[str]().union(*self._held)
        self._spared = not held <= keep
        self._blobs.collect(keep | held)

    def _read_sizes(self) -> dict[str, int]:
        try:
            with open(f"{self._blobs.root}/sizes.json", "rb") as file:
                sizes = decode(file.read(), "sizes.json")
        except FileNotFoundError:
            return {}
        except TareError as error:
            log.warning("%s", error)
            return {}
        return {key: value for key, value in sizes.items() if isinstance(value, int)}


def _blobs(image: Image) -> Iterable[str]:
    return (image.manifest, image.id, *(layer.blob for layer in image.layers))
