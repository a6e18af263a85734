"""From a bundle to the plan that the child carries out: everything that can be decided before the clone is decided here.

Runs in the daemon. The plan is plain data (it travels by marshal); tare_runtime.ns.init and .join say what each member
does. A member of the specification that nothing here reads raises Unsupported: no wish is dropped silently (RT-55).
"""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tare.drivers.runtime import Bundle
from tare.errors import Invalid, Unsupported
from tare.linux import capabilities, cgroups, device_filter, mounts, process
from tare.linux.cgroups import Hierarchy
from tare.model.mount import Mount
from tare.model.process import ProcessRef
from tare_runtime.ns import limits

FLAGS = {
    "mount": process.CLONE_NEWNS,
    "network": process.CLONE_NEWNET,
    "uts": process.CLONE_NEWUTS,
    "ipc": process.CLONE_NEWIPC,
    "pid": process.CLONE_NEWPID,
    "cgroup": process.CLONE_NEWCGROUP,
}
FILES = {"mount": "mnt", "network": "net", "uts": "uts", "ipc": "ipc", "pid": "pid", "cgroup": "cgroup"}
"""How each kind is called in /proc/PID/ns."""

RLIMIT_LOCKS = 10
"""asm-generic/resource.h; Python has no name for it."""

_TOP = {"ociVersion", "process", "root", "hostname", "domainname", "mounts", "linux", "annotations"}
_LINUX = {
    "namespaces", "devices", "resources", "cgroupsPath", "maskedPaths", "readonlyPaths", "sysctl", "rootfsPropagation", "seccomp",
}  # fmt: skip
_PROCESS = {
    "terminal", "consoleSize", "user", "args", "env", "cwd", "capabilities", "rlimits", "noNewPrivileges", "oomScoreAdj",
}  # fmt: skip
_SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")


