"""``POST /containers/create``: Docker's Config, HostConfig and NetworkingConfig → ContainerConfig.

Every member is mapped, or refused by the flag that the user typed, or says nothing in the value that clients send for it.
"""

from __future__ import annotations

from posixpath import normpath
from typing import Any

from tare.api.shapes import mounts, ports
from tare.api.shapes.members import Members
from tare.errors import Invalid, Unsupported
from tare.model.container import ContainerConfig, Device, Limits, Ulimit

STORAGE_LABEL = "tare.storage-driver"
"""How an unmodified client chooses a storage driver (design: house.md, sentence 4)."""

REFUSED = {
    "VolumeDriver": "--volume-driver",
    "VolumesFrom": "--volumes-from",
    "Links": "--link",
    "Cgroup": "HostConfig.Cgroup",
    "UsernsMode": "--userns",
    "Isolation": "--isolation",
    "BlkioWeightDevice": "--blkio-weight-device",
    "BlkioDeviceReadBps": "--device-read-bps",
    "BlkioDeviceWriteBps": "--device-write-bps",
    "BlkioDeviceReadIOps": "--device-read-iops",
    "BlkioDeviceWriteIOps": "--device-write-iops",
    "CpuRealtimePeriod": "--cpu-rt-period",
    "CpuRealtimeRuntime": "--cpu-rt-runtime",
    "CpuCount": "--cpu-count",
    "CpuPercent": "--cpu-percent",
    "IOMaximumIOps": "--io-maxiops",
    "IOMaximumBandwidth": "--io-maxbandwidth",
    "DeviceCgroupRules": "--device-cgroup-rule",
    "DeviceRequests": "--gpus",
    "KernelMemory": "--kernel-memory",
    "KernelMemoryTCP": "HostConfig.KernelMemoryTCP",
    "MemorySwappiness": "--memory-swappiness",
    "OomKillDisable": "--oom-kill-disable",
}
"""Members of HostConfig that tare cannot honour yet, with what the user typed to set them."""

MEANINGLESS: dict[str, tuple[object, ...]] = {
    "MemorySwappiness": (-1,),
    "UsernsMode": ("host",),
    "Isolation": ("default", "process"),
}
"""Values of refused members which ask for what happens anyway."""

TELLING_ZEROS = ("MemorySwappiness",)
"""Refused members where 0 asks for something too."""

RESTARTING = ("always", "unless-stopped", "on-failure")
"""Docker's restart policies but ``no``."""

RECORDED_BY_CLIENT = ("ContainerIDFile",)
"""Members that tell the daemon what the client does by itself."""

ANSWERS = (
    "NetworkID",
    "EndpointID",
    "Gateway",
    "IPAddress",
    "IPPrefixLen",
    "IPv6Gateway",
    "GlobalIPv6Address",
    "GlobalIPv6PrefixLen",
    "DNSNames",
)
"""Members of EndpointSettings that only the daemon writes; clients that copy an inspect send them back."""


def container_config(body: dict[str, Any]) -> ContainerConfig:
    """The wish in a request's body. Raises Invalid, Unsupported."""
    config = Members(body)
    host = config.inside("HostConfig")
    endpoints = config.inside("NetworkingConfig")
    _refuse(config, host)
    labels = config.mapping("Labels")
    wish: dict[str, Any] = {**_process(config), **_isolation(host), **_resources(host), **_storage(host, labels)}
    wish |= _network(config, host, endpoints)
    wish |= _log(host)
    _refuse_volumes(config, {normpath(mount.target) for mount in (*wish["binds"], *wish["tmpfs"])})
    config.done()
    host.done()
    return ContainerConfig(labels=labels, **wish)


def _process(config: Members) -> dict[str, Any]:
    image = config.text("Image")
    if not image:
        raise Invalid("no image was given", subject="Image")
    return {
        "image": image,
        "command": config.words("Cmd") or None,
        "entrypoint": config.words("Entrypoint"),
        "env": config.strings("Env"),
        "user": config.text("User"),
        "working_dir": _absolute(config.text("WorkingDir")),
        "hostname": config.text("Hostname"),
        "domainname": config.text("Domainname"),
        "stop_signal": config.text("StopSignal"),
        "stop_timeout": config.perhaps_number("StopTimeout"),
        "tty": config.flag("Tty"),
        "open_stdin": config.flag("OpenStdin"),
        "stdin_once": config.flag("StdinOnce"),
        "attach_stdin": config.flag("AttachStdin"),
        "attach_stdout": config.flag("AttachStdout"),
        "attach_stderr": config.flag("AttachStderr"),
    }


