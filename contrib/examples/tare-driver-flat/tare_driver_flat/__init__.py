"""Registers the storage driver ``flat``. The driver itself is imported only when it is used."""

from tare.drivers.registration import Driver
from tare.hooks import hookimpl


@hookimpl
def tare_register_storage_drivers() -> list[Driver]:
    return [
        Driver(
            kind="storage",
            name="flat",
            factory="tare_driver_flat.driver:Flat",
            summary="one directory for each layer, nothing shared",
        )
    ]
