"""info: what Docker's /info says, and the size of a container."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tare.containers.container import Container
from tare.drivers.storage import SupportsDetails
from tare.engine.clock import now
from tare.errors import TareError
from tare.linux.cgroups import Hierarchy, hierarchies
from tare.model.probe import Usage

if TYPE_CHECKING:
    from tare.engine.engine import Engine

log = logging.getLogger(__name__)
LIMITS = {
    "MemoryLimit": ("memory limit", "memory", "memory.limit_in_bytes"),
    "SwapLimit": ("swap limit", "memory", "memory.memsw.limit_in_bytes"),
    "CpuCfsPeriod": ("cpu cfs period", "cpu", "cpu.cfs_period_us"),
    "CpuCfsQuota": ("cpu cfs quota", "cpu", "cpu.cfs_quota_us"),
    "CPUShares": ("cpu shares", "cpu", "cpu.shares"),
    "CPUSet": ("cpuset", "cpuset", "cpuset.cpus"),
    "PidsLimit": ("pids limit", "pids", ""),
}
"""Member of SystemInfo → what docker's warnings call it, its controller, and the file of version 1 that keeps it."""


async def size(engine: Engine, container: Container) -> tuple[int, int]:
    """Bytes in the writable layer, and bytes of the whole root file system. What cannot be measured, because it is damaged or
    just going away, counts as nothing: it must not keep others from being listed."""
    own = 0
    try:
        storage = await engine.roster.open("storage", container.storage)
        usage: Usage = await storage.call("usage", container.id)
        own = usage.bytes
    except TareError as error:
        log.info("size of container %s: %s", container.name, error)
    try:
        image = engine.store.image(container.image_id).size
    except TareError:
        image = 0
    return own, own + image


async def details(engine: Engine, driver: str, id: str) -> dict[str, str]:
    """Where a layer or snapshot lies on the disk, as its driver tells; empty when it does not."""
    try:
        storage = await engine.roster.open("storage", driver)
        return dict(await storage.call("details", id)) if storage.supports(SupportsDetails) else {}
    except TareError:
        return {}


async def info(engine: Engine) -> dict[str, Any]:
    """The members of SystemInfo (Docker Engine API) that have a meaning here."""
    settings = engine.settings
    containers = engine.containers()
    states = [container.state.status for container in containers]
    storage = engine.roster.handle("storage", engine.default_storage)
    warnings: list[str] = []
    status: list[list[str]] = []
    try:
        status = [list(pair) for pair in await storage.call("status")]
        for handle in (*engine.roster.opened("network"), *engine.roster.opened("runtime")):
            for name, value in await handle.call("status"):
                if name.lower() == "warning":
                    warnings.append(f"WARNING: {value}")
    except TareError as error:
        warnings.append(f"WARNING: {error}")
    trees = await asyncio.to_thread(hierarchies)
    limits = supported_limits(trees)
    warnings += [f"WARNING: No {LIMITS[name][0]} support" for name, there in limits.items() if not there]
    release = os_release()
    runtimes = {name: {"path": name} for name in engine.roster.names("runtime")}
    return {
        "ID": engine.instance,
        "Containers": len(containers),
        "ContainersRunning": states.count("running"),
        "ContainersPaused": states.count("paused"),
        "ContainersStopped": len(states) - states.count("running") - states.count("paused"),
        "Images": len(engine.images()),
        "Driver": storage.name,
        "DriverStatus": status,
        "SystemTime": now(),
        "LoggingDriver": settings.containers.log.driver,
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": str(trees[0].version) if trees else "",
        "Plugins": {
            "Volume": [],
            "Network": engine.roster.names("network"),
            "Authorization": None,
            "Log": ["json-file", "local", "none"],
        },
        **limits,
        "OomKillDisable": False,
        "IPv4Forwarding": flag("/proc/sys/net/ipv4/ip_forward"),
        "BridgeNfIptables": flag("/proc/sys/net/bridge/bridge-nf-call-iptables"),
        "BridgeNfIp6tables": flag("/proc/sys/net/bridge/bridge-nf-call-ip6tables"),
        "Debug": settings.log.debug,
        "NFd": len(os.listdir("/proc/self/fd")),
        "NGoroutines": len(engine.tasks),
        "NEventsListener": engine.bus.listeners,
        "KernelVersion": platform.release(),
        "OperatingSystem": release.get("PRETTY_NAME", "Linux"),
        "OSVersion": release.get("VERSION_ID", ""),
        "OSType": "linux",
        "Architecture": platform.machine(),
        "NCPU": len(os.sched_getaffinity(0)),
        "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "IndexServerAddress": "",
        "RegistryConfig": {"InsecureRegistryCIDRs": [], "IndexConfigs": {}, "Mirrors": []},
        "GenericResources": None,
        "DockerRootDir": str(engine.data_root),
        "HttpProxy": "",
        "HttpsProxy": "",
        "NoProxy": "",
        "Name": os.uname().nodename,
        "Labels": list(settings.labels),
        "ExperimentalBuild": False,
        "ServerVersion": version(),
        "Runtimes": runtimes,
        "DefaultRuntime": settings.runtime.default,
        "Swarm": {"NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": False, "Error": ""},
        "LiveRestoreEnabled": True,
        "Isolation": "",
        "InitBinary": "",
        "SecurityOptions": ["name=seccomp,profile=builtin"],
        "DefaultAddressPools": [],
        "Warnings": warnings,
    }


def version() -> str:
    from importlib.metadata import version as of

    return of("tare-engine")


def flag(path: str) -> bool:
    try:
        return Path(path).read_text().strip() == "1"
    except OSError:
        return False


def supported_limits(trees: tuple[Hierarchy, ...]) -> dict[str, bool]:
    """Which limits the kernel can keep, by the members of SystemInfo."""
    if trees and trees[0].version == 2:
        [tree] = trees
        found = {name: controller in tree.controllers for name, (_, controller, _) in LIMITS.items()}
        # The root has no such file; whether the kernel counts swap is seen below it.
        found["SwapLimit"] = any(Path(tree.path).glob("*/memory.swap.max"))
        return found
    places = {controller: tree.path for tree in trees for controller in tree.controllers}
    return {
        name: controller in places and os.path.exists(os.path.join(places[controller], file))
        for name, (_, controller, file) in LIMITS.items()
    }


def os_release() -> dict[str, str]:
    """os-release(5)."""
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {name: value.strip("\"'") for name, _, value in pairs}