def _isolation(host: Members) -> dict[str, Any]:
    adjustment = host.number("OomScoreAdj")
    if not -1000 <= adjustment <= 1000:
        raise Invalid(f"Invalid value {adjustment}, range for oom score adj is [-1000, 1000]", subject="--oom-score-adj")
    cgroup_namespace = host.text("CgroupnsMode")
    if cgroup_namespace not in ("", "private", "host"):
        raise Invalid(f"invalid cgroup namespace mode: {cgroup_namespace}", subject=cgroup_namespace)
    return {
        "annotations": host.mapping("Annotations"),
        "auto_remove": host.flag("AutoRemove"),
        "console_size": console_size(host),
        "cap_add": host.strings("CapAdd"),
        "cap_drop": host.strings("CapDrop"),
        "group_add": host.strings("GroupAdd"),
        "privileged": host.flag("Privileged"),
        "read_only": host.flag("ReadonlyRootfs"),
        "security_opt": host.strings("SecurityOpt"),
        "pid_mode": host.text("PidMode"),
        "ipc_mode": host.text("IpcMode"),
        "uts_mode": host.text("UTSMode"),
        "cgroupns_mode": cgroup_namespace,
        "cgroup_parent": host.text("CgroupParent"),
        "sysctls": host.mapping("Sysctls"),
        "oom_score_adj": adjustment,
        "init": host.perhaps_flag("Init"),
        "masked_paths": host.perhaps_strings("MaskedPaths"),
        "readonly_paths": host.perhaps_strings("ReadonlyPaths"),
        "runtime": host.text("Runtime"),
    }


def _resources(host: Members) -> dict[str, Any]:
    limits = Limits(
        memory=_natural(host, "Memory", "--memory"),
        memory_swap=host.number("MemorySwap"),
        memory_reservation=_natural(host, "MemoryReservation", "--memory-reservation"),
        nano_cpus=_natural(host, "NanoCpus", "--cpus"),
        cpu_shares=_natural(host, "CpuShares", "--cpu-shares"),
        cpu_quota=host.number("CpuQuota"),
        cpu_period=_natural(host, "CpuPeriod", "--cpu-period"),
        cpuset_cpus=host.text("CpusetCpus"),
        cpuset_mems=host.text("CpusetMems"),
        pids=host.number("PidsLimit"),
        blkio_weight=_natural(host, "BlkioWeight", "--blkio-weight"),
    )
    ulimits = []
    for entry in host.each("Ulimits"):
        ulimits.append(Ulimit(entry.text("Name"), entry.number("Soft"), entry.number("Hard")))
        entry.done()
    devices = []
    for entry in host.each("Devices"):
        source = entry.text("PathOnHost")
        devices.append(Device(source, entry.text("PathInContainer") or source, entry.text("CgroupPermissions") or "rwm"))
        entry.done()
    return {
        "limits": limits,
        "ulimits": tuple(ulimits),
        "devices": tuple(devices),
        "shm_size": _natural(host, "ShmSize", "--shm-size"),
    }


def _storage(host: Members, labels: dict[str, str]) -> dict[str, Any]:
    binds, temporary = mounts.mounts(host)
    driver = host.text("StorageDriver")
    labelled = labels.get(STORAGE_LABEL, "")
    if driver and labelled and driver != labelled:
        raise Invalid(f"storage driver {driver} contradicts the label {STORAGE_LABEL}={labelled}", subject=driver)
    return {
        "binds": (*(mounts.bind(spec) for spec in host.strings("Binds")), *binds),
        "tmpfs": (*(mounts.tmpfs(target, options) for target, options in host.mapping("Tmpfs").items()), *temporary),
        "storage_driver": driver or labelled,
        "storage_options": host.mapping("StorageOpt"),
    }


def _network(config: Members, host: Members, endpoints: Members) -> dict[str, Any]:
    mode = host.text("NetworkMode") or "default"
    wish: dict[str, Any] = {
        "network": mode,
        "exposed_ports": ports.exposed(config.keys("ExposedPorts")),
        "ports": ports.requested(host),
        "publish_all": host.flag("PublishAllPorts"),
        "extra_hosts": host.strings("ExtraHosts"),
        "dns": host.strings("Dns"),
        "dns_options": host.strings("DnsOptions"),
        "dns_search": host.strings("DnsSearch"),
        "mac": config.text("MacAddress"),
    }
    table = endpoints.inside("EndpointsConfig")
    endpoints.done()
    names = {"default", "bridge"} if mode in ("default", "bridge") else {mode}
    for name in names:
        wish |= _endpoint(table.inside(name), name, wish["mac"])
    for name, _value in table.rest():
        raise Unsupported(f"connecting a container to more than one network is not supported yet: {name}", subject=name)
    return wish


