"""Which build of the code a runtime's template must have loaded: an upgraded tared makes plans that only its own code reads."""

from __future__ import annotations

import importlib.util
import os
import zlib

import tare.linux
import tare.supervisor


def of(entry: str) -> str:
    """A stamp of what a clone runs: the driver's package and ours, each file by its name, size and time of change. An entry that
    cannot be found has only ours: the template will say what is wrong with it."""
    folders = [*tare.linux.__path__, *tare.supervisor.__path__]
    try:
        spec = importlib.util.find_spec(entry.partition(":")[0])
    except (ImportError, ValueError):
        spec = None
    if spec is not None and spec.origin is not None:
        folders.append(os.path.dirname(spec.origin))
    stamp = 0
    for folder in folders:
        with os.scandir(folder) as files:
            known = sorted((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file())
        stamp = zlib.crc32(repr((folder, known)).encode(), stamp)
    return f"{stamp:08x}"
