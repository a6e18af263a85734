"""Limits and devices: what of the host's resources a container may take."""

from __future__ import annotations

from tare.errors import Invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tare.cli.flags import Options

MEMBERS = (
    ("memory", "Memory"),
    ("memory-swap", "MemorySwap"),
    ("memory-reservation", "MemoryReservation"),
    ("memory-swappiness", "MemorySwappiness"),
    ("kernel-memory", "KernelMemory"),
    ("cpus", "NanoCpus"),
    ("cpu-shares", "CpuShares"),
    ("cpu-period", "CpuPeriod"),
    ("cpu-quota", "CpuQuota"),
    ("cpu-rt-period", "CpuRealtimePeriod"),
    ("cpu-rt-runtime", "CpuRealtimeRuntime"),
    ("cpuset-cpus", "CpusetCpus"),
    ("cpuset-mems", "CpusetMems"),
    ("pids-limit", "PidsLimit"),
    ("blkio-weight", "BlkioWeight"),
    ("oom-kill-disable", "OomKillDisable"),
    ("device-cgroup-rule", "DeviceCgroupRules"),
)
"""(flag, member of HostConfig) whose value goes over as it is."""

TABLES = (
    ("blkio-weight-device", "BlkioWeightDevice", "Weight"),
    ("device-read-bps", "BlkioDeviceReadBps", "Rate"),
    ("device-write-bps", "BlkioDeviceWriteBps", "Rate"),
    ("device-read-iops", "BlkioDeviceReadIOps", "Rate"),
    ("device-write-iops", "BlkioDeviceWriteIOps", "Rate"),
)
"""(flag, member, what the number after the device's path is called)."""


def put(host: dict[str, Any], options: Options) -> None:
    """Put what the flags say about resources into Docker's HostConfig. Raises Invalid."""
    given = options.given
    for flag, member in MEMBERS:
        if flag in given:
            host[member] = given[flag]
    for flag, member, number in TABLES:
        if flag in given:
            host[member] = [_per_device(flag, word, number) for word in given[flag]]
    if "ulimit" in given:
        host["Ulimits"] = [ulimit(word) for word in given["ulimit"]]
    if "device" in given:
        host["Devices"] = [device(word) for word in given["device"]]


def device(text: str) -> dict[str, str]:
    """``HOST[:CONTAINER[:rwm]]`` or ``HOST[:rwm]``."""
    source, *rest = text.split(":")
    target, access = source, "rwm"
    if len(rest) == 1 and rest[0] and set(rest[0]) <= set("rwm"):
        access = rest[0]
    elif rest:
        target = rest[0] or source
        access = rest[1] if len(rest) == 2 else access
    if not source.startswith("/") or len(rest) > 2 or not access or not set(access) <= set("rwm"):
        raise Invalid(f"invalid device specification: {text}", subject=text, hint="use HOST[:CONTAINER[:rwm]]")
    return {"PathOnHost": source, "PathInContainer": target, "CgroupPermissions": access}


def ulimit(text: str) -> dict[str, Any]:
    """``TYPE=SOFT[:HARD]``; -1 is unlimited."""
    name, equals, limits = text.partition("=")
    soft, colon, hard = limits.partition(":")
    try:
        if not equals or not name:
            raise ValueError
        return {"Name": name, "Soft": int(soft), "Hard": int(hard if colon else soft)}
    except ValueError:
        raise Invalid(f"invalid ulimit argument: {text}", subject=text, hint="use TYPE=SOFT[:HARD]") from None


def _per_device(flag: str, text: str, number: str) -> dict[str, Any]:
    from tare.cli.values import Misspelled, size

    path, colon, amount = text.rpartition(":")
    try:
        if not colon or not path.startswith("/dev/"):
            raise Misspelled(text)
        return {"Path": path, number: size(amount)}
    except Misspelled:
        raise Invalid(f"invalid value for --{flag}: {text}", subject=text, hint="use /dev/NAME:NUMBER") from None
