"""create: from a wish to a recorded container with a writable snapshot. Every step has its undo."""

from __future__ import annotations

import os
import shutil
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from tare.containers import logging, merge, names
from tare.containers.container import Container
from tare.drivers.storage import SupportsQuota
from tare.engine import bundle, defaults, pictures, wishes
from tare.engine.clock import now
from tare.engine.persist import announce, checked, save
from tare.engine.roster import Handle
from tare.errors import Invalid, NotFound, TareError, Unsupported
from tare.model.container import ContainerConfig
from tare.oci import init as inits
from tare.oci import spec as oci

if TYPE_CHECKING:
    from tare.engine.engine import Engine

COPYING = 3600.0
"""Seconds that a driver may take for a snapshot: one without copy-on-write copies an image."""


async def create(engine: Engine, config: ContainerConfig, name: str) -> tuple[str, tuple[str, ...]]:
    """Returns the new id and warnings. NotFound means the image alone: clients pull when they hear it."""
    engine.store.image(config.image)
    try:
        return await record(engine, config, name)
    except NotFound as error:
        engine.store.image(config.image)
        raise Invalid(error.message, subject=error.subject, hint=error.hint) from error


async def record(engine: Engine, config: ContainerConfig, name: str) -> tuple[str, tuple[str, ...]]:
    """The steps of create, each with its undo."""
    if name:
        name = names.check(name)
    changes, changed_by = await engine.plugins.before("tare_before_container_create", name=name, config=config)
    if changes:
        config = checked(replace(config, **changes), changed_by)
    image = engine.store.image(config.image)
    config = defaults.for_good(engine.settings, merge.with_exposed(config, image.config))
    args = merge.arguments(config, image.config)
    env = merge.environment(config, image.config)
    log = engine.settings.containers.log
    log_driver, log_options = logging.choose(config.log_driver, config.log_options, log.driver, log.opts)
    warnings = wishes.check(config) + wishes.unheard(image.config)
    storage = await engine.roster.open("storage", config.storage_driver or engine.default_storage)
    runtime = await engine.roster.open("runtime", config.runtime or engine.settings.runtime.default)
    if config.storage_options and not storage.supports(SupportsQuota):
        raise Unsupported(f"--storage-opt is not supported by the storage driver {storage.name}")
    wishes.check_joined(engine, config)
    warnings += await wishes.check_network(engine, config)
    wants_init = engine.settings.containers.init if config.init is None else config.init
    init = inits.find(engine.settings.containers.init_path) if wants_init else ""

    id = names.new_id()
    container = Container(
        id=id,
        name=name or names.invent(engine.registry.taken),
        created=now(),
        config=config,
        image_id=image.id,
        image_config=image.config,
        args=args,
        env=env,
        working_dir=config.working_dir or image.config.working_dir or "/",
        user=config.user or image.config.user,
        hostname=hostname(config, id),
        stop_signal=config.stop_signal or image.config.stop_signal or "SIGTERM",
        labels=merge.labels(config, image.config),
        storage=storage.name,
        runtime=runtime.name,
        log_driver=log_driver,
        log_options=log_options,
        init=init,
        directory=engine.directory(id),
        changed_by=changed_by,
    )
    warnings += oci.warnings(bundle.request(container, defaults.of_a_start(engine.settings)))
    async with pictures.needed(engine, container), AsyncExitStack() as undo:
        engine.registry.claim(container.name, id)
        undo.callback(engine.registry.disclaim, container.name)
        layer = await pictures.unpack(engine, image, storage)
        undo.push_async_callback(discard, engine, storage, id)
        await storage.call("prepare", id, layer, config.storage_options, deadline=COPYING)
        os.mkdir(container.directory, 0o710)
        undo.callback(shutil.rmtree, container.directory, True)
        save(engine, container, durable=True)
        engine.registry.add(container)
        undo.pop_all()
    announce(engine, container, "create")
    engine.plugins.after("tare_after_container_create", id=id, name=container.name, config=config)
    return id, tuple(warnings)


async def discard(engine: Engine, storage: Handle, id: str) -> None:
    """Take a snapshot back that no container came to own. Where the driver cannot, the next start of the daemon does."""
    with suppress(TareError):
        engine.supervision.tell("clean", {"paths": await storage.call("remove", id)})


def hostname(config: ContainerConfig, id: str) -> str:
    if config.hostname:
        return config.hostname
    if config.network == "host" or config.uts_mode == "host":
        return os.uname().nodename
    return id[:12]
