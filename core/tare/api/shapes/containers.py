"""A container as ``inspect`` and ``ps`` show it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tare.api.shapes import mounts, ports
from tare.api.shapes.host import host_config
from tare.api.shapes.status import status
from tare.api.versions import Version
from tare.containers.container import Connection, Container
from tare.model.container import Exec
from tare.model.network import Network, PortBinding
from tare.model.times import NEVER, seconds_of
from tare.networks.predefined import name_of

WITHOUT_DEFAULT_NETWORK: Version = (1, 52)
"""From here on NetworkSettings no longer repeats the default network's endpoint at its top."""

Networks = Mapping[str, Network]


def inspect(
    container: Container,
    networks: Networks,
    version: Version,
    size: tuple[int, int] | None = None,
    places: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """``GET /containers/{id}/json``. ``networks`` by name; ``size`` (writable, whole) in bytes when it was asked for; ``places``
    as the storage driver tells them. The merged tree is mounted nowhere but in the container."""
    places = {"ID": container.id, **(places or {})}
    if container.running and container.state.pid and "UpperDir" in places:
        places["MergedDir"] = f"/proc/{container.state.pid}/root"
    state = container.state
    shape = {
        "Id": container.id,
        "Created": container.created,
        "Path": container.args[0] if container.args else "",
        "Args": list(container.args[1:]),
        "State": {
            "Status": state.status,
            "Running": container.running,
            "Paused": state.status == "paused",
            "Restarting": state.status == "restarting",
            "OOMKilled": state.oom_killed,
            "Dead": state.status == "dead",
            "Pid": state.pid if container.running else 0,
            "ExitCode": state.exit_code,
            "Error": state.error,
            "StartedAt": state.started_at or NEVER,
            "FinishedAt": state.finished_at or NEVER,
        },
        "Image": container.image_id,
        "ResolvConfPath": f"{container.directory}/resolv.conf",
        "HostnamePath": f"{container.directory}/hostname",
        "HostsPath": f"{container.directory}/hosts",
        "LogPath": container.log_path,
        "Name": f"/{container.name}",
        "RestartCount": 0,
        "Driver": container.storage,
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": [entry.id for entry in container.execs.values() if entry.running] or None,
        "HostConfig": host_config(container, version),
        "GraphDriver": {"Name": container.storage, "Data": places},
        "Mounts": mounts.points(container.config),
        "Config": config(container),
        "NetworkSettings": _network_settings(container, networks, version),
    }
    if container.changed_by:
        shape["TareChangedBy"] = list(container.changed_by)
    if size:
        shape["SizeRw"], shape["SizeRootFs"] = size
    return shape


def config(container: Container) -> dict[str, Any]:
    """``Config``: the wish with what the image added."""
    wish = container.config
    image = container.image_config
    shape: dict[str, Any] = {
        "Hostname": container.hostname,
        "Domainname": wish.domainname,
        "User": container.user,
        "AttachStdin": wish.attach_stdin,
        "AttachStdout": wish.attach_stdout,
        "AttachStderr": wish.attach_stderr,
        "Tty": wish.tty,
        "OpenStdin": wish.open_stdin,
        "StdinOnce": wish.stdin_once,
        "Env": list(container.env),
        "Cmd": _command(container),
        "Image": wish.image,
        "Volumes": None,
        "WorkingDir": wish.working_dir or image.working_dir,
        "Entrypoint": _list(wish.entrypoint if wish.entrypoint is not None else image.entrypoint),
        "OnBuild": None,
        "Labels": container.labels,
    }
    if wish.exposed_ports:
        shape["ExposedPorts"] = {name: {} for name in sorted(wish.exposed_ports)}
    if wish.stop_signal or image.stop_signal:
        shape["StopSignal"] = wish.stop_signal or image.stop_signal
    if wish.stop_timeout is not None:
        shape["StopTimeout"] = wish.stop_timeout
    return shape


def summary(
    container: Container, networks: Networks, image: str, now: float, size: tuple[int, int] | None = None
) -> dict[str, Any]:
    """One row of ``GET /containers/json``. ``image`` is the name to show; ``now`` in seconds since the epoch."""
    shape: dict[str, Any] = {
        "Id": container.id,
        "Names": [f"/{container.name}"],
        "Image": image,
        "ImageID": container.image_id,
        "Command": " ".join([*container.args[:1], *(f"'{arg}'" if " " in arg else arg for arg in container.args[1:])]),
        "Created": seconds_of(container.created),
        "Ports": list(ports.summary(_exposed(container), published(container))) if container.running else [],
        "Labels": container.labels,
        "State": container.state.status,
        "Status": status(container.state, now),
        "HostConfig": {"NetworkMode": container.config.network},
        "NetworkSettings": {"Networks": _endpoints(container, networks)},
        "Mounts": mounts.points(container.config),
    }
    if container.config.annotations:
        shape["HostConfig"]["Annotations"] = dict(container.config.annotations)
    if size:
        shape["SizeRw"], shape["SizeRootFs"] = size
    return shape


def shown_image(container: Container, current: Callable[[str], str]) -> str:
    """The name that the user gave, or the id once that name means another image. ``current``: name → id or ""."""
    name = container.config.image
    return name if current(name) == container.image_id or name.startswith("sha256:") else container.image_id


def published(container: Container) -> list[PortBinding]:
    return [binding for connection in container.connections.values() for binding in connection.bindings]


def _exposed(container: Container) -> tuple[str, ...]:
    """Without an address of its own (networks none, host, container:…) it exposes nothing, as in Docker."""
    places = (connection.attachment for connection in container.connections.values())
    return container.config.exposed_ports if any(place.address or place.address6 for place in places) else ()


def _network_settings(container: Container, networks: Networks, version: Version) -> dict[str, Any]:
    endpoints = _endpoints(container, networks)
    namespace = f"/proc/{container.state.pid}/ns/net" if container.running else ""
    shape: dict[str, Any] = {
        "SandboxID": container.id if container.running else "",
        "SandboxKey": namespace,
        "Ports": ports.table(_exposed(container), published(container)) if container.running else {},
    }
    if version < WITHOUT_DEFAULT_NETWORK:
        default = endpoints.get("bridge", {})
        shape |= {"Bridge": "", "HairpinMode": False, "LinkLocalIPv6Address": "", "LinkLocalIPv6PrefixLen": 0}
        shape |= {"SecondaryIPAddresses": None, "SecondaryIPv6Addresses": None}
        for name, empty in _ENDPOINT_ANSWERS.items():
            shape[name] = default.get(name, empty)
    return {**shape, "Networks": endpoints}


_ENDPOINT_ANSWERS: dict[str, Any] = {
    "EndpointID": "",
    "Gateway": "",
    "GlobalIPv6Address": "",
    "GlobalIPv6PrefixLen": 0,
    "IPAddress": "",
    "IPPrefixLen": 0,
    "IPv6Gateway": "",
    "MacAddress": "",
}


def _endpoints(container: Container, networks: Networks) -> dict[str, dict[str, Any]]:
    if container.config.network.startswith("container:"):
        return {}
    if not container.connections:
        name = name_of(container.config.network)
        return {name: _endpoint(container, networks.get(name), None)}
    return {name: _endpoint(container, networks.get(name), place) for name, place in sorted(container.connections.items())}


def _endpoint(container: Container, network: Network | None, place: Connection | None) -> dict[str, Any]:
    wish = container.config
    addresses = {key: value for key, value in (("IPv4Address", wish.address), ("IPv6Address", wish.address6)) if value}
    shape: dict[str, Any] = {
        "IPAMConfig": addresses or None,
        "Links": None,
        "Aliases": None,
        "DriverOpts": None,
        "GwPriority": 0,
        "NetworkID": network.id if network else "",
        **_ENDPOINT_ANSWERS,
        "DNSNames": None,
    }
    if place:
        given = place.attachment
        shape |= {
            "EndpointID": given.endpoint,
            "MacAddress": given.mac,
            "Gateway": given.gateway,
            "IPAddress": given.address,
            "IPPrefixLen": given.prefix,
            "IPv6Gateway": given.gateway6,
            "GlobalIPv6Address": given.address6,
            "GlobalIPv6PrefixLen": given.prefix6,
        }
    elif wish.mac:
        shape["MacAddress"] = wish.mac
    return shape


def _command(container: Container) -> list[str] | None:
    wish = container.config
    if wish.command is not None or wish.entrypoint is not None:
        return _list(wish.command)
    return _list(container.image_config.command)


def _list(words: tuple[str, ...] | None) -> list[str] | None:
    return list(words) if words is not None else None


def exec_inspect(entry: Exec) -> dict[str, Any]:
    """``GET /exec/{id}/json``."""
    return {
        "ID": entry.id,
        "Running": entry.running,
        "ExitCode": entry.exit_code,
        "ProcessConfig": {
            "tty": entry.tty,
            "entrypoint": entry.command[0] if entry.command else "",
            "arguments": list(entry.command[1:]),
            "privileged": entry.privileged,
            "user": entry.user,
        },
        "OpenStdin": entry.open_stdin,
        "OpenStderr": entry.attach_stderr,
        "OpenStdout": entry.attach_stdout,
        "CanRemove": not entry.running and entry.exit_code is not None,
        "ContainerID": entry.container,
        "DetachKeys": entry.detach_keys,
        "Pid": entry.pid,
    }
