"""The bridge driver itself: networks, endpoints and their addresses. See tare.drivers.network for the contract."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address, ip_network

from tare.drivers.network import Published
from tare.drivers.registration import DriverContext
from tare.errors import Exhausted, InUse, NotFound, TareError, Unavailable
from tare.linux import conntrack, devices
from tare.linux.netlink import index_of
from tare.model.network import Attachment, Endpoint, Link, Network, PortBinding, Route
from tare.model.probe import Probe
from tare_network.bridge import host
from tare_network.bridge.addresses import Addresses
from tare_network.bridge.explain import explain
from tare_network.bridge.firewall import Firewall
from tare_network.bridge.guard import Guard
from tare_network.bridge.place import Place
from tare_network.bridge.ports import Ports
from tare_network.bridge.segment import Segment, segment
from tare_network.bridge.subnets import Subnet, complete

PORTS = 1023
"""Ports of one bridge (BR_MAX_PORTS in net/bridge/br_private.h, less the one that is never given)."""

IN_THE_WAY = "containers cannot reach the outside, nor their ports be reached: "

FLOWS = 256
"""UDP ports of one container whose earlier flows are redirected: looking for them takes half a millisecond each."""


class Bridge:
    """Everything it knows comes from ``create`` and ``reconcile``; nothing is kept on disk."""

    def __init__(self, context: DriverContext) -> None:
        self._context = context
        self._settings = context.options
        self._prefix = f"tv{context.instance or '-'}"
        self._places: dict[str, Place] = {}
        self._where: dict[str, Place] = {}
        self._names: set[str] = set()
        self._guard: Guard | None = None
        self._firewall = Firewall(context.instance, context.options)
        self._ports = Ports(self._firewall.versions, forward=bool(context.options.get("userland-proxy", True)))

    def probe(self) -> Probe:
        return host.probe(self._firewall.active)

    def status(self) -> Sequence[tuple[str, str]]:
        lines = [(f"network {place.segment.network.name}", self._line(place)) for place in self._places.values()]
        return [*lines, *(("warning", warning) for warning in self.warnings())]

    def warnings(self) -> Sequence[str]:
        return [IN_THE_WAY + obstacle for obstacle in self._firewall.obstacles]

    def prompt(self, method: str, *args: object) -> bool:
        """Addresses are counted in memory; only who needs one that is still leaving waits, and who touches the firewall."""
        match method, args:
            case "reserve", (Endpoint() as endpoint,):
                place = self._places.get(endpoint.network.id)
                return place is not None and all(pool.prompt(_wish(pool, endpoint)) for pool in place.pools)
            case "warnings", ():
                return True
            case "release", (str() as id,):
                place = self._where.get(id)
                return place is None or id not in place.bindings
        return False

    def create(self, network: Network) -> Network:
        made = segment(network, self._context.instance, self._settings)
        if network.id in self._places:
            return self._places[network.id].segment.network
        with translated():
            network = self._subnets(made)
            made = segment(network, self._context.instance, self._settings)
            fresh = host.make_device(made, host.alias(self._context.instance, network.id))
            try:
                self._places[network.id] = Place(made, self._pools(made))
                host.allow_forwarding(network.ipv6, self._context)
                self._arrange()
            except BaseException:
                self._places.pop(network.id, None)
                if fresh:
                    devices.delete(made.device)
                raise
        return network

    def delete(self, network: Network) -> None:
        place = self._places.get(network.id)
        if place is not None and place.endpoints:
            raise InUse(
                f"error while removing network: network {network.name} id {network.id} has active endpoints", subject=network.name
            )
        gone = place.segment if place else segment(network, self._context.instance, self._settings)
        with translated():
            if self._places.pop(network.id, None):
                self._arrange()
                if not self._places:
                    self._rest()
                    self._firewall.remove()
            if gone.own:
                devices.delete(gone.device)

    def reserve(self, endpoint: Endpoint) -> Attachment:
        place = self._place(endpoint.network)
        known = place.endpoints.get(endpoint.id)
        if known is not None:
            return known
        if len(place.endpoints) >= PORTS:
            raise Exhausted(
                f"network {endpoint.network.name} is full: a bridge has no more than {PORTS} ports",
                subject=endpoint.network.name,
                hint="put the container on another network",
            )
        given: list[tuple[Addresses, str]] = []
        try:
            for pool in place.pools:
                given.append((pool, pool.give(endpoint.id, _wish(pool, endpoint))))
            with translated():
                attachment = self._attachment(place, endpoint, given)
        except BaseException:
            for pool, address in given:
                pool.free(address, "")
            raise
        self._adopt(place, endpoint, attachment)
        return attachment

    def release(self, endpoint: str) -> None:
        self.unpublish(endpoint)
        place = self._where.pop(endpoint, None)
        if place is None:
            return
        attachment = place.endpoints.pop(endpoint)
        place.names.pop(endpoint, None)
        device = attachment.links[0].host_name if attachment.links else ""
        self._names.discard(device)
        if not attachment.links:
            self._keep(attachment, kept=False)
            with translated():
                self._firewall.synchronize()
        for pool in place.pools:
            address = attachment.address if pool.subnet.version == 4 else attachment.address6
            if address:
                pool.free(address, device)

    def publish(self, endpoint: Endpoint, attachment: Attachment, wanted: tuple[PortBinding, ...] = ()) -> Published:
        place = self._where[endpoint.id]
        if place.segment.internal:
            return Published(())
        published = self._ports.take(endpoint, attachment, wanted, place.segment.publish_ip)
        try:
            with translated():
                self._firewall.publish(self._ports.elements(attachment, published.bindings))
        except BaseException:
            self._ports.free(endpoint.id, published.bindings)
            for fd in (*published.sockets, *(forward[0] for forward in published.forwards)):
                os.close(fd)
            raise
        place.bindings[endpoint.id] = published.bindings
        self._redirect_flows(published.bindings)
        return published

    def unpublish(self, endpoint: str) -> None:
        place = self._where.get(endpoint)
        bindings = place.bindings.pop(endpoint, ()) if place else ()
        if place is None or not bindings:
            return
        self._ports.free(endpoint, bindings)
        with translated():
            self._firewall.unpublish(self._ports.elements(place.endpoints[endpoint], bindings))
            if any(binding.protocol == "udp" for binding in bindings):
                attachment = place.endpoints[endpoint]
                for address in filter(None, (attachment.address, attachment.address6)):
                    conntrack.forget_answered_by(address)

    def check(self, endpoint: str) -> str:
        place = self._where.get(endpoint)
        if place is None:
            return f"endpoint {endpoint[:12]} is not reserved"
        if not place.endpoints[endpoint].links:
            return f"of endpoint {endpoint[:12]} only the addresses are known"
        link = place.endpoints[endpoint].links[0]
        present = devices.devices()
        bridge, veth = present.get(link.parent), present.get(link.host_name)
        if bridge is None or not bridge.up:
            return f"bridge {link.parent} is {'down' if bridge else 'missing'}"
        if veth is None or veth.master != bridge.number:
            return f"link {link.host_name} is {'not on ' + link.parent if veth else 'missing'}"
        elements = self._ports.elements(place.endpoints[endpoint], place.bindings.get(endpoint, ()))
        lost = self._firewall.missing(elements)
        return f"{lost} is missing" if lost else ""

    def reconcile(
        self, networks: Iterable[Network], endpoints: Iterable[tuple[Endpoint, Attachment, tuple[PortBinding, ...]]]
    ) -> Sequence[str]:
        lines: list[str] = []
        with translated():
            for network in networks:
                if network.id not in self._places:
                    self.create(network)
            for endpoint, attachment, bindings in endpoints:
                place = self._places.get(endpoint.network.id)
                if place is not None:
                    self._adopt(place, endpoint, attachment)
                    self._warn_if_cut_off(place, endpoint, attachment)
                    self._ports.adopt(endpoint.id, bindings)
                    place.bindings[endpoint.id] = bindings
                    self._firewall.want(self._ports.elements(attachment, bindings))
                    if not attachment.links:
                        self._keep(attachment)
            repairs = self._firewall.synchronize()
            if repairs:
                lines.append(f"put {repairs} rules and elements of table inet {self._firewall.table} right")
            blind = any(not a.links for place in self._places.values() for a in place.endpoints.values())
            places = [place.segment for place in self._places.values()]
            lines += host.sweep(self._prefix, self._names, self._context.instance, places, links=not blind)
        return lines

    def close(self) -> None:
        self._rest()
        self._firewall.close()

    def describe(self) -> str:
        return "\n".join([*explain(self._places.values(), self._firewall.table), self._firewall.describe()])

    def _redirect_flows(self, bindings: Iterable[PortBinding]) -> None:
        """Datagrams that somebody sent here in vain until now shall go to the container from now on."""
        flows = {(binding.host_port, ":" in binding.host_ip) for binding in bindings if binding.protocol == "udp"}
        try:
            for port, six in sorted(flows)[:FLOWS]:
                conntrack.forget_untranslated(socket.AF_INET6 if six else socket.AF_INET, port)
        except OSError as error:
            self._context.log(f"old flows of published UDP ports may go on missing their container: {error.strerror}")

    def _place(self, network: Network) -> Place:
        if network.id not in self._places:
            self.create(network)
        return self._places[network.id]

    def _adopt(self, place: Place, endpoint: Endpoint, attachment: Attachment) -> None:
        for pool in place.pools:
            address = attachment.address if pool.subnet.version == 4 else attachment.address6
            if address:
                pool.take(endpoint.id, address)
        place.endpoints[endpoint.id] = attachment
        place.names[endpoint.id] = endpoint.name
        self._where[endpoint.id] = place
        self._names.update(link.host_name for link in attachment.links)

    def _keep(self, attachment: Attachment, *, kept: bool = True) -> None:
        for address in filter(None, (attachment.address, attachment.address6)):
            self._firewall.keep(address, kept=kept)

    def _warn_if_cut_off(self, place: Place, endpoint: Endpoint, attachment: Attachment) -> None:
        """It was started when the network had other subnets: its gateway is no longer there."""
        for address in filter(None, (attachment.address, attachment.address6)):
            if not any(ip_address(address) in subnet for subnet in place.segment.subnets):
                self._context.log(
                    f"container {endpoint.name} has the address {address}, which is not of network {endpoint.network.name} any "
                    f"more ({', '.join(map(str, place.segment.subnets))}): it is cut off until it is restarted"
                )

    def _attachment(self, place: Place, endpoint: Endpoint, given: list[tuple[Addresses, str]]) -> Attachment:
        made = place.segment
        fields: dict[str, str | int] = {}
        assigned, routes = [], []
        gateways = {6 if ":" in gateway else 4: gateway for gateway in made.network.gateways}
        for pool, address in given:
            version = pool.subnet.version
            form = "" if version == 4 else "6"
            assigned.append(f"{address}/{pool.prefix}")
            fields |= {f"address{form}": address, f"prefix{form}": pool.prefix}
            if not made.internal:
                fields[f"gateway{form}"] = gateways[version]
                routes.append(Route("default", gateways[version]))
        mac = endpoint.mac or mac_of(given[0][1], endpoint.id)
        link = Link(
            kind="veth",
            name="eth0",
            host_name=self._name(endpoint.id),
            parent=made.device,
            mac=mac,
            mtu=made.mtu,
            addresses=tuple(assigned),
            routes=tuple(routes),
            options=_port_options(made, endpoint),
        )
        return Attachment(endpoint=endpoint.id, network=made.network.name, links=(link,), mac=mac, **fields)  # type: ignore[arg-type]

    def _name(self, id: str) -> str:
        """A device name that nobody has: our prefix and as many digits of the endpoint as fit."""
        room = 15 - len(self._prefix)
        for at in range(len(id) - room + 1):
            name = self._prefix + id[at : at + room]
            if name not in self._names and device_gone(name):
                return name
        raise Exhausted(f"no name is left for the device of endpoint {id[:12]}", subject=id)

    def _pools(self, made: Segment) -> list[Addresses]:
        network = made.network
        bridge = [address.partition("/")[0] for address in host.device_addresses(made)]
        pools = []
        for subnet, piece, gateway in zip(network.subnets, network.ip_ranges, network.gateways, strict=True):
            whole = ip_network(subnet)
            reserved = [gateway, *(a for a in bridge if ip_address(a).version == whole.version)]
            piece = piece or subnet
            pools.append(
                Addresses(whole, ip_network(piece), reserved, network.name, device_gone, devices.await_departure)
            )
        return pools

    def _subnets(self, made: Segment) -> Network:
        present = devices.devices()
        bridge = present.get(made.device)
        if bridge is None and not made.own:
            raise NotFound(
                f"bridge device {made.device} does not exist",
                subject=made.device,
                hint=f"make it (ip link add {made.device} type bridge) or leave [network.bridge] name out",
            )
        network = host.as_found(made)
        mine = bridge.number if bridge else -1
        used: list[Subnet] = [ip_network(cidr, strict=False) for cidr, index in devices.routes() if index != mine]
        used += [subnet for place in self._places.values() for subnet in place.segment.subnets]
        if bridge is None:
            network = host.unless_taken(network, used)
        return complete(network, self._settings, used, exists=bridge is not None)

    def _arrange(self) -> None:
        self._firewall.arrange([place.segment for place in self._places.values()], host.outer(self._context))
        self._look_around()
        if self._guard is None and self._firewall.active:
            self._guard = Guard(self._firewall.watch(), self._firewall.disturbed, self._restore)

    def _rest(self) -> None:
        """Stop to guard the rules; what lies in tables of others goes when nobody needs it."""
        if self._guard is not None:
            self._guard.close()
            self._guard = None
            if not self._where:
                self._firewall.withdraw()

    def _look_around(self) -> None:
        """In the guard's thread or the driver's own: say what is new among the things that stand in the way."""
        for obstacle in self._firewall.look_around():
            self._context.log(IN_THE_WAY + obstacle)

    def _restore(self) -> None:
        """In the guard's thread: others have changed the host's rules."""
        try:
            repairs = self._firewall.synchronize()
            if repairs:
                self._context.log(f"somebody changed table inet {self._firewall.table}: {repairs} repairs")
            self._look_around()
        except (OSError, TareError) as error:
            self._context.log(f"the packet rules cannot be put back: {error}")

    def _line(self, place: Place) -> str:
        subnets = ", ".join(place.segment.network.subnets)
        return f"{place.segment.device}, {subnets}, {len(place.endpoints)} containers"


def _wish(pool: Addresses, endpoint: Endpoint) -> str:
    return endpoint.address if pool.subnet.version == 4 else endpoint.address6


def mac_of(address: str, id: str) -> str:
    """02:42 and the IPv4 address, so that an address keeps its MAC; without one, digits of the endpoint."""
    tail = socket.inet_aton(address) if ":" not in address else bytes.fromhex(id[:8])
    return "02:42:" + ":".join(f"{byte:02x}" for byte in tail)


def _port_options(made: Segment, endpoint: Endpoint) -> dict[str, str]:
    """Where bridged packets pass the packet rules (br_netfilter), a container reaches its own published port only if the
    bridge may send a frame back to where it came from."""
    options = {} if made.icc else {"isolated": "true"}
    if endpoint.ports and host.bridged_packets_are_filtered():
        options["hairpin"] = "true"
    return options


def device_gone(name: str) -> bool:
    """Is there no device of this name any more? Raises Exhausted when the kernel cannot be asked."""
    with translated():
        try:
            index_of(name)
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
            return True
    return False


@contextmanager
def translated() -> Iterator[None]:
    """The kernel's refusals as errors of ours."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise Exhausted("too many open files", hint="raise tared's limit of open files (LimitNOFILE)") from error
        raise Unavailable(f"the kernel refuses: {error.strerror}", hint="tared needs CAP_NET_ADMIN") from error
