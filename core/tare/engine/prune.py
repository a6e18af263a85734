"""prune: what nobody uses goes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from tare.engine import info, pictures, remove
from tare.engine.values import Pruned
from tare.errors import Invalid, TareError

if TYPE_CHECKING:
    from tare.engine.engine import Engine


async def containers(engine: Engine, filters: Mapping[str, Sequence[str]]) -> Pruned:
    """Remove every container that does not run and fits the filters ``until`` and ``label``."""
    allowed(filters, {"until", "label", "label!"})
    limit = until(filters)
    ids: list[str] = []
    reclaimed = 0
    for container in engine.containers():
        if container.running or not labels_fit(container.labels, filters) or seconds(container.created) > limit:
            continue
        try:
            size, _ = await info.size(engine, container)
            await remove.remove(engine, container.id)
        except TareError:
            continue
        ids.append(container.id)
        reclaimed += size
    return Pruned(tuple(ids), reclaimed)


async def images(engine: Engine, filters: Mapping[str, Sequence[str]]) -> tuple[list[tuple[str, str]], int]:
    """Remove images without a name (``dangling=false``: every image that no container uses)."""
    allowed(filters, {"until", "label", "label!", "dangling"})
    limit = until(filters)
    dangling = all(value.lower() in ("1", "true") for value in filters.get("dangling", ()))
    done: list[tuple[str, str]] = []
    reclaimed = 0
    for image in engine.images():
        if (dangling and image.tags) or pictures.users(engine, image.id) or seconds(image.created) > limit:
            continue
        if not labels_fit(image.config.labels, filters):
            continue
        try:
            done += await pictures.remove(engine, image.id, force=True, prune=True)
        except TareError:
            continue
        reclaimed += image.size
    return done, reclaimed


def allowed(filters: Mapping[str, Sequence[str]], names: set[str]) -> None:
    for name in filters:
        if name not in names:
            raise Invalid(f"invalid filter '{name}'", subject=name, hint=f"one of {', '.join(sorted(names))}")


def labels_fit(labels: Mapping[str, str], filters: Mapping[str, Sequence[str]]) -> bool:
    def has(wish: str) -> bool:
        name, equals, value = wish.partition("=")
        return name in labels and (not equals or labels[name] == value)

    return all(map(has, filters.get("label", ()))) and not any(map(has, filters.get("label!", ())))


def until(filters: Mapping[str, Sequence[str]]) -> float:
    """The latest creation time that is pruned: seconds since the epoch, RFC 3339, or a Go duration before now."""
    values = list(filters.get("until", ()))
    if not values:
        return float("inf")
    if len(values) > 1:
        raise Invalid("more than one until filter specified")
    text = values[0]
    try:
        return float(text)
    except ValueError:
        pass
    units = {"h": 3600.0, "m": 60.0, "s": 1.0}
    total, digits = 0.0, ""
    for character in text:
        if character.isdigit() or character == ".":
            digits += character
        elif character in units and digits:
            total, digits = total + float(digits) * units[character], ""
        else:
            break
    else:
        if not digits:
            return time.time() - total
    return seconds(text)


def seconds(stamp: str) -> float:
    """RFC 3339 as seconds since the epoch; 0 for what has no date."""
    if not stamp:
        return 0.0
    whole, dot, rest = stamp.partition(".")
    fraction = rest.rstrip("Z")[:6] if dot else ""
    text = f"{whole}.{fraction}+00:00" if fraction else whole.replace("Z", "+00:00")
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        raise Invalid(f"not a time: {stamp}", subject=stamp, hint="seconds, RFC 3339, or a duration such as 24h") from error
