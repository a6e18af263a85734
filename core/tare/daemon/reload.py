"""SIGHUP: read the configuration again and take what can change while the daemon runs."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from tare.config import drivers, load
from tare.config.keys import KEYS
from tare.config.settings import build
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
        values, origins = dict(old.values), dict(old.origins)
        for path, value in new.values.items():
            if value == old.values[path]:
                continue
            if KEYS[path].reload:
                values[path], origins[path] = value, new.origins[path]
                log.info("%s is now %s (%s)", path, value, new.origins[path])
            else:
                log.warning("%s: %s changes when the daemon is restarted", new.origins[path], path)
        merged = build(values, origins=origins, tables=old.tables, warnings=new.warnings)
        merged = replace(merged, options=old.options, aliases=old.aliases)
    except TareError as error:
        log.error("the configuration was not reloaded: %s", error)
        return old
    daemon_log.set_level("debug" if merged.log.debug else merged.log.level)
    return merged
