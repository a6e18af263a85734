"""Archives from before Docker 1.10: ``repositories`` and one directory a layer, with ``json`` and ``layer.tar``
(moby image/spec/v1.md)."""

from __future__ import annotations

from typing import Any

from tare.errors import Invalid
from tare.images.archive import Archive
from tare.images.documents import decode, encode
from tare.images.references import parse

DEPTH_MAX = 1000
_KEPT = ("architecture", "os", "created", "author", "comment", "config", "docker_version", "variant")


def legacy_images(archive: Archive) -> list[dict[str, Any]]:
    """Entries as manifest.json would have them, each with ``config``: a configuration that still lacks its ``rootfs``."""
    names: dict[str, list[str]] = {}
    for repository, tags in decode(archive.read("repositories"), "repositories").items():
        if not isinstance(tags, dict):
            raise Invalid("repositories has a wrong entry", subject=repository)
        for tag, id in tags.items():
            if not isinstance(id, str):
                raise Invalid("repositories has a wrong entry", subject=repository)
            names.setdefault(id, []).append(parse(f"{repository}:{tag}").name)
    if not names:
        raise Invalid("repositories lists no image")
    return [_image(archive, id, references) for id, references in names.items()]


def _image(archive: Archive, top: str, references: list[str]) -> dict[str, Any]:
    layers: list[str] = []
    history: list[dict[str, Any]] = []
    newest: dict[str, Any] = {}
    id: object = top
    while id:
        if not isinstance(id, str) or len(layers) > DEPTH_MAX:
            raise Invalid("the layers of the archive have no end", subject=top)
        document = decode(archive.read(f"{id}/json"), f"{id}/json")
        newest = newest or document
        made_by = document.get("container_config")
        command = made_by.get("Cmd") if isinstance(made_by, dict) else None
        line = {"created": document.get("created") or "", "created_by": _line(command)}
        history.append(line)
        layers.append(f"{id}/layer.tar")
        id = document.get("parent")
    config = {key: newest[key] for key in _KEPT if newest.get(key) is not None}
    config["history"] = history[::-1]
    return {"Config": f"{top}/json", "config": encode(config), "Layers": layers[::-1], "RepoTags": references}


def _line(command: object) -> str:
    return " ".join(map(str, command)) if isinstance(command, list) else ""
