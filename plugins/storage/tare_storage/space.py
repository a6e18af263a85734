"""How much room a disk has, in words."""

from __future__ import annotations

import os


def free_space(path: str) -> str:
    """Bytes that can be written below ``path``, for people: ``12.3GB``."""
    status = os.statvfs(path)
    size = float(status.f_bavail * status.f_frsize)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.4g}{unit}"
        size /= 1000
    return f"{size:.4g}TB"
