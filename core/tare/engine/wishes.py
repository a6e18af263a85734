"""What a wish must not be: everything about a container that can be refused before anything of it exists."""

from __future__ import annotations

import os
import resource
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

from tare.drivers.network import SupportsPublish, SupportsWarnings
from tare.engine import files, kill, networks
from tare.errors import Invalid, NotFound
from tare.model.container import ContainerConfig, Limits
from tare.model.image import ImageConfig
from tare.networks.predefined import name_of
from tare.oci import capabilities

if TYPE_CHECKING:
    from tare.engine.engine import Engine

MODES = (
    ("pid_mode", "PID", ("", "private", "host")),
    ("ipc_mode", "IPC", ("", "private", "shareable", "none", "host")),
    ("uts_mode", "UTS", ("", "private", "host")),
)
"""(member, what it is called, what it may be besides ``container:NAME``)."""

MOST_NUMBERS = 8192
"""More CPUs or memory nodes than this no kernel is built for."""

JOINABLE = ("pid_mode", "ipc_mode")


def check(config: ContainerConfig) -> list[str]:
    """What can be refused without asking a driver. Returns warnings; raises Invalid."""
    _modes(config)
    _mounts(config)
    if len(config.hostname) > 63:
        raise Invalid(f"invalid hostname: {config.hostname}", subject=config.hostname, hint="at most 63 characters")
    if len(config.domainname) > 64:
        raise Invalid(f"invalid domainname: {config.domainname}", subject=config.domainname, hint="at most 64 characters")
    if config.stop_signal:
        kill.number(config.stop_signal)
    for entry in config.extra_hosts:
        _extra_host(entry)
    for server in config.dns:
        _address(server, f"IP address is not correctly formatted: {server}")
    if config.mac:
        _mac(config.mac)
    if config.limits != Limits():
        _limits(config.limits)
    return _out_of_reach(config)


def _out_of_reach(config: ContainerConfig) -> list[str]:
    """Warnings of what the kernel refuses an engine without CAP_SYS_RESOURCE (setrlimit(2), proc_pid_oom_score_adj(5))."""
    if not (config.ulimits or config.oom_score_adj < 0) or "CAP_SYS_RESOURCE" in capabilities.bounding():
        return []
    warnings = []
    for wish in config.ulimits:
        number = getattr(resource, f"RLIMIT_{wish.name.upper()}", None)
        most = resource.getrlimit(number)[1] if number is not None else resource.RLIM_INFINITY
        if most != resource.RLIM_INFINITY and not 0 <= wish.hard <= most:
            asked = f"{wish.name}={wish.soft}:{wish.hard}"
            warnings.append(f"ulimit {asked} is above what this host lets the engine give: {most} is used")
    if config.oom_score_adj < 0:
        warnings.append(f"oom-score-adj {config.oom_score_adj} is lower than this host lets the engine set; it is left as it is")
    return warnings


def unheard(image: ImageConfig) -> list[str]:
    """Warnings of what an image asks for and does not get yet."""
    warnings = []
    if image.volumes:
        places = ", ".join(image.volumes)
        warnings.append(f"volumes are not supported yet: {places} of the image are kept in the container itself")
    test = (image.healthcheck or {}).get("Test")
    if test and test != ["NONE"]:
        warnings.append("health checks are not supported yet: the image's own does not run")
    return warnings


def _modes(config: ContainerConfig) -> None:
    for member, title, known in MODES:
        mode = getattr(config, member)
        joins = member in JOINABLE and mode.startswith("container:") and mode != "container:"
        if mode not in known and not joins:
            raise Invalid(f"invalid {title} mode: {mode}", subject=mode, hint=f"one of {', '.join(filter(None, known))}")
    if config.uts_mode == "host" and (config.hostname or config.domainname):
        raise Invalid("conflicting options: hostname and the UTS mode", subject="--hostname", hint="leave one of them out")


def _mounts(config: ContainerConfig) -> None:
    for bind in config.binds:
        if not bind.source.startswith("/"):
            raise Invalid(f"invalid mount path: '{bind.source}' mount path must be absolute", subject=bind.source)
        if not bind.target.startswith("/") or os.path.normpath(bind.target) in ("/", "//"):
            raise Invalid(
                f"invalid volume specification: '{bind.source}:{bind.target}': destination can't be '/' or relative",
                subject=bind.target,
            )
        if not bind.create and not os.path.lexists(bind.source):
            raise Invalid(
                f'invalid mount config for type "bind": bind source path does not exist: {bind.source}',
                subject=bind.source,
                hint="create it first, or use -v, which creates it",
            )
    places = [*(bind.target for bind in config.binds), *(mount.target for mount in config.tmpfs)]
    targets: set[str] = set()
    for place in places:
        target = "/" + os.path.normpath(place).lstrip("/")
        if target in targets:
            raise Invalid(f"Duplicate mount point: {target}", subject=target)
        targets.add(target)


def _extra_host(entry: str) -> None:
    _name, address = files.split_host(entry)
    if address != "host-gateway":
        _address(address, f'invalid IP address in add-host: "{address}"')


def _address(text: str, complaint: str) -> None:
    try:
        ip_address(text)
    except ValueError:
        raise Invalid(complaint, subject=text) from None


