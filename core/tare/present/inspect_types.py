"""The structures behind ``docker inspect``: which fields, in which order, of which Go type (Docker Engine API 1.50).

``name`` is a string, ``name:type`` any other type: int, bool, time, ``[]type``, ``map[]type``, ``map[port]type``, ``*type`` (a
pointer), ``any`` or a structure below. ``Name=Key`` where the JSON key differs from Go's name; ``+type`` is embedded.
"""

from __future__ import annotations

from tare.present.go_values import NIL, Map, NilList, NilMap, Strings, Struct, Time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_TYPES = {
    "container": "+ContainerBase Mounts:[]MountPoint Config:*Config NetworkSettings:*NetworkSettings "
    "ImageManifestDescriptor:*any",
    "ContainerBase": "ID=Id Created Path Args:[]string State:*State Image ResolvConfPath HostnamePath HostsPath LogPath Name "
    "RestartCount:int Driver Platform MountLabel ProcessLabel AppArmorProfile ExecIDs:[]string HostConfig:*HostConfig "
    "GraphDriver:GraphDriver SizeRw:*int SizeRootFs:*int",
    "State": "Status Running:bool Paused:bool Restarting:bool OOMKilled:bool Dead:bool Pid:int ExitCode:int Error StartedAt "
    "FinishedAt Health:*Health",
    "Health": "Status FailingStreak:int Log:[]HealthResult",
    "HealthResult": "Start:time End:time ExitCode:int Output",
    "MountPoint": "Type Name Source Destination Driver Mode RW:bool Propagation",
    "GraphDriver": "Data:map[]string Name",
    "Config": "Hostname Domainname User AttachStdin:bool AttachStdout:bool AttachStderr:bool "
    "ExposedPorts:map[port]Empty Tty:bool OpenStdin:bool StdinOnce:bool Env:[]string Cmd:[]string "
    "Healthcheck:*Healthcheck ArgsEscaped:bool Image Volumes:map[]Empty WorkingDir Entrypoint:[]string "
    "NetworkDisabled:bool MacAddress OnBuild:[]string Labels:map[]string StopSignal StopTimeout:*int Shell:[]string",
    "Empty": "",
    "Healthcheck": "Test:[]string Interval:int Timeout:int StartPeriod:int StartInterval:int Retries:int",
    "NetworkSettings": "+NetworkSettingsBase +DefaultNetworkSettings Networks:map[]*EndpointSettings",
    "NetworkSettingsBase": "Bridge SandboxID SandboxKey Ports:map[port][]PortBinding HairpinMode:bool LinkLocalIPv6Address "
    "LinkLocalIPv6PrefixLen:int SecondaryIPAddresses:[]Address SecondaryIPv6Addresses:[]Address",
    "DefaultNetworkSettings": "EndpointID Gateway GlobalIPv6Address GlobalIPv6PrefixLen:int IPAddress IPPrefixLen:int "
    "IPv6Gateway MacAddress",
    "Address": "Addr PrefixLen:int",
    "PortBinding": "HostIP=HostIp HostPort",
    "EndpointSettings": "IPAMConfig:*EndpointIPAM Links:[]string Aliases:[]string MacAddress DriverOpts:map[]string "
    "GwPriority:int NetworkID EndpointID Gateway IPAddress IPPrefixLen:int IPv6Gateway GlobalIPv6Address GlobalIPv6PrefixLen:int "
    "DNSNames:[]string",
    "EndpointIPAM": "IPv4Address IPv6Address LinkLocalIPs:[]string",
    "HostConfig": "Binds:[]string ContainerIDFile LogConfig:LogConfig NetworkMode PortBindings:map[port][]PortBinding "
    "RestartPolicy:RestartPolicy AutoRemove:bool VolumeDriver VolumesFrom:[]string ConsoleSize:[]int Annotations:map[]string "
    "CapAdd:[]string CapDrop:[]string CgroupnsMode DNS=Dns:[]string DNSOptions=DnsOptions:[]string DNSSearch=DnsSearch:[]string "
    "ExtraHosts:[]string GroupAdd:[]string IpcMode Cgroup Links:[]string OomScoreAdj:int PidMode Privileged:bool "
    "PublishAllPorts:bool ReadonlyRootfs:bool SecurityOpt:[]string StorageOpt:map[]string Tmpfs:map[]string UTSMode UsernsMode "
    "ShmSize:int Sysctls:map[]string Runtime Isolation +Resources Mounts:[]Mount MaskedPaths:[]string ReadonlyPaths:[]string "
    "Init:*bool",
    "Resources": "CPUShares=CpuShares:int Memory:int NanoCPUs=NanoCpus:int CgroupParent BlkioWeight:int "
    "BlkioWeightDevice:[]any BlkioDeviceReadBps:[]any BlkioDeviceWriteBps:[]any BlkioDeviceReadIOps:[]any "
    "BlkioDeviceWriteIOps:[]any CPUPeriod=CpuPeriod:int CPUQuota=CpuQuota:int CPURealtimePeriod=CpuRealtimePeriod:int "
    "CPURealtimeRuntime=CpuRealtimeRuntime:int CpusetCpus CpusetMems Devices:[]Device DeviceCgroupRules:[]string "
    "DeviceRequests:[]any KernelMemory:int KernelMemoryTCP:int MemoryReservation:int MemorySwap:int MemorySwappiness:*int "
    "OomKillDisable:*bool PidsLimit:*int Ulimits:[]Ulimit CPUCount=CpuCount:int CPUPercent=CpuPercent:int IOMaximumIOps:int "
    "IOMaximumBandwidth:int",
    "LogConfig": "Type Config:map[]string",
    "RestartPolicy": "Name MaximumRetryCount:int",
    "Device": "PathOnHost PathInContainer CgroupPermissions",
    "Ulimit": "Name Hard:int Soft:int",
    "Mount": "Type Source Target ReadOnly:bool Consistency BindOptions:*any VolumeOptions:*any "
    "ImageOptions:*any TmpfsOptions:*any ClusterOptions:*any",
    "image": "ID=Id RepoTags:[]string RepoDigests:[]string Parent Comment Created Container ContainerConfig:*Config "
    "DockerVersion Author Config:*Config Architecture Variant Os OsVersion Size:int VirtualSize:int "
    "GraphDriver:GraphDriver RootFS:RootFS Metadata:Metadata Descriptor:*any Manifests:[]any",
    "RootFS": "Type Layers:[]string",
    "Metadata": "LastTagTime:time",
    "network": "Name ID=Id Created:time Scope Driver EnableIPv4:bool EnableIPv6:bool IPAM:IPAM Internal:bool Attachable:bool "
    "Ingress:bool ConfigFrom:ConfigReference ConfigOnly:bool Containers:map[]EndpointResource Options:map[]string "
    "Labels:map[]string Peers:[]any Services:map[]any",
    "ConfigReference": "Network",
    "IPAM": "Driver Options:map[]string Config:[]IPAMConfig",
    "IPAMConfig": "Subnet IPRange Gateway AuxAddress=AuxiliaryAddresses:map[]string",
    "event": "Status=status ID=id From=from Type Action Actor:Actor Scope=scope Time=time:int TimeNano=timeNano:int",
    "Actor": "ID Attributes:map[]string",
    "version": "Client:ClientVersion Server:*ServerVersion",
    "ClientVersion": "Platform:*any Version APIVersion=ApiVersion DefaultAPIVersion GitCommit GoVersion Os Arch BuildTime "
    "Context",
    "ServerVersion": "Platform:any Components:[]any Version APIVersion=ApiVersion MinAPIVersion GitCommit GoVersion Os Arch "
    "KernelVersion Experimental:bool BuildTime",
    "EndpointResource": "Name EndpointID MacAddress IPv4Address IPv6Address",
}

