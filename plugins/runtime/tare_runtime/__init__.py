"""The runtime drivers that tare brings along, as a plugin like any other.

The hook is found here but lives in ``registration``: this package is also imported by the container's child, which must
not load the hooks.
"""

from __future__ import annotations

HOOK = "tare_register_runtime_drivers"


def __dir__() -> list[str]:
    return [*globals(), HOOK]


def __getattr__(name: str) -> object:
    if name == HOOK:
        from tare_runtime import registration

        return registration.tare_register_runtime_drivers
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
