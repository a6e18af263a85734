"""The specification's resources as files of a cgroup (OCI runtime spec, config-linux.md "Control groups"; cgroups(7)).

Runs in the daemon, when it plans. Each translation goes through the same members, so that nothing is silently left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from tare.errors import Unsupported
from tare.linux.cgroups import Hierarchy

KNOWN: dict[str, set[str]] = {
    "devices": set(),
    "memory": {"limit", "reservation", "swap"},
    "cpu": {"shares", "quota", "period", "cpus", "mems"},
    "pids": {"limit"},
    "blockIO": {"weight"},
}
"""Members of ``linux.resources`` that are honoured; ``devices`` is a list of rules."""

NEEDS = {"memory": "memory", "pids": "pids", "blockIO": "io"}

DEFAULT_PERIOD = 100_000

Settings = tuple[tuple[str, tuple[str, ...]], ...]


def examine(resources: Mapping[str, Any]) -> None:
    """Raise Unsupported for a member that no translation knows (RT-55)."""
    for name, members in resources.items():
        if name not in KNOWN:
            raise Unsupported(f"the runtime ns cannot honour linux.resources.{name}", subject=name)
        for member in members if name != "devices" else ():
            if member not in KNOWN[name]:
                raise Unsupported(f"the runtime ns cannot honour linux.resources.{name}.{member}", subject=member)


def version1(tree: Hierarchy, resources: Mapping[str, Any]) -> Settings:
    """What to write into a directory of one version 1 tree, in order."""
    found: list[tuple[str, tuple[str, ...]]] = []
    for controller in tree.controllers:
        found.extend(_VERSION_1.get(controller, _nothing)(resources))
    if ("blockIO" in resources) and os.path.exists(f"{tree.path}/blkio.bfq.io_serviced"):
        found = [(_BFQ.get(file, file), values) for file, values in found]
    return tuple(found)


def version2(tree: Hierarchy, resources: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What to write into a directory of the version 2 tree, in order."""
    missing = [name for name, controller in NEEDS.items() if resources.get(name) and controller not in tree.controllers]
    if missing:
        raise Unsupported(
            f"this host's cgroups have no controller for {', '.join(missing)}",
            subject=missing[0],
            hint=f"cgroup.controllers offers: {' '.join(tree.controllers) or 'none'}",
        )
    memory, cpu = resources.get("memory", {}), resources.get("cpu", {})
    limit, swap = memory.get("limit", 0), memory.get("swap", 0)
    found = []
    if limit:
        found.append(("memory.max", _count(limit)))
    if swap and limit > 0:
        found.append(("memory.swap.max", _count(swap - limit if swap > 0 else -1)))
    if memory.get("reservation"):
        found.append(("memory.low", str(memory["reservation"])))
    if cpu.get("shares"):
        found.append(("cpu.weight", str(weight_of_shares(cpu["shares"]))))
    if cpu.get("quota") or cpu.get("period"):
        found.append(("cpu.max", f"{_count(cpu.get('quota', -1))} {cpu.get('period', DEFAULT_PERIOD)}"))
    for member, file in (("cpus", "cpuset.cpus"), ("mems", "cpuset.mems")):
        if cpu.get(member):
            found.append((file, cpu[member]))
    if resources.get("pids", {}).get("limit"):
        found.append(("pids.max", _count(resources["pids"]["limit"])))
    if resources.get("blockIO", {}).get("weight"):
        found.append(("io.weight", f"default {weight_of_block_io(resources['blockIO']['weight'])}"))
    return tuple(found)


def weight_of_shares(shares: int) -> int:
    """cpu.shares 2…262144 as cpu.weight 1…10000, as the OCI runtimes map it."""
    return 1 + (max(2, min(shares, 262144)) - 2) * 9999 // 262142


def weight_of_block_io(weight: int) -> int:
    """blkio.weight 10…1000 as io.weight 1…10000, as the OCI runtimes map it."""
    return 1 + (weight - 10) * 9999 // 990


def device_rules(rules: Iterable[Mapping[str, Any]]) -> list[tuple[bool, str, int, int, str]]:
    """``linux.resources.devices`` for tare.linux.device_filter.assemble."""
    return [
        (
            rule["allow"],
            rule.get("type") or "a",
            _number(rule.get("major")),
            _number(rule.get("minor")),
            rule.get("access") or "rwm",
        )
        for rule in rules
    ]


def _number(value: int | None) -> int:
    return -1 if value is None else value


def _count(value: int) -> str:
    return "max" if value < 0 else str(value)


def _nothing(_: Mapping[str, Any]) -> Settings:
    return ()


def _memory(resources: Mapping[str, Any]) -> Settings:
    memory = resources.get("memory", {})
    files = (
        ("limit", "memory.limit_in_bytes"),
        ("swap", "memory.memsw.limit_in_bytes"),
        ("reservation", "memory.soft_limit_in_bytes"),
    )
    return tuple((file, (str(memory[member]),)) for member, file in files if memory.get(member))


def _cpu(resources: Mapping[str, Any]) -> Settings:
    cpu = resources.get("cpu", {})
    files = (("shares", "cpu.shares"), ("period", "cpu.cfs_period_us"), ("quota", "cpu.cfs_quota_us"))
    return tuple((file, (str(cpu[member]),)) for member, file in files if cpu.get(member))


def _cpuset(resources: Mapping[str, Any]) -> Settings:
    cpu = resources.get("cpu", {})
    files = (("cpus", "cpuset.cpus"), ("mems", "cpuset.mems"))
    return tuple((file, (cpu[member],)) for member, file in files if cpu.get(member))


def _pids(resources: Mapping[str, Any]) -> Settings:
    limit = resources.get("pids", {}).get("limit", 0)
    return (("pids.max", (_count(limit),)),) if limit else ()


def _block_io(resources: Mapping[str, Any]) -> Settings:
    weight = resources.get("blockIO", {}).get("weight", 0)
    return (("blkio.weight", (str(weight),)),) if weight else ()


def _devices(resources: Mapping[str, Any]) -> Settings:
    """Consecutive rules of one sort share a descriptor; each needs a write of its own."""
    found: list[tuple[str, tuple[str, ...]]] = []
    for allow, kind, major, minor, access in device_rules(resources.get("devices", ())):
        file = "devices.allow" if allow else "devices.deny"
        numbers = ":".join("*" if number < 0 else str(number) for number in (major, minor))
        rule = "a" if kind == "a" else f"{kind} {numbers} {access}"
        if found and found[-1][0] == file:
            found[-1] = (file, (*found[-1][1], rule))
        else:
            found.append((file, (rule,)))
    return tuple(found)


_BFQ = {"blkio.weight": "blkio.bfq.weight"}
"""Since CFQ has gone (5.0) the weight belongs to the scheduler BFQ, which calls it so and does not show it at the root."""

_VERSION_1 = {
    "memory": _memory,
    "cpu": _cpu,
    "cpuset": _cpuset,
    "pids": _pids,
    "blkio": _block_io,
    "devices": _devices,
}