_GO_NAMES = {"container": "*container.InspectResponse", "image": "*image.InspectResponse", "network": "network.Inspect"}

_parsed: dict[str, tuple[dict[str, tuple[str, Callable[[Any], Any]]], tuple[Any, ...]]] = {}


def typed(kind: str, value: dict[str, Any]) -> Struct:
    """API JSON of a container, image or network (``kind``) as the Go structure that docker's client reads it into."""
    return _struct(kind, value)


def structure(name: str, value: dict[str, Any]) -> Struct:
    """Any of the structures here by its name."""
    return _struct(name, value)


def _struct(name: str, value: dict[str, Any]) -> Struct:
    members, printed = _fields(name)
    return Struct(_GO_NAMES.get(name, name), value, members, printed)


def _fields(name: str) -> tuple[dict[str, tuple[str, Callable[[Any], Any]]], tuple[Any, ...]]:
    if name not in _parsed:
        members: dict[str, tuple[str, Callable[[Any], Any]]] = {}
        printed: list[Any] = []
        for field in _TYPES[name].split():
            if field.startswith("+"):
                inner, order = _fields(field[1:])
                members |= inner
                printed.append((field[1:], order))
                continue
            names, _, type = field.partition(":")
            go, _, key = names.partition("=")
            members[go] = (key or go, _maker(type))
            printed.append(go)
        _parsed[name] = members, tuple(printed)
    return _parsed[name]


def _pointer(value: Any) -> Any:
    if isinstance(value, Struct):
        value.pointer = True
    return value


def _map(element: Callable[[Any], Any], key: str) -> Callable[[Any], Any]:
    return lambda value: (
        NilMap() if value is None else Map({name: element(part) for name, part in value.items()}, element(None), key)
    )


def _maker(type: str) -> Callable[[Any], Any]:
    """A function that makes the Go value of a JSON value, the type's zero value of None."""
    if type.startswith("*"):
        inner = _maker(type[1:])
        return lambda value: NIL if value is None else _pointer(inner(value))
    if type.startswith("[]"):
        item = _maker(type[2:])
        return lambda value: NilList() if value is None else [item(part) for part in value]
    if type == "map[]string":
        return lambda value: NilMap() if value is None else Strings(value)
    if type.startswith(("map[]", "map[port]")):
        key, _, inside = type.partition("]")
        return _map(_maker(inside), "nat.Port" if key == "map[port" else "")
    if type in _TYPES:
        return lambda value: _struct(type, value or {})
    if type == "any":
        return lambda value: value
    if type == "time":
        return lambda value: Time(value or "")
    zero: Any = {"": "", "string": "", "int": 0, "bool": False}[type]
    return lambda value: zero if value is None else value
