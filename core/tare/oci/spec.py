"""A container's wish as an OCI runtime specification (opencontainers/runtime-spec, config.md), the way Docker writes it.

Beyond the specification, for the runtime ``ns`` alone:

* ``process.user.username``: ``--user`` as typed, ``""`` for root; looked up in the container's own files by its child,
  which then replaces uid and gid. ``process.user.additionalGroups``: names or numbers, likewise.
* ``linux.seccomp`` is ``{"tare.filter": bytes}``: the filter compiled for this machine (array of struct sock_filter).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from tare.errors import Invalid
from tare.linux.cgroups import hierarchies
from tare.oci import capabilities, devices, filesystems, security
from tare.oci.request import SpecRequest
from tare.oci.resources import resources, rlimits

__all__ = ["SpecRequest", "build", "cgroup_namespace", "exec_process", "for_exec", "warnings"]

VERSION = "1.2.0"
DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_IPC_SYSCTLS = frozenset(
    f"kernel.{name}" for name in ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced")
)
_UNPRIVILEGED_NETWORK = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}

_bounding = lru_cache(maxsize=1)(capabilities.bounding)


def build(request: SpecRequest) -> dict[str, Any]:
    """The specification. Raises Invalid or Unsupported for a wish that cannot mean anything here."""
    options = security.parse(request.security_opt)
    nodes, rules = devices.describe(request.devices, request.privileged)
    further = for_exec(request, options)
    linux: dict[str, Any] = {
        **further["linux"],
        "namespaces": _namespaces(request),
        "devices": nodes,
        "resources": {"devices": rules, **resources(request.limits)},
        "maskedPaths": filesystems.masked(request, options.system_paths),
        "readonlyPaths": filesystems.read_only(request, options.system_paths),
        "sysctl": _sysctls(request),
        "rootfsPropagation": request.rootfs_propagation,
    }
    return {
        "ociVersion": VERSION,
        "process": further["process"],
        "root": {"path": "rootfs", "readonly": request.read_only},
        "hostname": "" if request.uts_mode == "host" else request.hostname,
        "domainname": "" if request.uts_mode == "host" else request.domainname,
        "mounts": filesystems.mounts(request, options.writable_cgroups),
        "linux": linux,
        "annotations": dict(request.annotations),
    }


def for_exec(request: SpecRequest, options: security.Security | None = None) -> dict[str, Any]:
    """What of the specification a further process is made from: ``process``, and of ``linux`` the place and the filter. It
    asks nothing of the host that may have changed since the start, such as a device that was there then."""
    options = options or security.parse(request.security_opt)
    held = _capabilities(request)[0]
    filter = security.program(options, request.seccomp_profile, request.privileged, held)
    linux: dict[str, Any] = {"cgroupsPath": request.cgroups_path}
    if filter is not None:
        linux["seccomp"] = {"tare.filter": filter}
    return {"process": _process(request, held, request.no_new_privileges or options.no_new_privileges), "linux": linux}


def warnings(request: SpecRequest) -> list[str]:
    """Examine a wish without starting it: what ``build`` would raise is raised, what it would leave out is returned."""
    build(request)
    return _capabilities(request)[1]


def exec_process(
    spec: Mapping[str, Any],
    args: tuple[str, ...],
    *,
    env: tuple[str, ...] = (),
    cwd: str = "",
    user: str = "",
    tty: bool = False,
    privileged: bool = False,
) -> dict[str, Any]:
    """A further ``process`` for a container with this specification: what is not given is as in the container."""
    own = spec["process"]
    process = {
        **own,
        "args": list(args),
        "cwd": cwd or own["cwd"],
        "terminal": tty,
        "env": _merge(own["env"], env, tty),
    }
    if user:
        process["user"] = {**own["user"], "username": user}
    if privileged:
        process["capabilities"] = _sets(capabilities.resolve((), (), True, _bounding())[0])
    return process


def _process(request: SpecRequest, held: tuple[str, ...], no_new: bool) -> dict[str, Any]:
    if not request.args or not request.args[0]:
        raise Invalid("no command specified", hint="give a command after the image's name")
    if request.cwd and not request.cwd.startswith("/"):
        raise Invalid(f"the working directory '{request.cwd}' is invalid, it needs to be an absolute path", subject=request.cwd)
    hostname = [f"HOSTNAME={request.hostname}"] if request.hostname else []
    return {
        "terminal": request.tty,
        "user": {"uid": 0, "gid": 0, "username": request.user, "additionalGroups": list(request.groups)},
        "args": ["/sbin/docker-init", "--", *request.args] if request.init else list(request.args),
        "env": _merge([DEFAULT_PATH, *hostname], request.env, request.tty),
        "cwd": request.cwd or "/",
        "capabilities": _sets(held),
        "rlimits": rlimits(request.ulimits),
        "noNewPrivileges": no_new,
        "oomScoreAdj": request.oom_score_adj,
    }


def _capabilities(request: SpecRequest) -> tuple[tuple[str, ...], list[str]]:
    return _resolve(request.cap_add, request.cap_drop, request.privileged)


@lru_cache(maxsize=64)
def _resolve(add: tuple[str, ...], drop: tuple[str, ...], privileged: bool) -> tuple[tuple[str, ...], list[str]]:
    return capabilities.resolve(add, drop, privileged, _bounding())


def _sets(held: tuple[str, ...]) -> dict[str, list[str]]:
    """As root has them; the child takes away what a user who is not root must not have."""
    names = list(held)
    return {"bounding": names, "effective": names, "permitted": names, "inheritable": [], "ambient": []}


def _merge(base: list[str], more: tuple[str, ...], tty: bool) -> list[str]:
    """Later definitions of a variable replace earlier ones at their place; a name without ``=`` removes it."""
    found = {variable.partition("=")[0]: variable for variable in base}
    if tty:
        found.setdefault("TERM", "TERM=xterm")
    for variable in more:
        name, given, _ = variable.partition("=")
        if given:
            found[name] = variable
        else:
            found.pop(name, None)
    return list(found.values())


def _namespaces(request: SpecRequest) -> list[dict[str, str]]:
    kinds = ["mount"]
    if request.network != "host":
        kinds.append("network")
    if request.uts_mode != "host":
        kinds.append("uts")
    if request.pid_mode != "host":
        kinds.append("pid")
    if request.ipc_mode != "host":
        kinds.append("ipc")
    if (request.cgroupns_mode or cgroup_namespace(request.privileged)) == "private":
        kinds.append("cgroup")
    return [{"type": kind} for kind in kinds]


def cgroup_namespace(privileged: bool, default: str = "") -> str:
    """``private`` or ``host`` for who names neither, as Docker decides: ``default`` is the daemon's setting; without one it is
    private where the host has version 2. With version 1 a privileged container has the host's whatever the setting says."""
    if _unified():
        return default or "private"
    return "host" if privileged else default or "host"


@lru_cache(maxsize=1)
def _unified() -> bool:
    return any(tree.version == 2 for tree in hierarchies())


def _sysctls(request: SpecRequest) -> dict[str, str]:
    found = dict(_UNPRIVILEGED_NETWORK) if request.network == "new" else {}
    for name, value in request.sysctls.items():
        kind = _namespace_of(name)
        if not kind:
            raise Invalid(f"sysctl '{name}' is not allowed: it is not in a namespace of the container's own", subject=name)
        shared = request.network if kind == "network" else request.ipc_mode
        if shared == "host":
            raise Invalid(f"sysctl '{name}' not allowed in host {kind} namespace", subject=name)
        found[name] = value
    return found


def _namespace_of(sysctl: str) -> str:
    if sysctl in _IPC_SYSCTLS or sysctl.startswith("fs.mqueue."):
        return "IPC"
    return "network" if sysctl.startswith("net.") else ""
