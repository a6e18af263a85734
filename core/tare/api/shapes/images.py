"""An image as ``image inspect``, ``images`` and ``history`` show it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tare.api.versions import Version
from tare.model.image import Image
from tare.model.times import NEVER, seconds_of


def inspect(image: Image, storage: str, version: Version, places: Mapping[str, str] | None = None) -> dict[str, Any]:
    """``GET /images/{name}/json``. ``storage`` is the default storage driver; ``places`` as that tells them, none as long as no
    container has needed the image."""
    shape: dict[str, Any] = {
        "Id": image.id,
        "RepoTags": list(image.tags),
        "RepoDigests": list(image.digests),
        "Comment": image.comment,
        "Created": image.created or NEVER,
        "Author": image.author,
        "Config": _config(image),
        "Architecture": image.architecture,
        "Variant": image.variant,
        "Os": image.os,
        "Size": image.size,
        "GraphDriver": {"Name": storage, "Data": dict(places or {}) or None},
        "RootFS": {"Type": "layers", "Layers": [layer.diff_id for layer in image.layers]},
        "Metadata": {"LastTagTime": NEVER},
    }
    if not image.variant:
        del shape["Variant"]
    if version < (1, 50):
        shape |= {"Parent": "", "DockerVersion": image.docker_version}
    if version < (1, 45):
        shape |= {"Container": "", "ContainerConfig": _config(image)}
    if version < (1, 44):
        shape["VirtualSize"] = image.size
    return shape


def _config(image: Image) -> dict[str, Any]:
    config = image.config
    shape: dict[str, Any] = {
        "User": config.user,
        "Env": list(config.env),
        "Cmd": list(config.command) if config.command is not None else None,
        "Volumes": {path: {} for path in sorted(config.volumes)} or None,
        "WorkingDir": config.working_dir,
        "Entrypoint": list(config.entrypoint) if config.entrypoint is not None else None,
        "OnBuild": list(config.on_build) or None,
        "Labels": dict(sorted(config.labels.items())) or None,
    }
    if config.exposed_ports:
        shape["ExposedPorts"] = {port: {} for port in sorted(config.exposed_ports)}
    if config.stop_signal:
        shape["StopSignal"] = config.stop_signal
    if config.shell:
        shape["Shell"] = list(config.shell)
    if config.healthcheck:
        shape["Healthcheck"] = dict(config.healthcheck)
    return shape


def sharing(images: Iterable[Image]) -> tuple[int, dict[str, int]]:
    """Bytes of all layers, each counted once; and for each image the bytes in layers that another image has too."""
    users: dict[str, set[str]] = {}
    sizes: dict[str, int] = {}
    every = list(images)
    for image in every:
        for layer in image.layers:
            users.setdefault(layer.chain_id, set()).add(image.id)
            sizes[layer.chain_id] = layer.unpacked
    shared = {image.id: sum(layer.unpacked for layer in image.layers if len(users[layer.chain_id]) > 1) for image in every}
    return sum(sizes.values()), shared


def summary(image: Image, users: int, version: Version, shared: int = -1) -> dict[str, Any]:
    """One row of ``GET /images/json``. ``users`` containers were made from it, -1 when nobody counted (as in ``shared``)."""
    tags = list(image.tags)
    digests = list(image.digests)
    if version < (1, 43) and not tags:
        tags = ["<none>:<none>"]
        digests = digests or ["<none>@<none>"]
    shape = {
        "Id": image.id,
        "ParentId": "",
        "RepoTags": tags,
        "RepoDigests": digests,
        "Created": seconds_of(image.created),
        "Size": image.size,
        "SharedSize": shared,
        "Labels": dict(sorted(image.config.labels.items())) or None,
        "Containers": users,
    }
    if version < (1, 44):
        shape["VirtualSize"] = image.size
    return shape


def history(image: Image) -> list[dict[str, Any]]:
    """``GET /images/{name}/history``, newest first."""
    left = iter([layer.unpacked for layer in image.layers])
    rows: list[dict[str, Any]] = []
    for entry in image.history:
        rows.append(
            {
                "Id": "<missing>",
                "Created": seconds_of(entry.created),
                "CreatedBy": entry.created_by,
                "Tags": None,
                "Size": 0 if entry.empty_layer else next(left, 0),
                "Comment": entry.comment,
            }
        )
    rows.extend(
        {"Id": "<missing>", "Created": seconds_of(image.created), "CreatedBy": "", "Tags": None, "Size": size, "Comment": ""}
        for size in left
    )
    rows.reverse()
    if rows:
        rows[0] |= {"Id": image.id, "Tags": list(image.tags) or None}
    return rows
