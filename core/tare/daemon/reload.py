"""SIGHUP: read the configuration again and take what can change while the daemon runs."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from tare.config import drivers, load, reload
from tare.daemon import logging as daemon_log
from tare.errors import TareError

if TYPE_CHECKING:
    from tare.config.flags import CommandLine
    from tare.config.settings import Settings
    from tare.hooks.plugins import Plugins

log = logging.getLogger("tare.daemon")


def reloaded(old: Settings, plugins: Plugins, line: CommandLine) -> Settings:
    """The settings from now on. A configuration with an error changes nothing; a key that needs a restart is named."""
    try:
        new = drivers.bind(load.load(line.config_file, line.values, os.environ), plugins.offered())
        settings, changed, waiting = reload.reloaded(old, new)
    except TareError as error:
        log.error("the configuration was not reloaded: %s", error)
        return old
    for path in changed:
        log.info("%s is now %s", settings.at(path), settings.values[path])
    for path in waiting:
        log.warning("%s changes when the daemon is restarted", new.at(path))
    daemon_log.set_level("debug" if settings.log.debug else settings.log.level)
    return settings
