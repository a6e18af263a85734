"""What a network driver promises and what the supervisor and the container's child perform: links, addresses, ports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PortRequest:
    """One port that the user asked to publish. ``host_port`` 0 means any free one; with ``host_port_end`` it means the
    first free one from ``host_port`` up to and including ``host_port_end``."""

    container_port: int
    protocol: str = "tcp"
    host_ip: str = ""
    host_port: int = 0
    host_port_end: int = 0


@dataclass(frozen=True, slots=True)
class PortBinding:
    """One published port as it really is. Several may stem from one request (0.0.0.0 and ::)."""

    container_port: int
    protocol: str
    host_ip: str
    host_port: int


@dataclass(frozen=True, slots=True)
class Network:
    """A network as the engine remembers it. ``subnets`` are CIDR strings with ``gateways`` at the same index."""

    id: str
    name: str
    driver: str
    created: str
    subnets: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    ip_ranges: tuple[str, ...] = ()
    internal: bool = False
    ipv4: bool = True
    ipv6: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One container on one network: what the engine asks a network driver for.

    ``id`` is 64 hex digits. ``address``, ``address6`` and ``mac`` are wishes; empty means the driver chooses.
    ``target`` is the container id of ``container:ID``.
    """

    id: str
    container: str
    name: str
    network: Network
    address: str = ""
    address6: str = ""
    mac: str = ""
    target: str = ""
    ports: tuple[PortRequest, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Route:
    """A route inside the container. ``destination`` is a CIDR or ``default``; no ``gateway`` means on-link."""

    destination: str
    gateway: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A network device that the supervisor creates in the host, born inside the container's namespace.

    ``kind``: ``veth`` (``host_name`` is the end that stays, ``parent`` the bridge it joins) or ``macvlan``
    (``parent`` is the host device, ``options["mode"]`` one of bridge, private, vepa, passthru).
    ``name`` is the name inside. ``addresses`` are ``IP/prefix`` strings, assigned by the container's child.
    """

    kind: str
    name: str
    host_name: str = ""
    parent: str = ""
    mac: str = ""
    mtu: int = 0
    addresses: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A network driver's answer to ``reserve``: everything needed to put a process on the network, as data.

    ``namespace``: ``new`` (a namespace of its own), ``host`` (the engine's) or ``container:ID`` (joined by path).
    ``address``/``prefix``/``gateway`` (and the ``6`` forms) are what ``inspect`` shows; empty where there is none.
    """

    endpoint: str
    network: str
    namespace: str = "new"
    links: tuple[Link, ...] = ()
    mac: str = ""
    address: str = ""
    prefix: int = 0
    gateway: str = ""
    address6: str = ""
    prefix6: int = 0
    gateway6: str = ""
    nameservers: tuple[str, ...] = ()