def _endpoint(settings: Members, name: str, mac: str) -> dict[str, Any]:
    addresses = settings.inside("IPAMConfig")
    wish = {"address": addresses.text("IPv4Address"), "address6": addresses.text("IPv6Address")}
    if addresses.take("LinkLocalIPs"):
        raise Unsupported("--link-local-ip is not supported yet", subject=name)
    addresses.done()
    own = settings.text("MacAddress")
    if own and mac and own != mac:
        raise Invalid(f"conflicting MAC addresses: {mac} and {own}", subject=own)
    wish["mac"] = own or mac
    for member, flag in (("Links", "--link"), ("DriverOpts", "--network driver-opt"), ("GwPriority", "--network gw-priority")):
        if settings.take(member):
            raise Unsupported(f"{flag} is not supported yet", subject=name)
    if settings.take("Aliases"):
        raise Invalid(
            "network-scoped aliases are supported only for containers in user-defined networks",
            subject=name,
            hint="leave --network-alias out",
        )
    for member in ANSWERS:
        settings.take(member)
    settings.done()
    return {key: value for key, value in wish.items() if value}


def _log(host: Members) -> dict[str, Any]:
    log = host.inside("LogConfig")
    wish = {"log_driver": log.text("Type"), "log_options": log.mapping("Config")}
    log.done()
    return wish


def _refuse(config: Members, host: Members) -> None:
    policy = host.inside("RestartPolicy")
    name = policy.text("Name")
    if name not in ("", "no", *RESTARTING):
        raise Invalid(f"invalid restart policy '{name}'", subject=name, hint=f"one of no, {', '.join(RESTARTING)}")
    if name in RESTARTING:
        raise Unsupported(f"--restart {name} is not supported yet", subject=name, hint="leave --restart out")
    if policy.take("MaximumRetryCount"):
        raise Invalid("maximum retry count cannot be used with restart policy 'no'", subject="--restart")
    policy.done()
    check = config.inside("Healthcheck")
    if (check.strings("Test") or ("NONE",)) != ("NONE",) or any(True for _ in check.rest()):
        raise Unsupported("health checks are not supported yet", subject="--health-cmd", hint="use --no-healthcheck")
    if config.take("NetworkDisabled"):
        raise Unsupported("NetworkDisabled is not supported", subject="NetworkDisabled", hint="use --network none")
    for member in ("OnBuild", "Shell", "ArgsEscaped"):
        if config.take(member):
            raise Unsupported(f"{member} belongs to images, not to containers", subject=member)
    for member, flag in REFUSED.items():
        value = host.take(member)
        if (value or (value is not None and member in TELLING_ZEROS)) and value not in MEANINGLESS.get(member, ()):
            raise Unsupported(f"{flag} is not supported yet", subject=flag, hint="leave it out")
    for member in RECORDED_BY_CLIENT:
        host.take(member)


def _refuse_volumes(config: Members, mounted: set[str]) -> None:
    """Clients name the target of a bind mount here too (docker-py does); it makes no volume then."""
    for volume in config.keys("Volumes"):
        if normpath(volume) not in mounted:
            raise Unsupported(f"anonymous volumes are not supported yet: -v {volume}", subject=volume, hint=mounts.VOLUME_HINT)


def _natural(members: Members, name: str, flag: str) -> int:
    value = members.number(name)
    if value < 0:
        raise Invalid(f"{flag}: {value} is negative", subject=flag)
    return value


def console_size(host: Members) -> tuple[int, int]:
    """``ConsoleSize``: (rows, columns) of the first terminal. Raises Invalid."""
    size = host.take("ConsoleSize")
    if size is None:
        return (0, 0)
    if not isinstance(size, list) or len(size) != 2 or not all(type(n) is int and 0 <= n < 65536 for n in size):
        raise Invalid("ConsoleSize: expected [height, width]", subject="ConsoleSize")
    return size[0], size[1]


def _absolute(directory: str) -> str:
    if directory and not directory.startswith("/"):
        raise Invalid(f"the working directory '{directory}' is invalid, it needs to be an absolute path", subject=directory)
    return directory
