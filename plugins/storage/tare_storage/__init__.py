"""Storage drivers that ship with tare: overlay2 and vfs."""

from __future__ import annotations

from tare.drivers.registration import Driver
from tare.hooks import hookimpl


@hookimpl
def tare_register_storage_drivers() -> list[Driver]:
    """Metadata alone: a driver's module is imported when it is used."""
    return [
        Driver("storage", "overlay2", "tare_storage.overlay2.driver:Overlay2", "layers as directories, merged by the kernel"),
        Driver("storage", "vfs", "tare_storage.vfs.driver:Vfs", "full copies on any file system"),
    ]
