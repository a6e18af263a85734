"""Containers whose records cannot be read: they keep their names and all that is theirs until somebody removes them."""

from __future__ import annotations

import hashlib
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tare.containers.container import Connection, Container
from tare.containers.registry import Entry
from tare.containers.states import PERMITTED
from tare.engine import wait
from tare.errors import TareError
from tare.model.container import ContainerConfig, ContainerState
from tare.model.image import ImageConfig
from tare.model.network import Attachment, Endpoint, Network
from tare.model.times import instant
from tare.state.documents import from_document
from tare.state.tables import Row

if TYPE_CHECKING:
    from tare.engine.engine import Engine

_ID = re.compile("[0-9a-f]{64}")


def contradiction(row: Row, container: Container) -> str:
    """Why a document that can be read is none of this container all the same, "" when it is."""
    if not _ID.fullmatch(row.id):
        return f"its id is {row.id!r}"
    if (container.id, container.name) != (row.id, row.name):
        return f"it is that of container {container.name} ({container.id[:12]})"
    if container.state.status not in PERMITTED:
        return f"its state is {container.state.status!r}"
    return ""


def stand_in(engine: Engine, row: Row, why: str) -> Container:
    """A dead container in the place of one whose record cannot be read, with what can be made out of the record."""
    # Nothing belongs to an id that is damaged itself; this one is nobody's.
    id = row.id if _ID.fullmatch(row.id) else hashlib.sha256(f"{row.id}/{row.name}".encode()).hexdigest()
    config = _table(row.document, "config")
    created = _text(row.document, "created")
    try:
        instant(created, "created")
    except TareError:
        created = ""
    return Container(
        id=id,
        name=row.name,
        created=created,
        config=ContainerConfig(image=_text(config, "image"), network=_text(config, "network") or "default"),
        image_id=_text(row.document, "image_id"),
        image_config=ImageConfig(),
        args=(),
        env=(),
        working_dir="/",
        user="",
        hostname="",
        stop_signal="SIGTERM",
        labels={},
        storage=_text(row.document, "storage"),
        runtime=_text(row.document, "runtime"),
        log_driver="none",
        directory=engine.directory(id),
        state=ContainerState(status="dead", error=f"its record cannot be read: {why}"),
        connections=_connections(row),
    )


def _connections(row: Row) -> dict[str, Connection]:
    found = {}
    for name, document in _table(row.document, "connections").items():
        try:
            found[name] = from_document(Connection, document)
        except TareError:
            continue
    return found


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    return value if isinstance(value, str) else ""


def _table(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    return value if isinstance(value, Mapping) else {}


async def find_what_is_theirs(engine: Engine) -> None:
    """Ask drivers and the kernel what records would have told: whose snapshots they are, which addresses are in use."""
    known = engine.roster.names("storage")
    for entry in engine.registry.entries():
        container = entry.container
        if not entry.damage:
            continue
        if container.runtime not in engine.roster.names("runtime"):
            container.runtime = engine.settings.runtime.default
        if container.storage not in known:
            container.storage = await _storage(engine, container.id)
        if container.state.pid and not container.connections:
            taken = {
                address
                for other in engine.registry.entries()
                for connection in other.container.connections.values()
                for address in (connection.attachment.address, connection.attachment.address6)
            }
            mine = [address for address in _addresses(container.state.pid) if address not in taken]
            for network in engine.known_networks.values():
                connection = _connection(container, network, mine)
                if connection is not None:
                    container.connections[network.name] = connection


async def _storage(engine: Engine, id: str) -> str:
    for name in engine.roster.with_data("storage"):
        try:
            if id in await (await engine.roster.open("storage", name)).call("list"):
                return name
        except TareError:
            continue
    return engine.default_storage


def _addresses(pid: int) -> list[str]:
    """The addresses in a process's network namespace, unless that is ours."""
    try:
        if os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat("/proc/self/ns/net").st_ino:
            return []
        with open(f"/proc/{pid}/net/fib_trie", encoding="ascii") as file:
            lines = [line.split() for line in file]
        with open(f"/proc/{pid}/net/if_inet6", encoding="ascii") as file:
            six = [socket.inet_ntop(socket.AF_INET6, bytes.fromhex(line.split()[0])) for line in file]
    except OSError:
        return []
    four = [before[1] for before, words in pairwise(lines) if words == ["/32", "host", "LOCAL"]]
    return [*dict.fromkeys(four), *six]


def _connection(container: Container, network: Network, addresses: list[str]) -> Connection | None:
    """A place on a network as far as addresses tell: its links and ports are not known."""
    subnets = [ip_network(subnet) for subnet in network.subnets]
    found = {ip_address(a).version: a for a in addresses if any(ip_address(a) in subnet for subnet in subnets)}
    if not found:
        return None
    endpoint = Endpoint(container.id, container.id, container.name, network)
    return Connection(endpoint, Attachment(container.id, network.name, address=found.get(4, ""), address6=found.get(6, "")))


def ended(entry: Entry, exit: Mapping[str, Any]) -> None:
    """The process of a container whose record cannot be read is gone."""
    entry.container.state = replace(entry.container.state, pid=0, start_time=0)
    wait.notify(entry, "next-exit", exit["code"])
