"""SIGHUP: what of a changed configuration takes effect at once."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from tare.config.keys import KEYS
from tare.config.settings import Settings, build


class Reloaded(NamedTuple):
    """The settings from now on, the keys that changed in them, and those that need a restart to change."""

    settings: Settings
    changed: tuple[str, ...]
    waiting: tuple[str, ...]


def reloaded(old: Settings, new: Settings) -> Reloaded:
    """``old`` with the reloadable keys of ``new``. Driver tables and everything else stay as they were."""
    differing = [path for path in KEYS if path in old.values and old.values[path] != new.values[path]]
    changed = tuple(path for path in differing if KEYS[path].reload)
    waiting = [path for path in differing if not KEYS[path].reload]
    if old.tables != new.tables:
        names = sorted({*old.tables, *new.tables})
        waiting += [f"{kind}.{name}" for kind, name in names if old.tables.get((kind, name)) != new.tables.get((kind, name))]
    values = {**old.values, **{path: new.values[path] for path in changed}}
    origins = {**old.origins, **{path: new.origins[path] for path in changed}}
    made = build(values, origins=origins, tables=old.tables, warnings=new.warnings)
    return Reloaded(dataclasses.replace(made, options=old.options, aliases=old.aliases), changed, tuple(waiting))
