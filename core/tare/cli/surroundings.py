"""What the process was started with. ``os`` takes a millisecond to import; ``posix`` under it is already there."""

from __future__ import annotations

import posix


def variable(name: str) -> str | None:
    """An environment variable or None, its undecodable bytes as surrogates (PEP 383)."""
    value = posix.environ.get(name.encode())
    return None if value is None else value.decode("utf-8", "surrogateescape")
