"""Limits and ulimits as the specification says them."""

from __future__ import annotations

from typing import Any

from tare.errors import Invalid
from tare.model.container import Limits, Ulimit

DEFAULT_PERIOD = 100_000
"""Microseconds of a CPU quota's period, as in Docker and the kernel."""

_ULIMITS = frozenset(
    """
    as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack
    """.split()
)


def resources(limits: Limits) -> dict[str, Any]:
    """``linux.resources`` without the devices; members that nobody set are absent. Raises Invalid."""
    if limits == _NONE:
        return {}
    found = {"memory": _memory(limits), "cpu": _cpu(limits)}
    if limits.pids:
        found["pids"] = {"limit": limits.pids if limits.pids > 0 else -1}
    if limits.blkio_weight:
        if not 10 <= limits.blkio_weight <= 1000:
            raise Invalid("range of blkio weight is from 10 to 1000", subject=str(limits.blkio_weight))
        found["blockIO"] = {"weight": limits.blkio_weight}
    return {name: members for name, members in found.items() if members}


_NONE = Limits()


def _memory(limits: Limits) -> dict[str, int]:
    memory, swap = limits.memory, limits.memory_swap
    if memory and memory < 6 << 20:
        raise Invalid("minimum memory limit allowed is 6MB", subject=str(memory))
    if swap > 0 and not memory:
        raise Invalid("you should always set the memory limit when using memoryswap limit, see usage", subject=str(swap))
    if 0 < swap < memory:
        raise Invalid("minimum memoryswap limit should be larger than memory limit, see usage", subject=str(swap))
    if memory and limits.memory_reservation > memory:
        raise Invalid(
            "minimum memory limit can not be less than memory reservation limit, see usage",
            subject=str(limits.memory_reservation),
        )
    found = {"limit": memory, "reservation": limits.memory_reservation, "swap": swap or 2 * memory}
    return {name: value for name, value in found.items() if value}


def _cpu(limits: Limits) -> dict[str, Any]:
    quota, period = limits.cpu_quota, limits.cpu_period
    if limits.nano_cpus:
        if quota or period:
            raise Invalid("conflicting options: nano CPUs and CPU quota or period cannot both be set")
        period = DEFAULT_PERIOD
        quota = limits.nano_cpus * period // 1_000_000_000
    if period and not 1000 <= period <= 1_000_000:
        raise Invalid("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)", subject=str(period))
    if 0 < quota < 1000:
        raise Invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)", subject=str(quota))
    found = {
        "shares": limits.cpu_shares,
        "quota": quota,
        "period": period,
        "cpus": limits.cpuset_cpus,
        "mems": limits.cpuset_mems,
    }
    return {name: value for name, value in found.items() if value}


def rlimits(ulimits: tuple[Ulimit, ...]) -> list[dict[str, Any]]:
    """``process.rlimits``. Raises Invalid for an unknown name and for soft above hard (RT-32)."""
    found = []
    for ulimit in ulimits:
        if ulimit.name not in _ULIMITS:
            raise Invalid(f"invalid ulimit type: {ulimit.name}", subject=ulimit.name)
        if ulimit.hard != -1 and (ulimit.soft == -1 or ulimit.soft > ulimit.hard):
            raise Invalid(
                f"ulimit soft limit must be less than or equal to hard limit: {ulimit.soft} > {ulimit.hard}",
                subject=ulimit.name,
            )
        found.append({"type": f"RLIMIT_{ulimit.name.upper()}", "soft": ulimit.soft, "hard": ulimit.hard})
    return found