@dataclass(frozen=True, slots=True)
class Host:
    """What the driver knows of the host: the cgroup trees, the directory over which roots are mounted, the highest
    capability, and the parent of containers' cgroups unless the specification names one."""

    trees: tuple[Hierarchy, ...]
    place: str
    last_capability: int
    parent: str


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Which are new (CLONE_NEW* flags), and which are joined: (path, kind, pid, start time) each."""

    new: int
    joins: tuple[tuple[str, int, int, int], ...]
    pid: str


def container_plan(bundle: Bundle, host: Host) -> tuple[dict[str, Any], Namespaces]:
    """The plan for tare_runtime.ns.init. Raises Unsupported and Invalid."""
    spec = bundle.spec
    linux = spec.get("linux", {})
    _examine(spec)
    spaces = namespaces(bundle)
    kinds = {entry["type"] for entry in linux.get("namespaces", ())}
    trees: list[tuple[str, bool, int, int, bool, str, str]] = []
    path = cgroup_path(bundle, host)
    steps = _mount_steps(bundle, host, trees, path, private="cgroup" in kinds)
    steps += [_node(device) for device in linux.get("devices", ())]
    last: list[tuple[str, ...]] = [
        ("sysctl", f"/proc/sys/{name.replace('.', '/')}", str(value)) for name, value in linux.get("sysctl", {}).items()
    ]
    last += [("mask", place) for place in linux.get("maskedPaths", ())]
    last += [("read_only", place) for place in linux.get("readonlyPaths", ())]
    if spec.get("root", {}).get("readonly"):
        last.append(("close_off", "/"))
    plan = {
        "id": bundle.id,
        **placement(host, path, linux.get("resources", {})),
        "joins": spaces.joins,
        "own_cgroup_namespace": "cgroup" in kinds,
        "propagation": _propagation(linux.get("rootfsPropagation", "")),
        "root": host.place,
        "rootfs": [_root_mount(mount) for mount in bundle.rootfs],
        "trees": trees,
        "steps": steps,
        "last_steps": last,
        "hostname": spec.get("hostname", ""),
        "domainname": spec.get("domainname", ""),
        "own_network": "network" in kinds and "network" not in bundle.joins,
        "links": [_link(link) for attachment in bundle.attachments for link in attachment.links],
        "process": process_plan(spec["process"], linux, bundle, host),
        "rows": bundle.rows,
        "columns": bundle.columns,
    }
    return plan, spaces


def exec_plan(wish: Mapping[str, Any], bundle: Bundle, host: Host, target: ProcessRef) -> dict[str, Any]:
    """The plan for tare_runtime.ns.join: every namespace of the target, and its cgroups."""
    linux = bundle.spec.get("linux", {})
    place = placement(host, cgroup_path(bundle, host), None)
    if place["unified"]:
        place["unified"]["path"] = _beside(target, place["unified"]["path"])
    return {
        "id": bundle.id,
        **place,
        "target": (target.pid, target.start_time),
        "process": process_plan(wish, linux, bundle, host),
        "rows": bundle.rows,
        "columns": bundle.columns,
    }


def namespaces(bundle: Bundle) -> Namespaces:
    """New ones, and those to join: by the specification's path, or as the bundle's ``joins`` say. Raises Unsupported."""
    new, joins, pid = 0, [], ""
    for entry in bundle.spec.get("linux", {}).get("namespaces", ()):
        kind = entry["type"]
        if kind not in FLAGS:
            raise Unsupported(f"the runtime ns has no {kind} namespaces", subject=kind)
        target = bundle.joins.get(kind)
        path = f"/proc/{target.pid}/ns/{FILES[kind]}" if target else entry.get("path", "")
        if not path:
            # the cgroup namespace is left for a new one by the child, when it is in its place
            new |= FLAGS[kind] if kind != "cgroup" else 0
        elif kind == "pid":
            pid = path
        elif kind in ("mount", "cgroup"):
            raise Unsupported(f"the runtime ns cannot join a {kind} namespace by path", subject=path)
        else:
            joins.append((path, FLAGS[kind], target.pid if target else 0, target.start_time if target else 0))
    if not new & process.CLONE_NEWNS:
        raise Unsupported("the runtime ns needs a mount namespace of the container's own", subject="linux.namespaces")
    return Namespaces(new, tuple(joins), pid)


def cgroup_path(bundle: Bundle, host: Host) -> str:
    """Where the container is below each tree."""
    path: str = bundle.spec.get("linux", {}).get("cgroupsPath", "") or f"{host.parent}/{bundle.id}"
    if ":" in path:
        raise Unsupported(f"the cgroup path {path} is systemd's form", subject=path, hint="use the cgroupfs form, /parent/name")
    clean = os.path.normpath("/" + path.lstrip("/"))
    if clean == "/":
        raise Invalid(f"the cgroup path {path} names the root", subject=path)
    return clean


def placement(host: Host, path: str, resources: Mapping[str, Any] | None) -> dict[str, Any]:
    """The members ``cgroups`` and ``unified``; with None the places exist already and are only entered."""
    if resources is None:
        return {
            "cgroups": [(tree.path + path, None) for tree in host.trees if tree.version == 1],
            "unified": next(({"root": tree.path, "path": path} for tree in host.trees if tree.version == 2), None),
        }
    limits.examine(resources)
    places = [(tree.path + path, limits.version1(tree, resources)) for tree in host.trees if tree.version == 1]
    unified = None
    for tree in host.trees:
        if tree.version == 2:
            rules = resources.get("devices")
            unified = {
                "root": tree.path,
                "path": path,
                "settings": limits.version2(tree, resources),
                "devices": device_filter.assemble(limits.device_rules(rules)) if rules else None,
            }
    return {"cgroups": places, "unified": unified}


def _beside(target: ProcessRef, path: str) -> str:
    """The version 2 place of the container's first process when it has moved itself further down, as systemd and a dockerd in
    a container do: what passes controllers on may have no processes of its own (cgroups(7), "no internal processes")."""
    try:
        where = cgroups.membership(target.pid).get("", path)
    except OSError:
        return path  # it has just ended, and joining its namespaces will say so
    return where if where.startswith(f"{path}/") else path


def process_plan(wish: Mapping[str, Any], linux: Mapping[str, Any], bundle: Bundle, host: Host) -> dict[str, Any]:
    """What tare_runtime.ns.handover becomes."""
    _only(wish, _PROCESS, "process")
    user = wish.get("user", {})
    arguments = wish.get("args") or ()
    if not arguments:
        raise Invalid("no command specified", hint="process.args is empty")
    held = wish.get("capabilities") or {}
    return {
        "args": [os.fsencode(word) for word in arguments],
        "env": dict(_variable(variable) for variable in wish.get("env") or ()),
        "cwd": wish.get("cwd") or "/",
        "username": user.get("username"),
        "uid": user.get("uid", 0),
        "gid": user.get("gid", 0),
        "groups": list(user.get("additionalGids") or ()),
        "additional": list(user.get("additionalGroups") or ()),
        "umask": 0o022 if user.get("umask") is None else user["umask"],
        "capabilities": _masks(tuple(tuple(held.get(name) or ()) for name in _SETS), host.last_capability),
        "last_capability": host.last_capability,
        "rlimits": [_rlimit(entry) for entry in wish.get("rlimits") or ()],
        "oom_score_adj": wish.get("oomScoreAdj") or 0,
        "no_new_privileges": bool(wish.get("noNewPrivileges")),
        "seccomp": _filter(linux.get("seccomp")),
        "terminal": bool(wish.get("terminal")),
        "keyring": f"tare-{bundle.id[:12]}",
    }


def _examine(spec: Mapping[str, Any]) -> None:
    _only(spec, _TOP, "")
    _only(spec.get("linux", {}), _LINUX, "linux")


def _only(members: Mapping[str, Any], known: set[str], where: str) -> None:
    for member, value in members.items():
        if member not in known and value:
            name = f"{where}.{member}" if where else member
            raise Unsupported(f"the runtime ns cannot honour {name} of the specification", subject=name)


def _variable(variable: str) -> tuple[bytes, bytes]:
    name, given, value = os.fsencode(variable).partition(b"=")
    if not given or not name:
        raise Invalid(f"invalid environment variable: {variable}", subject=variable, hint="NAME=value")
    return name, value


@lru_cache(maxsize=64)
def _masks(names: tuple[tuple[str, ...], ...], last: int) -> tuple[int, ...]:
    for name in (name for group in names for name in group):
        if capabilities.NUMBERS.get(name, last + 1) > last:
            raise Invalid(f'unknown capability: "{name}"', subject=name, hint="see capabilities(7); this kernel may be older")
    return tuple(capabilities.mask(group) for group in names)


def _rlimit(entry: Mapping[str, Any]) -> tuple[int, str, int, int]:
    number = RLIMIT_LOCKS if entry["type"] == "RLIMIT_LOCKS" else getattr(resource, entry["type"], None)
    name = entry["type"].removeprefix("RLIMIT_").lower()
    if not isinstance(number, int):
        raise Unsupported(f"this host has no ulimit {name}", subject=name)
    return number, name, _endless(entry["soft"]), _endless(entry["hard"])


def _endless(value: int) -> int:
    return resource.RLIM_INFINITY if value < 0 or value >= 2**63 - 1 else value


def _filter(seccomp: Mapping[str, Any] | None) -> bytes | None:
    if not seccomp:
        return None
    compiled = seccomp.get("tare.filter")
    if not isinstance(compiled, bytes):
        raise Unsupported("the runtime ns takes a compiled seccomp filter", subject="linux.seccomp", hint="tare.filter: bytes")
    return compiled


def _propagation(word: str) -> int:
    if word in ("shared", "rshared"):
        raise Unsupported(f"the runtime ns cannot have a {word} root: the host's mounts are its master", subject=word)
    if word and word not in mounts.PROPAGATION:
        raise Invalid(f"invalid propagation: {word}", subject=word)
    return mounts.PROPAGATION.get(word, 0) & ~mounts.MS_REC


def _root_mount(mount: Mount) -> tuple[str, str, str, int, int, str, str]:
    flags, propagation, data = mounts.split_options(mount.options)
    if mount.type == "bind":
        flags |= mounts.MS_BIND
    return mount.type, mount.source, mount.target, flags, propagation, data, mount.cwd


def _mount_steps(
    bundle: Bundle, host: Host, trees: list[tuple[str, bool, int, int, bool, str, str]], path: str, private: bool
) -> list[tuple[Any, ...]]:
    steps: list[tuple[Any, ...]] = []
    entries = list(bundle.spec.get("mounts", ()))
    for entry in entries:
        target, kind = entry["destination"], entry.get("type") or "bind"
        options = entry.get("options") or ()
        flags, propagation, data = mounts.split_options(tuple(options))
        if propagation & mounts.MS_SHARED:
            raise Unsupported(
                f"the mount at {target} cannot be shared: what the container mounts does not reach the host",
                subject=target,
                hint="use rslave to see what the host mounts later, or rprivate",
            )
        if kind == "bind" or flags & mounts.MS_BIND:
            if data:
                raise Unsupported(f"the mount at {target} has options that the runtime ns does not know: {data}", subject=data)
            recursive = "bind" not in options
            attributes = mounts.attributes(flags)
            trees.append((entry["source"], recursive, attributes, propagation, recursive, target, ""))
            steps.append(("bind", target, len(trees) - 1))
        elif kind == "cgroup":
            steps += _cgroup_steps(host, trees, target, flags, path, private)
        elif target == "/dev/shm" and "ipc" in bundle.joins:
            trees.append((target, False, 0, 0, False, target, f"/proc/{bundle.joins['ipc'].pid}/ns/mnt"))
            steps.append(("bind", target, len(trees) - 1))
        else:
            steps.append(("mount", target, kind, entry.get("source") or kind, flags, propagation, data))
            if target == "/dev" and kind == "tmpfs":
                steps.append(("devices", target))
    taken = {entry["destination"] for entry in entries}
    attributes = mounts.MOUNT_ATTR_RDONLY if bundle.spec.get("root", {}).get("readonly") else 0
    for target, source in bundle.files.items():
        if not source:
            steps.append(("touch", target))
        elif target not in taken:
            trees.append((source, False, attributes, mounts.MS_PRIVATE, False, target, ""))
            steps.append(("bind", target, len(trees) - 1))
    return steps


def _cgroup_steps(
    host: Host,
    trees: list[tuple[str, bool, int, int, bool, str, str]],
    target: str,
    flags: int,
    path: str,
    private: bool,
) -> list[tuple[Any, ...]]:
    """/sys/fs/cgroup as Docker shows it: version 2 as it is, version 1 as a directory with a mount for every tree."""
    if any(tree.version == 2 for tree in host.trees):
        return [("mount", target, "cgroup2", "cgroup", flags, 0, "")]
    steps: list[tuple[Any, ...]] = [("mount", target, "tmpfs", "tmpfs", flags & ~mounts.MS_RDONLY, 0, "mode=755")]
    for tree in host.trees:
        place = f"{target}/{tree.title}"
        if private:
            data = ",".join(f"none,{name}" if name.startswith("name=") else name for name in tree.controllers)
            steps.append(("mount", place, "cgroup", "cgroup", flags, 0, data))
        else:
            trees.append((tree.path + path, False, mounts.attributes(flags), mounts.MS_PRIVATE, False, place, ""))
            steps.append(("bind", place, len(trees) - 1))
        if len(tree.controllers) > 1:
            steps += [("link", f"{target}/{name}", tree.title) for name in tree.controllers]
    if flags & mounts.MS_RDONLY:
        steps.append(("close_off", target))
    return steps


def _node(device: Mapping[str, Any]) -> tuple[Any, ...]:
    kinds = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}
    if device["type"] not in kinds:
        raise Invalid(f"invalid device type {device['type']}", subject=device["path"])
    mode = kinds[device["type"]] | (device.get("fileMode") or 0o666)
    number = os.makedev(device.get("major", 0), device.get("minor", 0))
    return "node", device["path"], mode, number, device.get("uid") or 0, device.get("gid") or 0


def _link(link: Any) -> dict[str, Any]:
    """The fields that tare.linux.links.configure reads."""
    return {
        "kind": link.kind,
        "name": link.name,
        "addresses": link.addresses,
        "routes": [{"destination": route.destination, "gateway": route.gateway} for route in link.routes],
        "options": dict(link.options),
    }
