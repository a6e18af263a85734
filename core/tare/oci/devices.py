"""Device nodes of a container and the rules that say which it may open."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Any

from tare.errors import Invalid
from tare.model.container import Device

_NOT_OF_THE_CONTAINER = frozenset(("pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"))

DEFAULT_RULES: tuple[dict[str, Any], ...] = (
    {"allow": False, "access": "rwm"},
    *(
        {"allow": True, "type": "c", "major": major, "minor": minor, "access": "rwm"}
        for major, minor in ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2))
    ),
    {"allow": True, "type": "c", "major": 136, "access": "rwm"},
    {"allow": True, "type": "c", "access": "m"},
    {"allow": True, "type": "b", "access": "m"},
)
"""The default devices of the OCI runtime spec (config-linux.md, "Default Devices") and mknod of anything, as Docker."""

EVERYTHING: tuple[dict[str, Any], ...] = ({"allow": True, "access": "rwm"},)


def describe(devices: tuple[Device, ...], privileged: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """``linux.devices`` and ``linux.resources.devices`` of the specification. Raises Invalid for what is no device."""
    if privileged:
        nodes = [_node(path, path, os.lstat(path)) for path in _host_devices("/dev")]
        nodes += [node for device in devices for node, _ in _wanted(device)]
        return nodes, list(EVERYTHING)
    nodes, rules = [], list(DEFAULT_RULES)
    for device in devices:
        for node, access in _wanted(device):
            nodes.append(node)
            rules.append({"allow": True, "type": node["type"], "major": node["major"], "minor": node["minor"], "access": access})
    return nodes, rules


def _wanted(device: Device) -> Iterator[tuple[dict[str, Any], str]]:
    if not device.access or set(device.access) - set("rwm"):
        raise Invalid(f"invalid device mode: {device.access}", subject=device.source, hint="a subset of rwm")
    try:
        source = os.path.realpath(device.source)
        info = os.stat(source)
    except OSError as error:
        raise Invalid(
            f'error gathering device information while adding custom device "{device.source}": {str(error.strerror).lower()}',
            subject=device.source,
        ) from error
    if stat.S_ISDIR(info.st_mode):
        found = list(_host_devices(source))
        for path in found:
            yield _node(path, device.target + path.removeprefix(source), os.lstat(path)), device.access
        if found:
            return
    elif stat.S_ISBLK(info.st_mode) or stat.S_ISCHR(info.st_mode):
        yield _node(source, device.target, info), device.access
        return
    raise Invalid(
        f'error gathering device information while adding custom device "{device.source}": not a device node',
        subject=device.source,
    )


def _node(path: str, target: str, info: os.stat_result) -> dict[str, Any]:
    return {
        "type": "b" if stat.S_ISBLK(info.st_mode) else "c",
        "path": target,
        "major": os.major(info.st_rdev),
        "minor": os.minor(info.st_rdev),
        "fileMode": stat.S_IMODE(info.st_mode),
        "uid": info.st_uid,
        "gid": info.st_gid,
    }


def _host_devices(directory: str) -> Iterator[str]:
    """Every device node below a directory, but not what a container has of its own."""
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_symlink():
                continue
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _NOT_OF_THE_CONTAINER:
                    yield from _host_devices(entry.path)
            elif entry.path not in ("/dev/console", "/dev/ptmx"):
                mode = entry.stat(follow_symlinks=False).st_mode
                if stat.S_ISBLK(mode) or stat.S_ISCHR(mode):
                    yield entry.path
