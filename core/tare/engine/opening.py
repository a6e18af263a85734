"""Opening and closing the engine: find out what exists, what still runs, what ended meanwhile, and clean up the rest."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
from typing import TYPE_CHECKING, Any

from tare.containers.container import Container
from tare.engine import adoption, damage, defaults, pictures, settle, wait
from tare.engine.persist import publish, save
from tare.engine.remove import take_away
from tare.engine.roster import Roster
from tare.engine.spares import Spares
from tare.engine.start import warm_up
from tare.engine.supervision import Supervision
from tare.errors import Internal, TareError
from tare.events.bus import Bus
from tare.images.store import ImageStore
from tare.model.network import Network
from tare.networks.predefined import PREDEFINED, predefined
from tare.state.database import State
from tare.state.documents import from_document, to_document

if TYPE_CHECKING:
    from tare.engine.engine import Engine

log = logging.getLogger(__name__)

DEFAULT_DATA_ROOT = "/var/lib/tare"
STORAGE_PREFERENCE = ("overlay2", "vfs")


async def open_engine(engine: Engine) -> None:
    """Raises TareError when the data-root is in use, the database unreadable or a default driver does not work."""
    settings = engine.settings
    for path in (engine.data_root, engine.data_root / "containers", engine.exec_root):
        path.mkdir(mode=0o711, parents=True, exist_ok=True)
    engine.state = State(engine.data_root)
    engine.suffix = "" if str(engine.data_root) == DEFAULT_DATA_ROOT else instance_of(str(engine.data_root))
    engine.instance = engine.state.meta.get("instance") or _new_instance(engine)
    engine.bus = Bus()
    offered = {
        kind: settings.offered(kind, engine.plugins.drivers(kind)) for kind in ("storage", "network", "runtime")
    }
    engine.roster = Roster(
        offered, engine.data_root, engine.exec_root, engine.suffix, settings.driver_options, engine.plugins.probed
    )
    engine.store = ImageStore(engine.data_root / "content", engine.state.images)
    engine.supervision = Supervision(
        engine.exec_root,
        lambda kind, body: settle.hear(engine, kind, body),
        lambda: adoption.supervisor_lost(engine),
    )
    engine.spares = Spares(engine.supervision, engine.spawn)
    load_containers(engine)
    running = adoption.seen_running(engine)
    hello = await engine.supervision.connect()
    await choose_defaults(engine)
    engine.spawn(warm_up(engine), "loading the runtime's template")
    await open_networks(engine)
    await adoption.adopt(engine, hello, running)
    await damage.find_what_is_theirs(engine)
    await take_away_unstarted(engine)
    await reconcile(engine)
    await adoption.hold_ports(engine, hello)


def instance_of(data_root: str) -> str:
    """Eight hex digits that tell this data-root's host-wide names from another's."""
    return hashlib.sha256(data_root.encode()).hexdigest()[:8]


def _new_instance(engine: Engine) -> str:
    id = os.urandom(16).hex()
    engine.state.meta.set("instance", id)
    return id


async def choose_defaults(engine: Engine) -> None:
    """The configured storage driver must work; without one the first that works is taken."""
    wanted = engine.settings.storage.driver
    if wanted:
        engine.default_storage = (await engine.roster.open("storage", wanted)).name
    else:
        reasons: list[str] = []
        for name in STORAGE_PREFERENCE:
            try:
                engine.default_storage = (await engine.roster.open("storage", name)).name
                break
            except TareError as error:
                reasons.append(error.message)
                log.info("%s", error.message)
        else:
            raise TareError(f"no storage driver works: {'; '.join(reasons)}", hint="name one in [storage] driver")
    await engine.roster.open("runtime", engine.settings.runtime.default)


def load_containers(engine: Engine) -> None:
    """Every recorded container; one that cannot be read keeps its name and what it has, and is named in the log."""
    for row in engine.state.containers.load():
        why = row.damage
        try:
            container: Container = from_document(Container, {**row.document, "execs": {}})
            why = why or damage.contradiction(row, container)
        except Internal as error:
            why = why or error.message
        if why:
            log.error("the record of container %s cannot be read and is kept as it is: %s", row.name, why)
            container = damage.stand_in(engine, row, why)
        else:
            container.config = defaults.for_good(engine.settings, container.config)  # an older tare did not record them
        engine.registry.add(container, why)


async def open_networks(engine: Engine) -> None:
    """The predefined networks and those that users made. A driver that does not work leaves its networks unusable. A record
    that cannot be read is never written over; the network is used as its driver finds it."""
    recorded: dict[str, Network] = {}
    damaged: set[str] = set()
    for row in engine.state.networks.load():
        try:
            if row.damage:
                raise Internal(row.damage)
            recorded[row.name] = from_document(Network, row.document)
        except Internal as error:
            damaged.add(row.name)
            log.error("the record of network %s cannot be read and is kept as it is: %s", row.name, error.message)
    for name in PREDEFINED:
        recorded.setdefault(name, predefined(name, engine.started_at, engine.suffix))
    for name, network in recorded.items():
        try:
            handle = await engine.roster.open("network", network.driver)
            made: Network = await handle.call("create", network)
        except TareError as error:
            log.warning("network %s: %s", name, error)
            made = network
        engine.known_networks[name] = made
        if name not in damaged:
            engine.state.networks.save(made.id, made.name, to_document(made), durable=False)


async def take_away_unstarted(engine: Engine) -> None:
    """A container with ``--rm`` that was never started: whoever meant to start it went with the last daemon."""
    for entry in engine.registry.entries():
        if entry.container.config.auto_remove and entry.container.state.status == "created":
            async with entry.lock:
                await take_away(engine, entry)


async def reconcile(engine: Engine) -> None:
    """Tell every driver what should exist; it removes the rest. Then the directories of containers that are gone."""
    containers = {entry.container.id for entry in engine.registry.entries()}
    layers = {pictures.layer_id(layer.chain_id) for image in engine.store.images() for layer in image.layers}
    for name in engine.roster.with_data("storage"):
        keep = containers | layers
        if not engine.store.whole:
            # Which layers are those of an image that cannot be read is not known.
            with contextlib.suppress(TareError):
                keep |= set(await (await engine.roster.open("storage", name)).call("list"))
        await _each(engine, "storage", name, keep)
    live = [
        (connection.endpoint, connection.attachment, connection.bindings)
        for entry in engine.registry.entries()
        for connection in entry.container.connections.values()
    ]
    for name in {network.driver for network in engine.known_networks.values()}:
        networks = [network for network in engine.known_networks.values() if network.driver == name]
        mine = [item for item in live if item[0].network.driver == name]
        await _each(engine, "network", name, networks, mine)
    for name in engine.roster.with_data("runtime"):
        await _each(engine, "runtime", name, containers)
    stray = [entry.path for entry in os.scandir(engine.data_root / "containers") if entry.name not in containers]
    if stray:
        engine.supervision.tell("clean", {"paths": stray})


async def _each(engine: Engine, kind: str, name: str, *args: Any) -> None:
    try:
        handle = await engine.roster.open(kind, name)
        for line in await handle.call("reconcile", *args):
            log.info("%s driver %s: %s", kind, name, line)
    except TareError as error:
        log.warning("%s", error)


async def close_engine(engine: Engine) -> None:
    for entry in engine.registry.entries():
        wait.notify(entry, "removed", entry.container.state.exit_code, "the daemon is going down")
    for task in list(engine.tasks):
        task.cancel()
    for entry in engine.registry.entries():
        if entry.container.running:
            save(engine, entry.container, durable=True)
    publish(engine, "daemon", "shutdown", engine.instance, {})
    await engine.supervision.leave()
    engine.spares.close()
    await engine.roster.close()
    await asyncio.to_thread(engine.store.close)
    engine.state.close()
