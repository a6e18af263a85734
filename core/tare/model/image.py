"""Images as the engine speaks of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of an image: ``diff_id`` is the digest of the plain tar, ``chain_id`` names it with all its parents

    (OCI image spec, config.md "ChainID"), ``blob`` is the digest of the stored blob of ``media_type`` and ``size``,
    ``unpacked`` the bytes of the files in it.
    """

    diff_id: str
    chain_id: str
    blob: str
    media_type: str
    size: int
    unpacked: int = 0


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One line of an image's history (OCI image spec, config.md "history")."""

    created: str = ""
    created_by: str = ""
    comment: str = ""
    author: str = ""
    empty_layer: bool = False


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """The part of an image's configuration that a container inherits (OCI image spec, config.md "config")."""

    env: tuple[str, ...] = ()
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    user: str = ""
    working_dir: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    shell: tuple[str, ...] = ()
    healthcheck: Mapping[str, Any] | None = None
    on_build: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Image:
    """An image. ``id`` is ``sha256:…`` of its configuration blob; ``size`` the sum of its unpacked layers in bytes."""

    id: str
    manifest: str
    created: str
    architecture: str
    os: str
    config: ImageConfig
    layers: tuple[Layer, ...]
    history: tuple[HistoryEntry, ...] = ()
    tags: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    size: int = 0
    author: str = ""
    comment: str = ""
    variant: str = ""
    docker_version: str = ""
