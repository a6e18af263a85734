"""Images: in, out, listed, named and removed."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import tempfile
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from typing import BinaryIO, cast

from tare.api import tables
from tare.api.answer import Answer, Stream, as_json, line
from tare.api.call import Call
from tare.api.failures import translate
from tare.api.router import Route
from tare.api.routes.filtering import IMAGE_FILTERS
from tare.api.routes.filtering import images as filtered
from tare.api.shapes import images as shapes
from tare.api.shapes import platforms
from tare.errors import Invalid, TareError, Unsupported
from tare.model.image import Image

PRUNE_FILTERS = frozenset(("dangling", "label", "label!", "until"))
DOWNLOAD_SECONDS = 60
"""How long a server of ``import URL`` may be silent."""


async def list_images(call: Call) -> Answer:
    filters = call.filters(IMAGE_FILTERS)
    if call.text("filter"):
        filters["reference"] = [*filters.get("reference", []), call.text("filter")]
    engine = call.engine
    every = engine.images()
    chosen = filtered(every, filters, engine)
    shared = shapes.sharing(every)[1] if call.flag("shared-size") else {}
    rows = [shapes.summary(image, engine.image_users(image.id), call.version, shared.get(image.id, -1)) for image in chosen]
    return tables.listed(call, "images", rows)


def _named(call: Call, query: str = "platform") -> Image:
    """The image in the path, of the platform that the query asks for. Raises NotFound, Invalid."""
    name = call.parameters["name"]
    image = call.engine.image(name)
    platforms.check_image(image, call.every(query), name)
    return image


async def inspect(call: Call) -> Answer:
    image, engine = _named(call), call.engine
    return as_json(shapes.inspect(image, engine.default_storage, call.version, await engine.image_places(image)))


async def history(call: Call) -> Answer:
    image = _named(call)
    return tables.listed(call, "history", shapes.history(image))


async def tag(call: Call) -> Answer:
    repository, version = call.text("repo"), call.text("tag")
    if not repository:
        raise Invalid("tag: repo is missing", subject="repo")
    await call.engine.tag(call.parameters["name"], f"{repository}:{version}" if version else repository)
    return Answer(201)


async def delete(call: Call) -> Answer:
    name = call.parameters["name"]
    if call.every("platforms"):
        _named(call, "platforms")
    gone = await call.engine.remove_image(name, force=call.flag("force"), prune=not call.flag("noprune"))
    return as_json([{kind.capitalize(): what} for kind, what in gone])


async def prune(call: Call) -> Answer:
    gone, reclaimed = await call.engine.prune_images(call.filters(PRUNE_FILTERS))
    return as_json({"ImagesDeleted": [{kind.capitalize(): what} for kind, what in gone] or None, "SpaceReclaimed": reclaimed})


async def load(call: Call) -> Stream:
    text = call.text("platform")
    wanted = platforms.to_load(text) if text else None
    archive = await call.spool()
    return Stream(_loading(call, archive, wanted), "application/json")


async def _loading(call: Call, archive: BinaryIO, wanted: platforms.Platform | None) -> AsyncIterator[bytes]:
    lines: asyncio.Queue[str | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def progress(text: str) -> None:
        loop.call_soon_threadsafe(lines.put_nowait, text)

    async def work() -> None:
        try:
            await call.engine.load(archive, progress, wanted)
        finally:
            loop.call_soon_threadsafe(lines.put_nowait, None)
            archive.close()

    # The work goes on to its end when the client leaves: an image is either whole or not there.
    task = asyncio.ensure_future(work())
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    while (text := await lines.get()) is not None:
        yield line({"stream": text if text.endswith("\n") else text + "\n"})
    try:
        await asyncio.shield(task)
    except Exception as error:
        yield _failed(error, "POST /images/load")


async def save_one(call: Call) -> Stream:
    _named(call)
    return Stream(await call.engine.save([call.parameters["name"]]), "application/x-tar")


async def save_many(call: Call) -> Stream:
    names = [name for entry in call.every("names") for name in entry.split(",") if name]
    if not names:
        raise Invalid("save: no image was named", subject="names")
    for name in names:
        platforms.check_image(call.engine.image(name), call.every("platform"), name)
    return Stream(await call.engine.save(names), "application/x-tar")


async def create(call: Call) -> Answer:
    """Import: ``fromSrc=-`` takes the body, ``fromSrc=URL`` is downloaded. ``fromImage`` would be a pull."""
    source = call.text("fromSrc")
    if not source:
        if not call.text("fromImage"):
            raise Invalid("neither fromImage nor fromSrc was given", subject="fromImage")
        wanted = call.text("fromImage").removeprefix("docker.io/").removeprefix("library/")
        version = call.text("tag")
        name = f"{wanted}:{version}" if version and not version.startswith("sha256:") else wanted
        raise Unsupported(
            f"cannot pull {name}: pulling from registries is not available yet",
            subject=name,
            hint="bring the image in with tare load or tare import",
        )
    archive = await call.spool() if source == "-" else await asyncio.to_thread(_download, source, call)

    async def work() -> str:
        with contextlib.closing(archive):
            image = await call.engine.import_image(
                archive,
                repository=call.text("repo"),
                tag=call.text("tag"),
                message=call.text("message"),
                changes=_changes(call),
                platform=call.text("platform"),
            )
        return image.id

    # It goes on to its end when the client leaves, as a load does.
    task = asyncio.ensure_future(work())
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return as_json({"status": await asyncio.shield(task)})


def _changes(call: Call) -> list[str]:
    return [change for entry in call.every("changes") for change in entry.split("\n") if change.strip()]


def _download(source: str, call: Call) -> BinaryIO:
    """Fetch a URL into a nameless file; runs in a thread. Raises Invalid."""
    if not source.startswith(("http://", "https://")):
        source = "http://" + source
    file = cast(BinaryIO, tempfile.TemporaryFile(dir=call.connection.spool_directory))  # noqa: SIM115
    try:
        for piece in _fetch(source):
            file.write(piece)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def _fetch(source: str) -> Iterator[bytes]:
    """What a URL gives. Raises Invalid, also for less than was announced."""
    try:
        with urllib.request.urlopen(source, timeout=DOWNLOAD_SECONDS) as response:
            missing = int(response.headers.get("Content-Length") or 0)
            while piece := response.read(1 << 20):
                missing -= len(piece)
                yield piece
            if missing > 0:
                raise ValueError(f"the answer ends {missing} bytes too early")
    except urllib.error.HTTPError as error:
        raise Invalid(f"cannot download {source}: status {error.code} {error.reason}", subject=source) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        cause = getattr(error, "reason", None) or error
        reason = (isinstance(cause, OSError) and cause.strerror) or str(cause) or type(cause).__name__
        raise Invalid(f"cannot download {source}: {reason.lower()[:300]}", subject=source) from None


def _failed(error: Exception, asked: str) -> bytes:
    """An error once the head is out: Docker's clients look for it in the stream."""
    told = translate(error, asked)
    code = told.status if isinstance(told, TareError) else 500
    return line({"errorDetail": {"code": code, "message": str(told)}, "error": str(told)})


async def push(call: Call) -> Answer:
    raise Unsupported("pushing to registries is not available yet", hint="write the image to a file with tare save")


ROUTES = [
    Route("GET", "/images/json", list_images),
    Route("GET", "/images/get", save_many),
    Route("POST", "/images/load", load),
    Route("POST", "/images/create", create),
    Route("POST", "/images/prune", prune),
    Route("GET", "/images/{name...}/json", inspect),
    Route("GET", "/images/{name...}/history", history),
    Route("GET", "/images/{name...}/get", save_one),
    Route("POST", "/images/{name...}/tag", tag),
    Route("POST", "/images/{name...}/push", push),
    Route("DELETE", "/images/{name...}", delete),
]
