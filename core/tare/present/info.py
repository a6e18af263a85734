"""``info``: the daemon and its host as indented text."""

from __future__ import annotations

from tare.present import sizes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any


def render(info: Mapping[str, Any], client: Mapping[str, Any]) -> str:
    """/info's JSON and the client's version (Version, Context) as Docker's client lays them out; ends in a newline.

    What the daemon does not say is left out; its warnings come last.
    """
    lines = ["Client:", f" Version:    {client.get('Version', '')}", f" Context:    {client.get('Context') or 'default'}"]
    lines += [" Debug Mode: " + _truth(client.get("Debug")), "", "Server:"]
    lines += [*_counts(info), *_drivers(info), *_runtimes(info), *_security(info), *_host(info), *_daemon(info)]
    warnings = info.get("Warnings") or ()
    return "\n".join([*lines, "", *warnings]) + "\n"


def _truth(value: Any) -> str:
    return "true" if value else "false"


def _present(info: Mapping[str, Any], names: Iterable[tuple[str, str]]) -> list[str]:
    """`` Label: value`` for the members that say something."""
    return [f" {label}: {info[key]}" for key, label in names if info.get(key)]


def _counts(info: Mapping[str, Any]) -> list[str]:
    return [
        f" Containers: {info.get('Containers', 0)}",
        f"  Running: {info.get('ContainersRunning', 0)}",
        f"  Paused: {info.get('ContainersPaused', 0)}",
        f"  Stopped: {info.get('ContainersStopped', 0)}",
        f" Images: {info.get('Images', 0)}",
    ]


def _drivers(info: Mapping[str, Any]) -> list[str]:
    lines = _present(info, (("ServerVersion", "Server Version"), ("Driver", "Storage Driver")))
    lines += [f"  {name}: {value}" for name, value in info.get("DriverStatus") or ()]
    lines += _present(
        info, (("LoggingDriver", "Logging Driver"), ("CgroupDriver", "Cgroup Driver"), ("CgroupVersion", "Cgroup Version"))
    )
    plugins = info.get("Plugins") or {}
    kinds = [(kind, sorted(plugins.get(kind) or ())) for kind in ("Volume", "Network", "Authorization", "Log")]
    lines.append(" Plugins:")
    return lines + [f"  {kind}: {' '.join(names)}" for kind, names in kinds if names or kind in ("Volume", "Network")]


def _runtimes(info: Mapping[str, Any]) -> list[str]:
    swarm = (info.get("Swarm") or {}).get("LocalNodeState")
    lines = [f" Swarm: {swarm}"] if swarm else []
    if info.get("Runtimes"):
        lines.append(f" Runtimes: {' '.join(sorted(info['Runtimes']))}")
    lines += _present(info, (("DefaultRuntime", "Default Runtime"), ("InitBinary", "Init Binary")))
    commits = (("ContainerdCommit", "containerd"), ("RuncCommit", "runc"), ("InitCommit", "init"))
    return lines + [f" {label} version: {info[key].get('ID', '')}" for key, label in commits if info.get(key)]


def _security(info: Mapping[str, Any]) -> list[str]:
    """``name=seccomp,profile=builtin`` becomes a name with its members below."""
    lines = []
    for option in info.get("SecurityOptions") or ():
        pairs = dict(part.partition("=")[::2] for part in option.split(","))
        lines.append(f"  {pairs.pop('name', option)}")
        lines += [f"   {key.title()}: {value}" for key, value in pairs.items()]
    return [" Security Options:", *lines] if lines else []


def _host(info: Mapping[str, Any]) -> list[str]:
    lines = _present(
        info,
        (
            ("KernelVersion", "Kernel Version"),
            ("OperatingSystem", "Operating System"),
            ("OSType", "OSType"),
            ("Architecture", "Architecture"),
            ("NCPU", "CPUs"),
        ),
    )
    if info.get("MemTotal"):
        lines.append(f" Total Memory: {sizes.binary(info['MemTotal'])}")
    return lines + _present(info, (("Name", "Name"), ("ID", "ID"), ("DockerRootDir", "Docker Root Dir")))


def _daemon(info: Mapping[str, Any]) -> list[str]:
    lines = [f" Debug Mode: {_truth(info.get('Debug'))}"]
    if info.get("Debug"):
        lines += [
            f"  File Descriptors: {info.get('NFd', 0)}",
            f"  Goroutines: {info.get('NGoroutines', 0)}",
            f"  System Time: {info.get('SystemTime', '')}",
            f"  EventsListeners: {info.get('NEventsListener', 0)}",
        ]
    lines += _present(info, (("HttpProxy", "HTTP Proxy"), ("HttpsProxy", "HTTPS Proxy"), ("NoProxy", "No Proxy")))
    if info.get("Labels"):
        lines += [" Labels:", *(f"  {label}" for label in info["Labels"])]
    lines.append(f" Experimental: {_truth(info.get('ExperimentalBuild'))}")
    insecure = (info.get("RegistryConfig") or {}).get("InsecureRegistryCIDRs") or ()
    if insecure:
        lines += [" Insecure Registries:", *(f"  {network}" for network in insecure)]
    lines.append(f" Live Restore Enabled: {_truth(info.get('LiveRestoreEnabled'))}")
    if info.get("DefaultAddressPools"):
        lines.append(" Default Address Pools:")
        lines += [f"   Base: {pool['Base']}, Size: {pool['Size']}" for pool in info["DefaultAddressPools"]]
    return lines
