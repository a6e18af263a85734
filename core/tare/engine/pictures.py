"""Images as the engine uses them: which container needs which, unpacking for a driver, and the verbs of ``tare image``."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from tare.containers.container import Container
from tare.engine.persist import publish
from tare.engine.roster import Handle
from tare.errors import Conflict, InUse, NotFound
from tare.images.unpacking import DriverSpec
from tare.model.image import Image

if TYPE_CHECKING:
    from tare.engine.engine import Engine

CHUNK = 1 << 20


def layer_id(chain_id: str) -> str:
    """The name that storage drivers know a layer by: the chain id's hex digits."""
    return chain_id.partition(":")[2]


def users(engine: Engine, image_id: str) -> list[Container]:
    """The containers of an image, also those that are being created."""
    return [c for c in (*engine.containers(), *engine.creating.values()) if c.image_id == image_id]


@contextlib.asynccontextmanager
async def needed(engine: Engine, container: Container) -> AsyncIterator[None]:
    """While a container is being created its image and its layers stay. Raises NotFound when the image has gone since it was
    looked up."""
    if engine.removing.locked():
        async with engine.removing:
            pass
    engine.store.image(container.image_id)
    engine.creating[container.id] = container
    try:
        yield
    finally:
        del engine.creating[container.id]


async def unpack(engine: Engine, image: Image, storage: Handle) -> str | None:
    """Make every layer of an image that is ``needed`` exist in a driver. Returns the topmost layer, None for an image without
    layers."""
    if not image.layers:
        return None
    top = layer_id(image.layers[-1].chain_id)
    have = engine.layers.get(storage.name)
    if have is None:
        async with engine.dropping:
            have = engine.layers.setdefault(storage.name, set(await storage.call("list")))
    if top in have:
        return top
    lock = engine.unpacking.setdefault((storage.name, top), asyncio.Lock())
    async with lock:
        async with engine.dropping:
            pass  # what is being removed at this moment is made again
        if top not in have:
            spec = DriverSpec(
                factory=storage.driver.factory,
                root=str(storage.context.root),
                run=str(storage.context.run),
                instance=storage.context.instance,
                options=dict(storage.context.options),
            )
            await asyncio.to_thread(engine.store.unpack, image, spec, have.__contains__)
            have.update(layer_id(layer.chain_id) for layer in image.layers)
    engine.unpacking.pop((storage.name, top), None)
    return top


async def drop_layers(engine: Engine, gone: Image | None = None) -> None:
    """Remove from every driver the layers of an image (every layer, when its own are not known) that no image has any more,
    children first; none while an image cannot be read. Beside it containers are created and images come: what they need is asked
    before each removal, and what goes is said to be gone before it is."""
    if not engine.store.whole:
        return
    async with engine.dropping:
        for handle in engine.roster.opened("storage"):
            stale = [layer_id(layer.chain_id) for layer in reversed(gone.layers if gone else ())]
            stale = stale or await _layers(engine, handle)
            have = engine.layers.get(handle.name, set())
            paths: list[str] = []
            tried = 0
            while len(stale) != tried:
                tried, left = len(stale), []
                for id in stale:
                    if any(layer_id(layer.chain_id) == id for image in engine.store.images() for layer in image.layers):
                        continue
                    known = id in have
                    have.discard(id)
                    try:
                        paths += await handle.call("remove", id)
                    except InUse:
                        if known:
                            have.add(id)
                        left.append(id)
                stale = left
            if paths:
                engine.supervision.tell("clean", {"paths": paths})


async def _layers(engine: Engine, storage: Handle) -> list[str]:
    """What a driver has that is no container's."""
    listed = await storage.call("list")
    return [id for id in listed if engine.registry.get(id) is None and id not in engine.creating]


async def tag(engine: Engine, ref: str, target: str) -> None:
    image, _ = engine.store.known(ref)
    await asyncio.to_thread(engine.store.tag, image.id, target)
    publish(engine, "image", "tag", image.id, {"name": target})


def _may_go(engine: Engine, image: Image, ref: str, name: str, *, force: bool) -> bool:
    """Whether no container stands in the way of deleting an image. Raises Conflict where its names or containers forbid what
    ``ref`` asks for."""
    using = users(engine, image.id)
    held = [c for c in using if c.running or c.id in engine.creating]
    if not name:
        _refuse_by_id(image, ref, using, held, force)
    elif len(image.tags) <= 1 and using and not force:
        raise Conflict(
            f'conflict: unable to remove repository reference "{ref}" (must force) - '
            f"container {using[0].id[:12]} is using its referenced image {short(image)}",
            subject=ref,
        )
    return not held


