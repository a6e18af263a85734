"""The life of the daemon: everything is opened, it serves, everything is closed; containers live on."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from tare.api import versions
from tare.api.routes.table import router
from tare.api.server import Listeners, Server
from tare.api.service import Service
from tare.daemon import reload
from tare.daemon.pidfile import PidFile
from tare.daemon.ready import Starter, notify
from tare.engine.engine import Engine

if TYPE_CHECKING:
    from tare.config.flags import CommandLine
    from tare.config.settings import Settings
    from tare.hooks.plugins import Plugins

log = logging.getLogger("tare.daemon")

SPOOL = "tmp"
"""Where under data-root request bodies are kept that are too large for memory; the files have no names."""


async def serve(settings: Settings, plugins: Plugins, line: CommandLine, starter: Starter) -> None:
    """Run until SIGTERM or SIGINT. Raises TareError when the daemon cannot start; nothing is left behind then."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    for warning in settings.warnings:
        log.warning("%s", warning)
    async with AsyncExitStack() as undo:
        undo.callback(plugins.close)
        pidfile = PidFile(settings.pidfile)
        pidfile.take()
        undo.callback(pidfile.drop)
        await plugins.before("tare_before_daemon_start", settings=dict(settings.values))
        listeners = Listeners()
        listeners.open(settings.api.hosts, group=settings.api.group, allow_plain_tcp=settings.api.allow_plain_tcp)
        undo.callback(listeners.close)
        engine = await Engine.open(settings, plugins)
        undo.push_async_callback(engine.close)
        spool = settings.data_root / SPOOL
        spool.mkdir(mode=0o700, exist_ok=True)
        oldest = max(versions.OLDEST, versions.parse(settings.api.min_version))
        service = Service(engine, router(), spool, f"tare/{versions.tare()} (linux)", oldest)
        server = Server(service, listeners)
        loop.add_signal_handler(signal.SIGHUP, lambda: _reload(engine, line))
        server.start()
        # What exists by now lives as long as the daemon: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        log.info("serving on %s, data in %s", ", ".join(settings.api.hosts), settings.data_root)
        plugins.after("tare_after_daemon_start", hosts=list(settings.api.hosts))
        starter.ready()
        notify(f"READY=1\nSTATUS=serving on {', '.join(settings.api.hosts)}")
        await ended.wait()
        notify("STOPPING=1")
        log.info("stopping; containers live on")
        await server.close(settings.shutdown_timeout)
        plugins.after("tare_after_daemon_stop")
    log.info("stopped")


def _reload(engine: Engine, line: CommandLine) -> None:
    notify(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
    engine.settings = reload.reloaded(engine.settings, engine.plugins, line)
    notify("READY=1")
