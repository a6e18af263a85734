"""The engine: every verb that a client can ask for, each kept in a file of its own beside this one.

This class is the face; it holds the rooms that the verbs work with and carries no work itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from tare.containers.container import Container
from tare.containers.registry import Registry
from tare.drivers.runtime import Bundle
from tare.engine import (
    attach,
    create,
    execute,
    info,
    kill,
    logs,
    names,
    networks,
    opening,
    pause,
    pictures,
    prune,
    remove,
    start,
    stop,
    top,
    wait,
)
from tare.engine.clock import now
from tare.engine.values import AttachOptions, Exit, LogRecord, Pruned
from tare.model.container import ContainerConfig, Exec, LogOptions
from tare.model.event import Event
from tare.model.image import Image
from tare.model.network import Network
from tare.model.process import Launch, ProcessRef

if TYPE_CHECKING:
    from tare.config.settings import Settings
    from tare.engine.roster import Roster
    from tare.engine.spares import Spares
    from tare.engine.supervision import Supervision
    from tare.events.bus import Bus
    from tare.hooks.plugins import Plugins
    from tare.images.store import ImageStore
    from tare.state.database import State

log = logging.getLogger(__name__)


class Engine:
    """One engine on one data-root. ``ref`` is a name or an unambiguous id prefix; every verb raises TareError."""

    settings: Settings
    plugins: Plugins
    state: State
    roster: Roster
    supervision: Supervision
    spares: Spares
    store: ImageStore
    bus: Bus
    instance: str
    suffix: str

    def __init__(self, settings: Settings, plugins: Plugins) -> None:
        self.settings = settings
        self.plugins = plugins
        self.registry = Registry()
        self.known_networks: dict[str, Network] = {}
        self.execs: dict[str, Exec] = {}
        self.exec_ended: dict[str, float] = {}
        self.exec_bundles: dict[str, tuple[ProcessRef, Bundle]] = {}
        self.exec_plans: dict[str, tuple[ProcessRef, Launch]] = {}
        self.templates: set[str] = set()
        self.layers: dict[str, set[str]] = {}
        self.unpacking: dict[tuple[str, str], asyncio.Lock] = {}
        self.dropping = asyncio.Lock()
        self.creating: dict[str, Container] = {}
        self.removing = asyncio.Lock()
        self.default_storage = ""
        self.started_at = now()
        self.tasks: set[asyncio.Task[Any]] = set()
        self.data_root = Path(settings.data_root)
        self.exec_root = Path(settings.exec_root)

    @classmethod
    async def open(cls, settings: Settings, plugins: Plugins) -> Engine:
        """Open everything below the API and find out what happened while nobody was here."""
        engine = cls(settings, plugins)
        await opening.open_engine(engine)
        return engine

    async def close(self) -> None:
        """Let go; containers live on."""
        await opening.close_engine(self)

    def spawn(self, work: Awaitable[Any], what: str) -> None:
        """Do something in the background; a failure is logged with ``what``."""

        async def guarded() -> None:
            try:
                await work
            except asyncio.CancelledError:
                raise
            except Exception:
                log.exception("%s", what)

        task = asyncio.get_running_loop().create_task(guarded())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def directory(self, id: str) -> str:
        return os.path.join(self.data_root, "containers", id)

    # containers

    async def create(self, config: ContainerConfig, name: str = "") -> tuple[str, tuple[str, ...]]:
        return await create.create(self, config, name)

    async def start(self, ref: str) -> None:
        await start.start(self, ref)

    async def stop(self, ref: str, timeout: int | None = None, signal: str = "") -> None:
        await stop.stop(self, ref, timeout, signal)

    async def restart(self, ref: str, timeout: int | None = None, signal: str = "") -> None:
        await stop.restart(self, ref, timeout, signal)

    async def kill(self, ref: str, signal: str = "SIGKILL") -> None:
        await kill.kill(self, ref, signal)

    async def pause(self, ref: str) -> None:
        await pause.pause(self, ref)

    async def unpause(self, ref: str) -> None:
        await pause.unpause(self, ref)

    async def remove(self, ref: str, *, force: bool = False, volumes: bool = False, link: bool = False) -> None:
        await remove.remove(self, ref, force=force, link=link)

    async def rename(self, ref: str, name: str) -> None:
        await names.rename(self, ref, name)

    def expect(self, ref: str, condition: str = "not-running") -> Awaitable[Exit]:
        return wait.expect(self, ref, condition)

    async def wait(self, ref: str, condition: str = "not-running") -> Exit:
        return await wait.expect(self, ref, condition)

    async def resize(self, ref: str, rows: int, columns: int) -> None:
        await attach.resize(self, ref, rows, columns)

    def attach_check(self, ref: str) -> None:
        attach.check(self, ref)

    async def attach(self, ref: str, conn: socket.socket, options: AttachOptions) -> None:
        await attach.attach(self, ref, conn, options)

    async def logs(self, ref: str, options: LogOptions) -> AsyncIterator[LogRecord]:
        return await logs.logs(self, ref, options)

    async def top(self, ref: str, ps_args: str = "-ef") -> tuple[list[str], list[list[str]]]:
        return await top.top(self, ref, ps_args)

    def container(self, ref: str) -> Container:
        """To look at: also one whose record cannot be read."""
        return self.registry.look_up(ref).container

    def containers(self) -> list[Container]:
        return self.registry.containers()

    async def size(self, container: Container) -> tuple[int, int]:
        return await info.size(self, container)

    async def container_places(self, container: Container) -> dict[str, str]:
        return await info.details(self, container.storage, container.id)

    async def prune_containers(self, filters: Mapping[str, Sequence[str]]) -> Pruned:
        return await prune.containers(self, filters)

    # further processes in a container

    def exec_create(self, ref: str, wish: Exec) -> str:
        return execute.create(self, ref, wish)

    def exec_inspect(self, id: str) -> Exec:
        if execute.find(self, id).running:
            self.supervision.catch_up()
        return execute.find(self, id)

    async def exec_check(self, id: str) -> None:
        execute.check(self, id)

    async def exec_start(
        self, id: str, conn: socket.socket | None, *, detach: bool, tty: bool, initial: bytes = b""
    ) -> None:
        await execute.start(self, id, conn, detach=detach, tty=tty, initial=initial)

    async def exec_resize(self, id: str, rows: int, columns: int) -> None:
        await execute.resize(self, id, rows, columns)

    # images

    def image(self, ref: str) -> Image:
        return self.store.image(ref)

    def images(self) -> list[Image]:
        return self.store.images()

    async def image_places(self, image: Image) -> dict[str, str]:
        tops = [pictures.layer_id(layer.chain_id) for layer in image.layers[-1:]]
        return await info.details(self, self.default_storage, tops[0]) if tops else {}

    def image_users(self, id: str) -> int:
        return len(pictures.users(self, id))

    async def tag(self, ref: str, target: str) -> None:
        await pictures.tag(self, ref, target)

    async def remove_image(self, ref: str, *, force: bool = False, prune: bool = True) -> list[tuple[str, str]]:
        return await pictures.remove(self, ref, force=force, prune=prune)

    async def load(self, archive: BinaryIO, progress: Any, platform: tuple[str, str, str] | None = None) -> list[str]:
        return await pictures.load(self, archive, progress, platform)

    async def save(self, refs: Sequence[str]) -> AsyncIterator[bytes]:
        return await pictures.save(self, refs)

    async def import_image(
        self,
        archive: BinaryIO,
        *,
        repository: str = "",
        tag: str = "",
        message: str = "",
        changes: Sequence[str] = (),
        platform: str = "",
    ) -> Image:
        return await pictures.import_image(self, archive, repository, tag, message, changes, platform)

    async def prune_images(self, filters: Mapping[str, Sequence[str]]) -> tuple[list[tuple[str, str]], int]:
        return await prune.images(self, filters)

    # networks

    def networks(self) -> list[Network]:
        return list(self.known_networks.values())

    def network(self, ref: str) -> Network:
        return networks.find(self, ref)

    def network_users(self, network: Network) -> list[Container]:
        return [c for c in self.containers() if network.name in c.connections]

    # system

    async def info(self) -> dict[str, Any]:
        return await info.info(self)

    def events(
        self, since: int = 0, until: int = 0, filters: Mapping[str, Sequence[str]] | None = None
    ) -> AsyncIterator[Event]:
        return self.bus.subscribe(since, until, filters or {})
