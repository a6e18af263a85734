"""Putting a container on its network and taking it off."""

from __future__ import annotations

import logging
import os
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from tare.containers.container import Connection, Container
from tare.containers.names import new_id
from tare.drivers.network import Published, SupportsPublish
from tare.engine.persist import checked, publish
from tare.errors import Conflict, Invalid, NotFound, TareError
from tare.model.network import Attachment, Endpoint, Network, PortBinding, PortRequest
from tare.networks.predefined import driver_shown, name_of

if TYPE_CHECKING:
    from tare.engine.engine import Engine

log = logging.getLogger(__name__)

MOST_DESCRIPTORS = 250
"""What one message to the supervisor carries (unix(7): SCM_MAX_FD is 253)."""


def find(engine: Engine, ref: str) -> Network:
    """By name, id or unambiguous prefix. Raises NotFound, Invalid."""
    known = engine.known_networks
    if ref in known:
        return known[ref]
    found = [n for n in known.values() if ref and n.id.startswith(ref)]
    if len(found) == 1:
        return found[0]
    if found:
        raise Invalid(f"network {ref} is ambiguous ({len(found)} matches found on ID prefix)", subject=ref)
    raise NotFound(f"network {ref} not found", subject=ref, hint="see 'tare network ls'")


async def connect(engine: Engine, container: Container, undo: AsyncExitStack) -> tuple[Attachment, ...]:
    """Reserve the endpoint, publish its ports, hand the held sockets to the supervisor. Fills ``connections``."""
    mode = container.config.network
    if mode.startswith("container:"):
        target = joined(engine, container)
        return (Attachment(endpoint="", network="", namespace=f"container:{target.id}"),)
    network = find(engine, name_of(mode))
    handle = await engine.roster.open("network", network.driver)
    endpoint = Endpoint(
        id=new_id(),
        container=container.id,
        name=container.name,
        network=network,
        address=container.config.address,
        address6=container.config.address6,
        mac=container.config.mac,
        ports=wanted(container) if handle.supports(SupportsPublish) else (),
        labels=container.labels,
    )
    changes, who = await engine.plugins.before("tare_before_network_attach", network=network, endpoint=endpoint)
    if changes:
        endpoint = checked(replace(endpoint, **changes), who)
    attachment: Attachment = await handle.call("reserve", endpoint)
    undo.push_async_callback(handle.call, "release", endpoint.id)
    connection = Connection(endpoint, attachment)
    if endpoint.ports:
        published: Published = await handle.call("publish", endpoint, attachment, container.last_bindings)
        undo.callback(engine.supervision.tell, "release", {"owner": container.id})  # also after half of them were held
        await hold(engine, container, published)
        connection.bindings = published.bindings
        container.last_bindings = published.bindings
    container.connections = {network.name: connection}
    undo.callback(container.connections.clear)
    announce(engine, container, network, "connect")
    undo.callback(announce, engine, container, network, "disconnect")
    engine.plugins.after("tare_after_network_attach", network=network, attachment=attachment)
    return (attachment,)


async def hold(engine: Engine, container: Container, published: Published) -> None:
    """Give the bound sockets to the supervisor and close our copies."""
    listeners = [fd for fd, *_ in published.forwards]
    try:
        for at in range(0, len(published.sockets), MOST_DESCRIPTORS):
            some = published.sockets[at : at + MOST_DESCRIPTORS]
            await engine.supervision.ask("hold", {"owner": container.id, "sockets": len(some), "forwards": []}, some)
        for at in range(0, len(listeners), MOST_DESCRIPTORS):
            forwards = [list(forward[1:]) for forward in published.forwards[at : at + MOST_DESCRIPTORS]]
            body = {"owner": container.id, "sockets": 0, "forwards": forwards}
            await engine.supervision.ask("hold", body, listeners[at : at + MOST_DESCRIPTORS])
    finally:
        for fd in (*published.sockets, *listeners):
            os.close(fd)


async def hold_again(engine: Engine, container: Container) -> None:
    """The sockets that kept its ports went with a supervisor: publish the same ports once more. A port that somebody else has
    taken meanwhile is lost."""
    for connection in container.connections.values():
        wanted, connection.bindings = connection.bindings, ()
        if not wanted:
            continue
        try:
            handle = await engine.roster.open("network", connection.endpoint.network.driver)
            await handle.call("unpublish", connection.endpoint.id)
            published: Published = await handle.call("publish", connection.endpoint, connection.attachment, wanted)
            connection.bindings = container.last_bindings = published.bindings
            await hold(engine, container, published)
        except TareError as error:
            log.error("container %s: its ports cannot be published again: %s", container.name, error)


async def disconnect(engine: Engine, container: Container) -> None:
    """Release every endpoint; addresses and ports are free afterwards."""
    for name, connection in list(container.connections.items()):
        network = connection.endpoint.network
        handle = await engine.roster.open("network", network.driver)
        await handle.call("release", connection.endpoint.id)
        if connection.bindings:
            try:
                await engine.supervision.ask("release", {"owner": container.id}, again=True)
            except TareError as error:
                log.warning("ports of container %s: %s", container.name, error)
        container.connections.pop(name, None)
        announce(engine, container, network, "disconnect")
        engine.plugins.after("tare_after_network_detach", network=network, endpoint=connection.endpoint.id)


def announce(engine: Engine, container: Container, network: Network, action: str) -> None:
    """Publish a network event with the attributes that Docker gives it."""
    attributes = {"container": container.id, "name": network.name, "type": driver_shown(network.driver)}
    publish(engine, "network", action, network.id, attributes)


def joined(engine: Engine, container: Container) -> Container:
    """The running container whose network is shared. Raises NotFound, Conflict in Docker's words."""
    ref = container.config.network.removeprefix("container:")
    target = engine.registry.find(ref).container
    if not target.running:
        raise Conflict(f"cannot join network of a non running container: {target.id}", subject=ref, hint="start it first")
    return target


def wanted(container: Container) -> tuple[PortRequest, ...]:
    """What ``-p`` and ``-P`` ask for."""
    ports = container.config.ports
    if not container.config.publish_all:
        return ports
    named = {(port.container_port, port.protocol) for port in ports}
    rest: list[PortRequest] = []
    for exposed in container.config.exposed_ports:
        number, _, protocol = exposed.partition("/")
        first, _, last = number.partition("-")
        for port in range(int(first), int(last or first) + 1):
            if (port, protocol or "tcp") not in named:
                rest.append(PortRequest(port, protocol or "tcp"))
    return (*ports, *rest)


def bindings(container: Container) -> tuple[PortBinding, ...]:
    """The ports that are published now."""
    return tuple(binding for connection in container.connections.values() for binding in connection.bindings)
