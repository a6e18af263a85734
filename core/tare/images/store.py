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
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from tare.errors import Conflict, Invalid, TareError
from tare.images.blobs import Blobs, write_whole
from tare.images.catalog import Catalog
from tare.images.documents import parse_image, parse_manifest
from tare.images.instructions import apply_changes
from tare.images.layout import parts, write_layout
from tare.images.references import parse
from tare.images.saving import save
from tare.images.unpacking import DriverSpec, layer_id
from tare.images.workers import Workers
from tare.model.image import Image

log = logging.getLogger(__name__)

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

    def images(self) -> list[Image]:
        """All images, newest first. One whose content is damaged is left out, and logged."""
        catalog = self._catalog
        found = []
        for id in catalog.manifests:
            try:
                found.append(self._dressed(catalog, id))
            except TareError as error:
                log.warning("image %s: %s", id, error)
        return sorted(found, key=lambda image: image.created, reverse=True)

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
            image = self.image(ref)
            self._table.set_reference(reference.name, image.id)
            self._reread()

    def remove(self, ref: str, *, force: bool = False, keep: bool = False) -> list[tuple[str, str]]:
        """Take a name away, and the image with its last name; by id, all names. ``keep``: the image stays whatever happens.

        Returns ("untagged", name) and ("deleted", id) in order. Raises NotFound; Conflict by id when names in several
        repositories mean the image and ``force`` is not given.
        """
        with self._writing:
            catalog = self._catalog
            image = self.image(ref)
            name = catalog.name_of(ref)
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

    def load(self, archive: BinaryIO, line: Line) -> list[str]:
        """Take in every image of an archive (an open file); each is there whole or not at all. Returns names, and ids of
        those without. ``line`` gets what ``docker load`` prints. Raises Invalid for anything broken, false or hostile."""
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

        self._bring({"job": "load"}, archive, image)
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
        made: list[str] = []

        def image(document: dict[str, Any]) -> None:
            self._record(document, names)
            made.append(document["id"])

        request = {"job": "import", "config": config, "message": message or "Imported from -", "platform": platform}
        self._bring(request, archive, image)
        return self.image(names[0] if names else made[0])

    def save(self, refs: Sequence[str], out: BinaryIO) -> None:
        """Write images as one tar, docker-archive and OCI layout at once. A repository without a tag means all its tags.
        Raises NotFound before the first byte."""
        names: dict[str, list[str]] = {}
        for ref in refs:
            for id, name in self._catalog.select(ref):
                called = names.setdefault(id, [])
                if name and name not in called:
                    called.append(name)
        save(self._blobs, [self.image(id) for id in names], names, out)

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
            self._workers.run({**self._job("unpack"), "driver": spec.document(), "layers": missing})
        return len(missing)

    def _job(self, job: str) -> dict[str, Any]:
        return {"job": job, "root": self._blobs.root}

    def _bring(self, request: dict[str, Any], archive: BinaryIO, image: Callable[[dict[str, Any]], None]) -> None:
        source = archive.fileno()
        try:
            self._workers.run({**request, "root": self._blobs.root, "source": source}, (source,), image)
        except BaseException:
            self._blobs.clear_sessions()
            raise

    # changes -----------------------------------------------------------------------------------------------------------

    def _record(self, document: dict[str, Any], names: Sequence[str]) -> None:
        """An image that a worker has ready becomes one of ours."""
        with self._writing:
            self._blobs.adopt(document["session"], document["blobs"])
            if document["sizes"].items() - self._sizes.items():
                self._sizes = {**self._sizes, **document["sizes"]}
                write_whole(f"{self._blobs.root}/sizes.json", json.dumps(self._sizes).encode())
            with self._table.transaction():
                if document["id"] not in self._catalog.manifests:
                    self._table.add(document["id"], document["manifest"], document["created"])
                for name in names:
                    self._table.set_reference(name, document["id"])
            self._reread()

    def _reread(self) -> None:
        self._catalog = Catalog(self._table.images(), self._table.references())
        self._parsed = {id: image for id, image in self._parsed.items() if id in self._catalog.manifests}
        write_layout(self._blobs, self._sound(), self._catalog.tags)

    def _settle(self) -> None:
        """After a start: index.json says what the database says, and blobs that nobody names are gone."""
        write_layout(self._blobs, self._sound(), self._catalog.tags)
        self._collect()

    def _sound(self) -> dict[str, str]:
        """id → manifest of the images whose manifest can be read."""
        sound = {}
        for id, manifest in self._catalog.manifests.items():
            try:
                parse_manifest(self._blobs.read(manifest))
            except TareError as error:
                log.warning("image %s: %s", id, error)
                continue
            sound[id] = manifest
        return sound

    def _collect(self) -> None:
        sound = self._sound()
        if len(sound) < len(self._catalog.manifests):
            return
        keep = set(sound.values())
        for manifest in sound.values():
            keep.update(parts(self._blobs.read(manifest)))
        self._blobs.collect(keep)

    def _read_sizes(self) -> dict[str, int]:
        try:
            with open(f"{self._blobs.root}/sizes.json", "rb") as file:
                sizes = json.load(file)
        except FileNotFoundError:
            return {}
        except ValueError as error:
            log.warning("sizes.json: %s", error)
            return {}
        return {str(key): value for key, value in sizes.items() if isinstance(value, int)}
