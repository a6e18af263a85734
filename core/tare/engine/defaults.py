"""What the daemon's settings give a container: some of it for good when it is created, the rest anew at each start.

Both are written into its record, because settings change, by a reload or between two daemons, and a container that runs does
not change with them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tare.containers.container import Defaults
from tare.model.container import ContainerConfig
from tare.oci import security
from tare.oci.spec import cgroup_namespace

if TYPE_CHECKING:
    from tare.config.settings import Settings


def for_good(settings: Settings, config: ContainerConfig) -> ContainerConfig:
    """The wish with what ``inspect`` shows of the settings, as Docker fixes it at create."""
    limits = config.limits
    if limits.memory > 0 and not limits.memory_swap:
        limits = replace(limits, memory_swap=2 * limits.memory)
    return replace(
        config,
        ipc_mode=config.ipc_mode or settings.containers.ipc,
        cgroupns_mode=config.cgroupns_mode or cgroup_namespace(config.privileged, settings.cgroups.namespace),
        shm_size=config.shm_size or settings.containers.shm_size,
        limits=limits,
    )


def of_a_start(settings: Settings) -> Defaults:
    """What a start takes from the settings. Raises Invalid for a seccomp profile that cannot be read."""
    return Defaults(
        no_new_privileges=settings.security.no_new_privileges,
        seccomp_profile=security.profile(settings.security.seccomp_profile),
        ulimits=settings.containers.ulimits,
        cgroup_parent=settings.cgroups.parent,
    )
