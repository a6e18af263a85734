"""``HostConfig`` of ``inspect``: the wish in Docker's members, so that a client can create the same again from it."""

from __future__ import annotations

import os
from typing import Any

from tare.api.shapes import mounts, ports
from tare.api.versions import Version
from tare.containers.container import Container

MASKED = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
]
READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]

GO_NAMES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
"""Architectures as uname(2) names them and as images do."""


def architecture() -> str:
    """This host's architecture in the images' spelling."""
    machine = os.uname().machine
    return GO_NAMES.get(machine, machine)


def host_config(container: Container, version: Version) -> dict[str, Any]:
    wish = container.config
    limits = wish.limits
    shape: dict[str, Any] = {
        "Binds": [mounts.bind_spec(bound) for bound in wish.binds if bound.spelled == "bind"] or None,
        "ContainerIDFile": "",
        "LogConfig": {"Type": container.log_driver, "Config": dict(container.log_options)},
        "NetworkMode": "bridge" if wish.network == "default" and version >= (1, 44) else wish.network,
        "PortBindings": ports.bindings(wish.ports),
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "AutoRemove": wish.auto_remove,
        "VolumeDriver": "",
        "VolumesFrom": None,
        "ConsoleSize": list(wish.console_size),
        "CapAdd": _or_null(wish.cap_add),
        "CapDrop": _or_null(wish.cap_drop),
        "CgroupnsMode": wish.cgroupns_mode,
        "Dns": list(wish.dns),
        "DnsOptions": list(wish.dns_options),
        "DnsSearch": list(wish.dns_search),
        "ExtraHosts": _or_null(wish.extra_hosts),
        "GroupAdd": _or_null(wish.group_add),
        "IpcMode": wish.ipc_mode,
        "Cgroup": "",
        "Links": None,
        "OomScoreAdj": wish.oom_score_adj,
        "PidMode": wish.pid_mode,
        "Privileged": wish.privileged,
        "PublishAllPorts": wish.publish_all,
        "ReadonlyRootfs": wish.read_only,
        "SecurityOpt": _or_null(wish.security_opt),
        "UTSMode": wish.uts_mode,
        "UsernsMode": "",
        "ShmSize": wish.shm_size,
        "Runtime": container.runtime,
        "StorageDriver": container.storage,
        "Isolation": "",
        "CpuShares": limits.cpu_shares,
        "Memory": limits.memory,
        "NanoCpus": limits.nano_cpus,
        "CgroupParent": wish.cgroup_parent,
        "BlkioWeight": limits.blkio_weight,
        "BlkioWeightDevice": [],
        "BlkioDeviceReadBps": [],
        "BlkioDeviceWriteBps": [],
        "BlkioDeviceReadIOps": [],
        "BlkioDeviceWriteIOps": [],
        "CpuPeriod": limits.cpu_period,
        "CpuQuota": limits.cpu_quota,
        "CpuRealtimePeriod": 0,
        "CpuRealtimeRuntime": 0,
        "CpusetCpus": limits.cpuset_cpus,
        "CpusetMems": limits.cpuset_mems,
        "Devices": [
            {"PathOnHost": device.source, "PathInContainer": device.target, "CgroupPermissions": device.access}
            for device in wish.devices
        ],
        "DeviceCgroupRules": None,
        "DeviceRequests": None,
        "MemoryReservation": limits.memory_reservation,
        "MemorySwap": limits.memory_swap,
        "MemorySwappiness": None,
        "OomKillDisable": None,
        "PidsLimit": limits.pids or None,
        "Ulimits": [{"Name": limit.name, "Hard": limit.hard, "Soft": limit.soft} for limit in wish.ulimits],
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
        "MaskedPaths": _paths(wish.masked_paths, MASKED, wish.privileged),
        "ReadonlyPaths": _paths(wish.readonly_paths, READ_ONLY, wish.privileged),
    }
    wished = mounts.wished(wish)
    optional = {
        "Mounts": wished,
        "Annotations": dict(wish.annotations),
        "StorageOpt": dict(wish.storage_options),
        "Sysctls": dict(wish.sysctls),
        "Tmpfs": {
            mount.target: ",".join(mounts.without_defaults(mount.options)) for mount in wish.tmpfs if mount.spelled == "tmpfs"
        },
    }
    if wish.init is not None:
        shape["Init"] = wish.init
    return shape | {name: value for name, value in optional.items() if value}


def _or_null(words: tuple[str, ...]) -> list[str] | None:
    return list(words) or None


def _paths(wish: tuple[str, ...] | None, default: list[str], privileged: bool) -> list[str] | None:
    if wish is not None:
        return list(wish)
    return None if privileged else default
