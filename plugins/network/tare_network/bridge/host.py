"""What the bridge driver changes in the host: the device, its addresses, a few switches under /proc/sys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

from tare.drivers.registration import DriverContext
from tare.errors import Conflict
from tare.linux import devices
from tare.linux.nft import Nftables
from tare.model.network import Network
from tare.model.probe import Probe
from tare_network.bridge.segment import DEFAULT, Segment, hardware_address
from tare_network.bridge.subnets import Subnet, overlap

SYSCTL = Path("/proc/sys/net")
_CAP_NET_ADMIN = 12
_OUTER = "outer-devices"
ALIAS = "tare/"


def probe(rules: bool) -> Probe:
    """No side effect."""
    effective = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff:"))
    if not int(effective.split()[1], 16) >> _CAP_NET_ADMIN & 1:
        return Probe("skip", "needs CAP_NET_ADMIN: run tared as root")
    if not rules:
        return Probe("ok", "bridges, without packet rules as configured")
    try:
        Nftables().close()
    except OSError as error:
        return Probe("skip", f"{error.strerror}: apt-get install nftables")
    return Probe("ok", "bridges and nftables")


def make_device(made: Segment, mark: str) -> bool:
    """Have the bridge there, up, with its addresses; True when it was not there before."""
    present = devices.devices().get(made.device)
    if present is not None and present.kind != "bridge":
        raise Conflict(f"device {made.device} exists and is no bridge", subject=made.device, hint="remove or rename it")
    if present is not None and made.own and mark != present.alias and present.mac != hardware_address(made.network.id):
        raise Conflict(
            f"bridge {made.device} belongs to somebody else",
            subject=made.device,
            hint=f"remove it (ip link delete {made.device}) or name it in [network.bridge] name",
        )
    if present is None:
        devices.create_bridge(made.device, hardware_address(made.network.id), made.mtu)
    if made.own:
        devices.mark(made.device, mark)
        wanted = set(device_addresses(made))
        actual = devices.addresses(made.device)
        for address in actual - wanted:
            devices.remove_address(made.device, address)
        for address in wanted - actual:
            devices.add_address(made.device, address)
    else:
        for address in set(device_addresses(made)) - devices.addresses(made.device):
            devices.add_address(made.device, address)
    if made.network.ipv6:
        # Nobody else has the bridge's addresses; looking for him would leave it mute for two seconds.
        _switch(f"ipv6/conf/{made.device}/accept_dad", "0")
    devices.bring_up(made.device, link_local=made.network.ipv6)
    _switch(f"ipv4/conf/{made.device}/route_localnet", "1")
    return present is None


def device_addresses(made: Segment) -> list[str]:
    """What the bridge itself is called in each subnet: what [network.bridge] ip says, else the gateway, unless that is
    said to be somebody else; then the first address that is left."""
    found = []
    for text, gateway in zip(made.network.subnets, made.network.gateways, strict=True):
        subnet = ip_network(text)
        said = next((ip for ip in made.addresses if ip_interface(ip).version == subnet.version), "")
        first = subnet.network_address + (2 if int(ip_address(gateway)) - int(subnet.network_address) == 1 else 1)
        found.append(said or f"{first if gateway in made.routers else gateway}/{subnet.prefixlen}")
    return found


def as_found(made: Segment) -> Network:
    """A bridge of the user's with the addresses that it has, unless the configuration says others."""
    network = made.network
    if made.own or made.addresses:
        return network
    interfaces = [ip_interface(address) for address in sorted(devices.addresses(made.device))]
    return replace(
        network,
        subnets=tuple(str(interface.network) for interface in interfaces) or network.subnets,
        gateways=tuple(str(interface.ip) for interface in interfaces) or network.gateways,
    )


def unless_taken(network: Network, used: Sequence[Subnet]) -> Network:
    """The network ``bridge`` forgets a subnet of its own choice that the host has meanwhile put to another use."""
    if network.name == DEFAULT and any(overlap(ip_network(mine), other) for mine in network.subnets for other in used):
        return replace(network, subnets=(), gateways=(), ip_ranges=())
    return network


def allow_forwarding(ipv6: bool, context: DriverContext) -> None:
    """Have the kernel forward packets, if the configuration lets us. Before it does so for the first time it is noted
    which devices the host had: between those, tare's rules go on forwarding nothing (``outer``)."""
    names = ["ipv4/ip_forward", *(["ipv6/conf/all/forwarding"] if ipv6 else [])]
    off = [name for name in names if _value(name) == "0"]
    if not off:
        return
    if not context.options.get("ip-forward", True):
        switch = "net." + off[0].replace("/", ".")
        context.log(f"{switch} is off: containers reach nothing outside (sysctl -w {switch}=1)")
        return
    if names[0] in off and not context.options.get("ip-forward-no-drop", False):
        known = [name for name, device in devices.devices().items() if name != "lo" and not device.alias.startswith(ALIAS)]
        context.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        (context.run / _OUTER).write_text("\n".join(known))
    if len(names) > 1 and names[1] in off:
        _keep_router_advertisements()
    for name in off:
        context.log(f"turning on net.{name.replace('/', '.')}")
        _switch(name, "1")


def outer(context: DriverContext) -> list[str]:
    """The devices between which the host did not forward before tare turned forwarding on."""
    try:
        return (context.run / _OUTER).read_text().split()
    except FileNotFoundError:
        return []


def bridged_packets_are_filtered() -> bool:
    """Is br_netfilter loaded and on?"""
    return _value("bridge/bridge-nf-call-iptables") == "1"


def alias(instance: str, network: str) -> str:
    """The mark on a bridge of ours."""
    return f"{ALIAS}{instance}/{network}"


def sweep(prefix: str, names: Iterable[str], instance: str, segments: Sequence[Segment], *, links: bool) -> list[str]:
    """Delete bridges of ours that nobody needs, and unless something is not known of them ``links``; a line for each."""
    names, lines = set(names), []
    present = devices.devices()
    bridges = {present[made.device].number for made in segments if made.device in present}
    keep = {made.device for made in segments}
    for device in present.values():
        link = links and device.kind == "veth" and device.name.startswith(prefix) and device.master in bridges
        link = link and device.name not in names
        bridge = device.kind == "bridge" and device.alias.startswith(alias(instance, "")) and device.name not in keep
        if link or bridge:
            devices.delete(device.name)
            lines.append(f"removed {device.kind} {device.name}, which belongs to no {'network' if bridge else 'container'}")
    return lines


def _keep_router_advertisements() -> None:
    """A host that forwards stops to hear router advertisements unless told 2 (ip-sysctl, accept_ra): it would lose its
    default route."""
    for path in (SYSCTL / "ipv6/conf").iterdir():
        if path.name not in ("all", "default") and _value(f"ipv6/conf/{path.name}/accept_ra") == "1":
            _switch(f"ipv6/conf/{path.name}/accept_ra", "2")


def _value(name: str) -> str:
    try:
        return (SYSCTL / name).read_text().strip()
    except FileNotFoundError:
        return ""


def _switch(name: str, value: str) -> None:
    if _value(name) != value:
        with open(SYSCTL / name, "w", encoding="ascii") as file:
            file.write(value)
