"""The versions of Docker's API that are spoken here, and the prefix that names one."""

from __future__ import annotations

import importlib.metadata

from tare.api.failures import Refused

Version = tuple[int, int]

OLDEST: Version = (1, 24)
NEWEST: Version = (1, 56)


def tare() -> str:
    """tare's own version."""
    try:
        return importlib.metadata.version("tare-engine")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def text(version: Version) -> str:
    return f"{version[0]}.{version[1]}"


def parse(version: str) -> Version:
    major, _, minor = version.partition(".")
    return int(major), int(minor)


def split(path: str, oldest: Version = OLDEST) -> tuple[Version, str]:
    """``/v1.41/info`` → ((1, 41), ``/info``); without a prefix the newest. Raises Refused in dockerd's words."""
    if not path.startswith("/v"):
        return NEWEST, path
    prefix, slash, rest = path[2:].partition("/")
    major, dot, minor = prefix.partition(".")
    if not (slash and dot and major.isascii() and major.isdigit() and minor.isascii() and minor.isdigit()):
        return NEWEST, path
    if len(prefix) > 12:
        raise Refused(400, f"client version {prefix[:12]}… is no version")
    version = (int(major), int(minor))
    if version < oldest:
        raise Refused(
            400,
            f"client version {prefix} is too old. Minimum supported API version is {text(oldest)}, "
            "please upgrade your client to a newer version",
        )
    if version > NEWEST:
        raise Refused(400, f"client version {prefix} is too new. Maximum supported API version is {text(NEWEST)}")
    return version, "/" + rest