def _mac(text: str) -> None:
    octets = text.replace("-", ":").split(":")
    if len(octets) != 6 or not all(len(octet) == 2 and set(octet.lower()) <= set("0123456789abcdef") for octet in octets):
        raise Invalid(f"invalid MAC address: {text}", subject=text, hint="write it as 92:d0:c6:0a:29:33")
    if int(octets[0], 16) & 1:
        raise Invalid(f"invalid MAC address: {text}: it is a multicast address", subject=text)


def _limits(limits: Limits) -> None:
    if limits.memory and limits.memory < 6 << 20:
        raise Invalid("Minimum memory limit allowed is 6MB", subject=str(limits.memory))
    if limits.nano_cpus:
        if limits.cpu_quota or limits.cpu_period:
            raise Invalid("Conflicting options: Nano CPUs and CPU quota or period cannot both be set")
        count = os.cpu_count() or 1
        if not 10**7 <= limits.nano_cpus <= count * 10**9:
            raise Invalid(f"range of CPUs is from 0.01 to {count}.00, as there are only {count} CPUs available", subject="--cpus")
    for wanted, title, short, place in (
        (limits.cpuset_cpus, "CPUs", "cpus", "/sys/devices/system/cpu/online"),
        (limits.cpuset_mems, "memory nodes", "mems", "/sys/devices/system/node/online"),
    ):
        if not wanted:
            continue
        try:
            asked = _numbers(wanted)
        except ValueError:
            raise Invalid(f"Invalid value {wanted} for cpuset {short}", subject=wanted, hint="such as 0-3 or 0,1") from None
        online = _online(place)
        if not asked <= _numbers(online):
            raise Invalid(f"Requested {title} are not available - requested {wanted}, available: {online}", subject=wanted)


def _numbers(text: str) -> set[int]:
    """A list of ranges as cpuset(7) writes it: ``0-3,8``. Raises ValueError."""
    found: set[int] = set()
    for piece in text.split(","):
        first, dash, last = piece.partition("-")
        low, high = int(first), int(last if dash else first)
        if not 0 <= low <= high < MOST_NUMBERS:
            raise ValueError(piece)
        found.update(range(low, high + 1))
    return found


def _online(path: str) -> str:
    """What the kernel has, as a list of ranges; a kernel that knows one memory node does not list it."""
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return "0"


async def check_network(engine: Engine, config: ContainerConfig) -> list[str]:
    """Does the network exist, and can it do what is asked of it? Returns warnings; raises NotFound, Invalid."""
    mode = config.network
    for text, version, form in ((config.address, 4, IPv4Address), (config.address6, 6, IPv6Address)):
        if text:
            try:
                form(text)
            except ValueError:
                raise Invalid(f"invalid IPv{version} address: {text}", subject=text) from None
    if mode.startswith("container:"):
        _joining(engine, config)
        return []
    network = networks.find(engine, name_of(mode))
    versions = {ip_network(subnet).version for subnet in network.subnets}
    for text, version in ((config.address, 4), (config.address6, 6)):
        if text and versions and version not in versions:
            raise Invalid(f"network {network.name} has no IPv{version} subnet for the address {text}", subject=text)
    driver = await engine.roster.open("network", network.driver)
    if network.driver in ("host", "none") and (config.mac or config.address or config.address6):
        raise Invalid(
            f"conflicting options: an address and the {network.driver} network mode", subject=mode, hint="leave one of them out"
        )
    warnings: list[str] = []
    if driver.supports(SupportsWarnings):
        warnings += await driver.call("warnings")
    if not (config.ports or config.publish_all) or driver.supports(SupportsPublish):
        return warnings
    if network.driver == "host":
        return [*warnings, "Published ports are discarded when using host network mode"]
    if network.driver == "none":
        return warnings
    raise Invalid(
        f"the network driver {driver.name} cannot publish ports", subject=mode, hint="leave -p out or use another network"
    )


def check_joined(engine: Engine, config: ContainerConfig) -> None:
    """Do the containers exist whose processes or IPC are to be shared? Raises Invalid."""
    for mode in (config.pid_mode, config.ipc_mode):
        if mode.startswith("container:"):
            try:
                engine.registry.find(mode.removeprefix("container:"))
            except NotFound as error:
                raise Invalid(error.message, subject=mode) from error


def _joining(engine: Engine, config: ContainerConfig) -> None:
    """Everything that belongs to a network belongs to the container whose network is shared."""
    ref = config.network.removeprefix("container:")
    try:
        target = engine.registry.find(ref).container
    except NotFound as error:
        raise NotFound(f"No such container: {ref}", subject=config.network) from error
    if config.ports or config.publish_all:
        raise Invalid(
            "conflicting options: port publishing and the container type network mode",
            subject=config.network,
            hint=f"publish the ports of {target.name} instead",
        )
    for given, what in (
        (config.hostname, "hostname"),
        (config.dns or config.dns_search or config.dns_options, "dns"),
        (config.extra_hosts, "custom host-to-IP mapping"),
        (config.mac, "mac-address"),
        (config.address or config.address6, "ip address"),
    ):
        if given:
            raise Invalid(
                f"conflicting options: {what} and the network mode",
                subject=config.network,
                hint=f"it is {target.name} that has it",
            )
