"""rename."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tare.containers import names
from tare.engine.persist import announce, save
from tare.errors import Invalid

if TYPE_CHECKING:
    from tare.engine.engine import Engine


async def rename(engine: Engine, ref: str, name: str) -> None:
    """Raises NotFound, Invalid, Conflict when the name is taken."""
    entry = engine.registry.find(ref)
    if not name:
        raise Invalid("Neither old nor new names may be empty")
    new = names.check(name)
    async with entry.lock:
        container = entry.container
        old = container.name
        if new == old:
            raise Invalid("Renaming a container with the same name as its current name", subject=name)
        engine.registry.claim(new, container.id)
        container.name = new
        try:
            save(engine, container, durable=True)
        except BaseException:
            container.name = old
            engine.registry.disclaim(new)
            raise
        engine.registry.disclaim(old)
    announce(engine, container, "rename", oldName=f"/{old}")
