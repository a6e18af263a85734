"""Platforms as clients name them: ``os[/architecture[/variant]]``, an architecture alone, or the OCI object in JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from tare.api.shapes.host import GO_NAMES, architecture
from tare.errors import Invalid, NotFound
from tare.model.image import Image

SYSTEMS = frozenset(("linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "solaris", "illumos", "aix", "plan9"))
SPELLINGS = {**GO_NAMES, "x86-64": "amd64", "armhf": "arm", "i386": "386"}
DEFAULT_VARIANTS = {"arm64": "v8", "arm": "v7"}
Platform = tuple[str, str, str]
"""System, architecture and variant; the last two may be empty."""

HINT = "write it as linux/amd64"

_PART = re.compile(r"[A-Za-z0-9_.-]+")


def parse(text: str) -> Platform:
    """Raises Invalid."""
    if text.startswith("{"):
        return _object(text)
    parts = text.split("/")
    if len(parts) > 3 or not all(_PART.fullmatch(part) for part in parts):
        raise Invalid(f"invalid platform: {text!r}", subject=text, hint=HINT)
    first, *rest = (part.lower() for part in parts)
    if not rest and first not in SYSTEMS:
        first, rest = "linux", [first]
    machine, variant, *_ = [*rest, "", ""]
    return first, SPELLINGS.get(machine, machine), variant


def _object(text: str) -> Platform:
    try:
        found = json.loads(text)
        system, machine, variant = (found.get(name, "") for name in ("os", "architecture", "variant"))
    except (ValueError, AttributeError, RecursionError):
        raise Invalid(f"invalid platform: {text!r}", subject="platform", hint=HINT) from None
    if not all(isinstance(word, str) for word in (system, machine, variant)):
        raise Invalid(f"invalid platform: {text!r}", subject="platform", hint=HINT)
    return system or "linux", SPELLINGS.get(machine, machine), variant


def shown(platform: Platform) -> str:
    return "/".join(part for part in platform if part)


def check_host(text: str) -> None:
    """Raise Invalid where ``text`` is not what this host runs."""
    system, machine, _variant = parse(text)
    here = architecture()
    if system != "linux" or machine not in ("", here):
        raise Invalid(f"cannot run containers for {text}: this host is linux/{here}", subject=text)


def check_image(image: Image, texts: Iterable[str], name: str) -> None:
    """Raise NotFound where the image is for none of the platforms; without any it is what is meant."""
    wanted = [parse(text) for text in texts if text]
    if wanted and not any(_fits(image, platform) for platform in wanted):
        asked = ", ".join(map(shown, wanted))
        raise NotFound(
            f"image with reference {name} was found but does not provide the specified platform ({asked})",
            subject=name,
            hint=f"it is for {shown((image.os, image.architecture, image.variant))}",
        )


def to_load(text: str) -> Platform:
    """The platform whose images an archive is to be searched for; the architecture is this host's where none is named. Raises
    Invalid."""
    system, machine, variant = parse(text)
    return system, machine or architecture(), variant


def _fits(image: Image, platform: Platform) -> bool:
    system, machine, variant = platform
    default = DEFAULT_VARIANTS.get(image.architecture, "")
    same = not variant or image.architecture == "amd64" or variant == (image.variant or default)
    return system == image.os and machine in ("", image.architecture) and same
