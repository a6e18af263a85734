"""An image's layers into a storage driver, in a worker process that builds the driver for itself."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tare.drivers.registration import DriverContext
from tare.drivers.storage import StorageDriver
from tare.errors import Internal, TareError
from tare.images.blobs import Blobs, damaged, hexadecimal
from tare.images.compression import CHUNK, LEAD, Source, kind_of, plain


@dataclass(frozen=True, slots=True)
class DriverSpec:
    """How to build a driver: what a DriverContext holds, as plain data. ``factory`` is ``module:callable``."""

    factory: str
    root: str
    run: str
    instance: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        return asdict(self)

    def build(self) -> StorageDriver:
        """Import and call the factory."""
        module, _, name = self.factory.partition(":")
        try:
            make = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise Internal(f"cannot import the storage driver {self.factory}: {error}", subject=self.factory) from error
        context = DriverContext(Path(self.root), Path(self.run), self.instance, self.options, lambda line: None)
        driver: StorageDriver = make(context)
        return driver


class _Verified:
    """A plain layer, hashed as it passes. Its end raises Internal when it was another: a driver that reads to the end, as it
    should, never has such a layer whole."""

    def __init__(self, source: Source, blob: str, diff_id: str) -> None:
        self._source = source
        self._blob = blob
        self._diff_id = diff_id
        self._hash = hashlib.sha256()
        self.begun = False

    def read(self, size: int = -1, /) -> bytes:
        self.begun = True
        data = self._source.read(CHUNK if size < 0 else size)
        self._hash.update(data)
        if not data and size and "sha256:" + self._hash.hexdigest() != self._diff_id:
            raise damaged(self._blob)
        return data

    def is_whole(self) -> bool:
        """Read on to the end: was this the layer that it should be?"""
        try:
            while self.read(CHUNK):
                pass
        except TareError:
            return False
        return True


def unpack(blobs: Blobs, spec: DriverSpec, layers: Sequence[tuple[str, str, str, str]]) -> int:
    """Apply ``layers``, lowest first: (layer id, parent's id or "", blob, diff_id). Returns how many there were."""
    driver = spec.build()
    try:
        for layer, parent, blob, diff_id in layers:
            _apply(driver, blobs, layer, parent or None, blob, diff_id)
    finally:
        driver.close()
    return len(layers)


def _apply(driver: StorageDriver, blobs: Blobs, layer: str, parent: str | None, blob: str, diff_id: str) -> None:
    with blobs.open(blob) as file:
        kind = kind_of(file.read(LEAD))
        file.seek(0)
        stream = _Verified(plain(file, kind), blob, diff_id)
        try:
            driver.apply(layer, parent, stream)  # type: ignore[arg-type]
        except TareError as error:
            if not stream.is_whole():
                raise damaged(blob) from None
            error.message = f"layer {diff_id}: {error.message}"
            raise
        if stream.begun and not stream.is_whole():  # another may have made it meanwhile
            driver.remove(layer)
            raise damaged(blob)


def layer_id(chain_id: str) -> str:
    """The name by which drivers know a layer."""
    return hexadecimal(chain_id)
