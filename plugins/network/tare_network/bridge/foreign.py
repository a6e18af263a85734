"""The host's other firewalls. An accept in our table does not beat a drop in another's (nft(8)), so where somebody drops
what is forwarded, our containers need his leave.

Docker offers a chain for that, DOCKER-USER: one pair of rules goes there, marked as ours, and leaves with us. Since it comes
before Docker's own rules, ours have to see to it that its containers' unpublished ports stay out of reach (``neighbours``).
Anywhere else nothing is touched; what is in the way is said together with the cure.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase

from tare.linux import xtables
from tare.linux.devices import devices as every_device
from tare.linux.nft import INET, IPV4, Chain, Nftables, chains

_FORWARD = 2
_IPV6 = 10
_DOCKER = ("filter", "DOCKER-USER")
_FAMILIES = {INET: "inet", IPV4: "ip", _IPV6: "ip6"}
_VERSIONS = {INET: {4, 6}, IPV4: {4}, _IPV6: {6}}
_DOCKERS_NAMES = re.compile(r"docker0|br-[0-9a-f]{12}")
_DOCKERS_CHAINS = ("FORWARD", "DOCKER-BRIDGE")
_DOCKERS_RULE = re.compile(r'oifname "([^"]+)" .*jump DOCKER$')
_WAYS = [re.compile(rf'{way}name (?:"[^"]*"|\{{[^}}]*\}})') for way in ("iif", "oif")]
_QUOTED = re.compile('"([^"]*)"')


def obstacles(
    nft: Nftables, own: str, devices: Collection[str], versions: Collection[int], present: Iterable[Chain], *, permitted: bool
) -> list[str]:
    """What of others drops our containers' packets of these IP versions, each with its cure. ``permitted``: DOCKER-USER
    lets us pass. A table whose rules accept all of our devices by name is no obstacle."""
    found = []
    for chain in present:
        family = _FAMILIES.get(chain.family)
        if chain.hook != _FORWARD or family is None or chain.table == own or not _VERSIONS[chain.family] & set(versions):
            continue
        if chain.policy == "drop" and not (permitted and (family, chain.table) == ("ip", _DOCKER[0])):
            if not _accepted(_listed(nft, f"table {family} {chain.table}"), devices):
                names = ", ".join(sorted(devices))
                cure = (
                    f"nft insert rule {family} {chain.table} {chain.name} iifname {{ {names} }} accept, and the same with oifname"
                )
                found.append(f"chain {chain.name} of table {family} {chain.table} drops forwarded packets ({cure})")
        elif chain.table == "firewalld":
            text = _listed(nft, f"table {family} {chain.table}")
            if not all(f'"{name}"' in text for name in devices):
                names = " ".join(f"--add-interface={name}" for name in sorted(devices))
                cure = f"firewall-cmd --permanent --zone=trusted {names}; firewall-cmd --reload"
                found.append(f"firewalld rejects packets of devices in no zone ({cure})")
    return [*found, *(_legacy(devices) if 4 in versions else ())]


def _legacy(devices: Collection[str]) -> list[str]:
    table = xtables.forwarding()
    if table is None or not table.drops or (_matched(table.arriving, devices) and _matched(table.leaving, devices)):
        return []
    cure = "; ".join(f"iptables-legacy -I FORWARD {way} {name} -j ACCEPT" for name in sorted(devices) for way in ("-i", "-o"))
    return [f"chain FORWARD of iptables-legacy drops forwarded packets ({cure})"]


def _accepted(text: str, devices: Collection[str]) -> bool:
    """Do rules of this table accept each of the devices by name, as source and as destination?"""
    accepting = "\n".join(line for line in text.splitlines() if " accept" in line)
    return all(_matched(_QUOTED.findall("".join(way.findall(accepting))), devices) for way in _WAYS)


def _matched(patterns: Iterable[str], devices: Collection[str]) -> bool:
    patterns = list(patterns)
    return all(any(fnmatchcase(device, pattern) for pattern in patterns) for device in devices)


def neighbours(nft: Nftables, own: Collection[str], present: Iterable[Chain]) -> list[str]:
    """The bridges of dockerd: those that it has named itself, and those that its rules lead to."""
    found = {name for name, device in every_device().items() if device.kind == "bridge" and _DOCKERS_NAMES.fullmatch(name)}
    for chain in present:
        if (chain.family, chain.table) == (IPV4, _DOCKER[0]) and chain.name in _DOCKERS_CHAINS:
            for line in _listed(nft, f"chain ip {chain.table} {chain.name}").splitlines():
                found.update(_DOCKERS_RULE.findall(line))
    return sorted(found - set(own))


def permit(nft: Nftables, mark: str, devices: Iterable[str], present: Iterable[Chain]) -> bool:
    """Have our pair of rules in DOCKER-USER, if there is such a chain; True when they are there. Raises OSError."""
    if not any((chain.family, chain.table, chain.name) == (IPV4, *_DOCKER) for chain in present):
        return False
    wanted = [f'iifname "{name}"' for name in devices] + [f'oifname "{name}"' for name in devices]
    old = _ours(nft, mark)
    if [match for match, _handle in old] != wanted:
        commands = [f"delete rule ip {' '.join(_DOCKER)} handle {handle}" for _match, handle in old]
        commands += [f'insert rule ip {" ".join(_DOCKER)} {match} accept comment "{mark}"' for match in reversed(wanted)]
        nft.run("\n".join(commands))
    return True


def withdraw(nft: Nftables, mark: str) -> None:
    """Take our rules out of DOCKER-USER. Raises OSError."""
    if any((chain.family, chain.table, chain.name) == (IPV4, *_DOCKER) for chain in chains()):
        commands = [f"delete rule ip {' '.join(_DOCKER)} handle {handle}" for _match, handle in _ours(nft, mark)]
        if commands:
            nft.run("\n".join(commands))


def _listed(nft: Nftables, what: str) -> str:
    """What may have gone in the meantime has no rules."""
    try:
        return nft.run(f"list {what}")
    except OSError:
        return ""


def _ours(nft: Nftables, mark: str) -> list[tuple[str, int]]:
    """(match, handle) of our rules in their order."""
    found = []
    for line in nft.run(f"list chain ip {' '.join(_DOCKER)}", handles=True).splitlines():
        rule, comment, rest = line.strip().partition(f' accept comment "{mark}"')
        if comment:
            found.append((rule, int(rest.rpartition("# handle ")[2])))
    return found
