"""prune: what nobody uses goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tare.engine import info, pictures, remove
from tare.engine.persist import publish
from tare.engine.values import Pruned
from tare.errors import Invalid, TareError
from tare.model.times import SECOND, instant, seconds_exactly

if TYPE_CHECKING:
    from tare.engine.engine import Engine


async def containers(engine: Engine, filters: Mapping[str, Sequence[str]]) -> Pruned:
    """Remove every container that does not run and fits the filters ``until`` and ``label``."""
    allowed(filters, {"until", "label", "label!"})
    limit = until(filters)
    ids: list[str] = []
    reclaimed = 0
    for container in engine.containers():
        if container.running or not labels_fit(container.labels, filters) or seconds_exactly(container.created) > limit:
            continue
        try:
            size, _ = await info.size(engine, container)
            await remove.remove(engine, container.id)
        except TareError:
            continue
        ids.append(container.id)
        reclaimed += size
    publish(engine, "container", "prune", "", {"reclaimed": str(reclaimed)})
    return Pruned(tuple(ids), reclaimed)


async def images(engine: Engine, filters: Mapping[str, Sequence[str]]) -> tuple[list[tuple[str, str]], int]:
    """Remove images without a name (``dangling=false``: every image that no container uses). Returns what was done, and the
    bytes of the layers that no image has any more."""
    allowed(filters, {"until", "label", "label!", "dangling"})
    limit = until(filters)
    dangling = _dangling(filters.get("dangling", ()))
    done: list[tuple[str, str]] = []
    before = _layers(engine)
    for image in engine.images():
        if (dangling and image.tags) or pictures.users(engine, image.id) or seconds_exactly(image.created) > limit:
            continue
        if not labels_fit(image.config.labels, filters):
            continue
        try:
            done += await pictures.remove(engine, image.id, force=True, prune=True)
        except TareError:
            continue
    left = _layers(engine)
    reclaimed = sum(size for chain_id, size in before.items() if chain_id not in left)
    publish(engine, "image", "prune", "", {"reclaimed": str(reclaimed)})
    return done, reclaimed


def _layers(engine: Engine) -> dict[str, int]:
    return {layer.chain_id: layer.unpacked for image in engine.images() for layer in image.layers}


def _dangling(values: Sequence[str]) -> bool:
    """Whether only images without a name go. Raises Invalid: what is no clear no must not take every image away."""
    meant = {{"1": True, "true": True, "0": False, "false": False}.get(value.lower()) for value in values} or {True}
    if len(meant) > 1 or None in meant:
        raise Invalid(f"invalid filter 'dangling={','.join(values)}'", subject="dangling", hint="true or false")
    return True in meant


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
    """The latest creation time that is pruned, in seconds since the epoch. Raises Invalid."""
    values = filters.get("until", ())
    if not values:
        return float("inf")
    if len(values) > 1:
        raise Invalid("more than one until filter specified", subject="until")
    return instant(values[0], "until") / SECOND
