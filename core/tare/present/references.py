"""Image references and identifiers as lists show them."""

from __future__ import annotations


def short(identifier: str) -> str:
    """Twelve characters of an id, without ``sha256:``."""
    return identifier.removeprefix("sha256:")[:12]


def familiar(reference: str) -> str:
    """Without the registry and folder that are understood: ``docker.io/library/busybox`` is ``busybox``."""
    return reference.removeprefix("docker.io/").removeprefix("library/") if reference.startswith("docker.io/") else reference


def split(reference: str) -> tuple[str, str, str]:
    """(familiar repository, tag, digest) of ``repository[:tag][@digest]``; empty where there is none."""
    name, _, digest = reference.partition("@")
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = name, ""
    return familiar(repository), tag, digest
