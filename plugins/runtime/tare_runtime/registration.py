"""The hook by which the runtime drivers are offered."""

from __future__ import annotations

from tare.drivers.registration import Driver
from tare.hooks import hookimpl


@hookimpl
def tare_register_runtime_drivers() -> list[Driver]:
    """``ns``: see tare_runtime.ns.driver."""
    return [
        Driver(
            kind="runtime",
            name="ns",
            factory="tare_runtime.ns.driver:NsRuntime",
            summary="namespaces, cgroups and seccomp straight from the kernel",
        )
    ]
