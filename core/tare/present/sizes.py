"""Numbers of bytes as Docker words them (go-units)."""

from __future__ import annotations


def human(size: float, digits: int = 3) -> str:
    """In powers of 1000, to so many significant digits: ``0B``, ``4.26MB``."""
    return _scaled(size, 1000.0, ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"), digits)


def binary(size: float) -> str:
    """In powers of 1024, to four digits: ``7.75GiB``."""
    return _scaled(size, 1024.0, ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"), 4)


def _scaled(size: float, base: float, units: tuple[str, ...], digits: int) -> str:
    place = 0
    while size >= base and place < len(units) - 1:
        size /= base
        place += 1
    return f"{size:.{digits}g}{units[place]}"
