"""create: from a wish to a recorded container with a writable snapshot. Every step has its undo."""

from __future__ import annotations

import os
import shutil
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from tare.containers import logging, merge, names
from tare.containers.container import Container
from tare.drivers.network import SupportsPublish
from tare.drivers.storage import SupportsQuota
from tare.engine import bundle, networks, pictures
from tare.engine.clock import now
from tare.engine.persist import announce, save
from tare.errors import Invalid, NotFound, Unsupported
from tare.model.container import ContainerConfig
from tare.networks.predefined import name_of
from tare.oci import init as inits
from tare.oci import spec as oci

if TYPE_CHECKING:
    from tare.engine.engine import Engine



async def create(engine: Engine, config: ContainerConfig, name: str) -> tuple[str, tuple[str, ...]]:
    """Returns the new id and warnings. NotFound means the image alone: clients pull when they hear it."""
    engine.store.image(config.image)
    try:
        return await record(engine, config, name)
    except NotFound as error:
        raise Invalid(error.message, subject=error.subject, hint=error.hint) from error


async def record(engine: Engine, config: ContainerConfig, name: str) -> tuple[str, tuple[str, ...]]:
    """The steps of create, each with its undo."""
    if name:
        name = names.check(name)
    changes, changed_by = await engine.plugins.before("tare_before_container_create", name=name, config=config)
    if changes:
        config = replace(config, **changes)
    image = engine.store.image(config.image)
    config = merge.with_exposed(config, image.config)
    args = merge.arguments(config, image.config)
    env = merge.environment(config, image.config)
    log = engine.settings.containers.log
    log_driver, log_options = logging.choose(config.log_driver, config.log_options, log.driver, log.opts)
    warnings = check(config)
    storage = await engine.roster.open("storage", config.storage_driver or engine.default_storage)
    runtime = await engine.roster.open("runtime", config.runtime or engine.settings.runtime.default)
    if config.storage_options and not storage.supports(SupportsQuota):
        raise Unsupported(f"--storage-opt is not supported by the storage driver {storage.name}")
    warnings += await check_network(engine, config)
    wants_init = engine.settings.containers.init if config.init is None else config.init
    init = inits.find(engine.settings.containers.init_path) if wants_init else ""

    id = names.new_id()
    name = name or names.invent(engine.registry.taken)
    async with AsyncExitStack() as undo:
        engine.registry.claim(name, id)
        undo.callback(engine.registry.disclaim, name)
        layer = await pictures.unpack(engine, image, storage)
        await storage.call("prepare", id, layer, config.storage_options)
        undo.push_async_callback(storage.call, "remove", id)
        directory = engine.directory(id)
        os.mkdir(directory, 0o710)
        undo.callback(shutil.rmtree, directory, True)
        container = Container(
            id=id,
            name=name,
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
            directory=directory,
            changed_by=changed_by,
        )
        warnings += oci.warnings(bundle.request(engine, container))
        save(engine, container, durable=True)
        engine.registry.add(container)
        undo.pop_all()
    announce(engine, container, "create")
    engine.plugins.after("tare_after_container_create", id=id, name=name, config=config)
    return id, tuple(warnings)


def hostname(config: ContainerConfig, id: str) -> str:
    if config.hostname:
        return config.hostname
    if config.network == "host" or config.uts_mode == "host":
        return os.uname().nodename
    return id[:12]


def check(config: ContainerConfig) -> list[str]:
    """What can be refused without asking a driver. Returns warnings."""
    warnings: list[str] = []
    for bind in config.binds:
        if not bind.source.startswith("/"):
            raise Invalid(f"invalid mount path: '{bind.source}' mount path must be absolute", subject=bind.source)
        if not bind.target.startswith("/") or os.path.normpath(bind.target) == "/":
            raise Invalid(
                f"invalid volume specification: '{bind.source}:{bind.target}': destination can't be '/' or relative",
                subject=bind.target,
            )
        if not bind.create and not os.path.lexists(bind.source):
            raise Invalid(
                f'invalid mount config for type "bind": bind source path does not exist: {bind.source}',
                subject=bind.source,
                hint="create it first, or use -v, which creates it",
            )
    places = [*(bind.target for bind in config.binds), *(mount.target for mount in config.tmpfs)]
    targets = [os.path.normpath(place) for place in places]
    for target in targets:
        if targets.count(target) > 1:
            raise Invalid(f"Duplicate mount point: {target}", subject=target)
    if config.hostname and len(config.hostname) > 63:
        raise Invalid(f"invalid hostname: {config.hostname}", subject=config.hostname, hint="at most 63 characters")
    limits = config.limits
    if limits.memory and limits.memory < 6 * 1024 * 1024:
        raise Invalid("Minimum memory limit allowed is 6MB", subject=str(limits.memory))
    if limits.nano_cpus and (limits.cpu_quota or limits.cpu_period):
        raise Invalid("Conflicting options: Nano CPUs and CPU quota or period cannot both be set")
    return warnings


async def check_network(engine: Engine, config: ContainerConfig) -> list[str]:
    """Does the network exist, and can it do what is asked of it?"""
    mode = config.network
    if mode.startswith("container:"):
        try:
            target = engine.registry.find(mode.removeprefix("container:")).container
        except NotFound as error:
            raise NotFound(f"No such container: {mode.removeprefix('container:')}", subject=mode) from error
        if config.ports or config.publish_all:
            raise Invalid(
                "conflicting options: port publishing and the container type network mode",
                subject=mode,
                hint=f"publish the ports of {target.name} instead",
            )
        if config.hostname:
            raise Invalid("conflicting options: hostname and the network mode")
        return []
    network = networks.find(engine, name_of(mode))
    driver = await engine.roster.open("network", network.driver)
    if not (config.ports or config.publish_all) or driver.supports(SupportsPublish):
        return []
    if network.driver == "host":
        return ["Published ports are discarded when using host network mode"]
    raise Invalid(
        f"the network driver {driver.name} cannot publish ports", subject=mode, hint="leave -p out or use another network"
    )
