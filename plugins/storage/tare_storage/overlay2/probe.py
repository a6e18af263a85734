"""Can overlayfs work here? Asked of the kernel and the disk themselves (ST-01, ST-82)."""

from __future__ import annotations

import os
import shutil
import tempfile

from tare.linux.filesystems import filesystem_type, try_mount
from tare.model.probe import Probe
from tare_storage.overlay2.lowers import OPAQUE

PREFIX = "probe-"


def probe(root: str) -> Probe:
    """Makes a small overlay below ``root`` that is attached nowhere, and takes everything away again."""
    try:
        return _try(root)
    except OSError as error:
        text = f"{(error.strerror or str(error)).lower()}: {error.filename or root}"
        return Probe("error", text)


def _try(root: str) -> Probe:
    backing = filesystem_type(root)
    if backing == "overlay":
        return Probe("skip", f"{root} lies on an overlay, which cannot be the upper directory of another")
    for name in os.listdir(root):
        if name.startswith(PREFIX):  # of one that was killed
            shutil.rmtree(f"{root}/{name}", ignore_errors=True)
    directory = tempfile.mkdtemp(prefix=PREFIX, dir=root)
    try:
        for name in ("lower", "upper", "work"):
            os.mkdir(f"{directory}/{name}")
        with os.scandir(directory) as entries:
            if not all(entry.is_dir(follow_symlinks=False) for entry in entries):
                return Probe("skip", f"{backing} at {root} does not tell the types of files (d_type)")
        try:
            os.setxattr(f"{directory}/upper", OPAQUE, b"y")
        except OSError as error:
            return Probe("skip", f"{backing} at {root} has no trusted extended attributes: {error.strerror}")
        os.removexattr(f"{directory}/upper", OPAQUE)
        return _mount(directory, backing)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _mount(directory: str, backing: str) -> Probe:
    anchor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    here = f"/proc/self/fd/{anchor}"
    try:
        try_mount("overlay", [(f"{name}dir", f"{here}/{name}") for name in ("lower", "upper", "work")])
    except OSError as error:
        with open("/proc/filesystems", encoding="ascii") as file:
            known = "\toverlay\n" in file.read()
        if not known:
            return Probe("skip", "this kernel has no overlay file system (modprobe overlay)")
        return Probe("skip", f"the kernel refuses an overlay on {backing}: {(error.strerror or '').lower()}")
    finally:
        os.close(anchor)
    return Probe("ok", f"overlayfs on {backing}")