async def remove(engine: Engine, ref: str, *, force: bool, prune: bool) -> list[tuple[str, str]]:
    """Untag, and delete when nothing refers to the image any more. Raises Conflict while containers use it; with ``force``
    stopped ones lose their image and go on with what they have of it."""
    image, name = engine.store.known(ref)
    _may_go(engine, image, ref, name, force=force)
    await engine.plugins.before("tare_before_image_remove", image=image, reference=ref)
    last = not name or len(image.tags) <= 1
    async with engine.removing:
        free = _may_go(engine, image, ref, name, force=force)
        done: list[tuple[str, str]] = await asyncio.to_thread(
            engine.store.remove, ref, force=force, keep=not free or (not prune and not last)
        )
    for what, name in done:
        publish(engine, "image", "untag" if what == "untagged" else "delete", image.id, {"name": name})
    if any(what == "deleted" for what, _ in done):
        await drop_layers(engine, image)
        engine.plugins.after(
            "tare_after_image_remove", id=image.id, references=[name for what, name in done if what == "untagged"]
        )
    return done


def _refuse_by_id(image: Image, ref: str, using: list[Container], running: list[Container], force: bool) -> None:
    """Raise Conflict where Docker does."""
    conflict = f"conflict: unable to delete {short(image)}"
    if running:
        reason = f"(cannot be forced) - image is being used by running container {running[0].id[:12]}"
    elif force:
        return
    elif len(image.tags) > 1:
        reason = "(must be forced) - image is referenced in multiple repositories"
    elif using:
        reason = f"(must be forced) - image is being used by stopped container {using[0].id[:12]}"
    else:
        return
    raise Conflict(f"{conflict} {reason}", subject=ref)


def short(image: Image) -> str:
    return image.id.removeprefix("sha256:")[:12]


async def load(
    engine: Engine, archive: BinaryIO, progress: Callable[[str], None], platform: tuple[str, str, str] | None = None
) -> list[str]:
    """Load every image of an archive; ``progress`` gets lines such as ``Loaded image: busybox:latest``."""
    loop = asyncio.get_running_loop()

    def line(text: str) -> None:
        loop.call_soon_threadsafe(progress, text)

    refs: list[str] = await asyncio.to_thread(engine.store.load, archive, line, platform)
    await asyncio.sleep(0)
    for ref in refs:
        with contextlib.suppress(NotFound):  # somebody may have removed it since
            added(engine, engine.store.image(ref), ref, "load")
    return refs


def added(engine: Engine, image: Image, ref: str, source: str) -> None:
    publish(engine, "image", source, image.id, {"name": ref})
    engine.plugins.after("tare_after_image_add", image=image, source=source)


async def import_image(
    engine: Engine, archive: BinaryIO, repository: str, tag: str, message: str, changes: Sequence[str], platform: str
) -> Image:
    reference = f"{repository}:{tag}" if repository and tag else repository
    image: Image = await asyncio.to_thread(
        engine.store.import_, archive, reference=reference, message=message, changes=changes, platform=platform
    )
    added(engine, image, reference or image.id, "import")
    return image


async def save(engine: Engine, refs: Sequence[str]) -> AsyncIterator[bytes]:
    """One tar with every image. Unknown names raise before the first byte."""
    for ref in refs:
        publish(engine, "image", "save", engine.store.image(ref).id, {"name": ref})
    pieces = _pipe(lambda out: engine.store.save(refs, out))
    # The images may go between the look above and the thread's: an error is one only until the first byte is out.
    return _after(await anext(pieces, b""), pieces)


async def _after(first: bytes, pieces: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    async with contextlib.aclosing(pieces):
        yield first
        async for piece in pieces:
            yield piece


async def _pipe(write: Callable[[BinaryIO], Any]) -> AsyncGenerator[bytes, None]:
    """What ``write`` writes, in chunks. A reader that goes away ends the writer by EPIPE."""
    loop = asyncio.get_running_loop()
    reading, writing = os.pipe2(os.O_CLOEXEC)
    failure: list[BaseException] = []

    def work() -> None:
        try:
            with os.fdopen(writing, "wb", CHUNK) as out:
                write(out)
        except BrokenPipeError:
            pass
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while chunk := await loop.run_in_executor(None, os.read, reading, CHUNK):
            yield chunk
    finally:
        os.close(reading)
    await loop.run_in_executor(None, thread.join)
    if failure:
        raise failure[0]
