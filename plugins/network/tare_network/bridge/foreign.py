"""The host's other firewalls. An accept in our table does not beat a drop in another's (nft(8)), so where somebody drops
what is forwarded, our containers need his leave.

Docker offers a chain for that, DOCKER-USER: one pair of rules goes there, marked as ours, and leaves with us. Anywhere else
nothing is touched; what is in the way is said together with the cure.
"""

from __future__ import annotations

from collections.abc import Iterable

from tare.linux.nft import INET, IPV4, Chain, Nftables, chains

_FORWARD = 2
_DOCKER = ("filter", "DOCKER-USER")
_FAMILIES = {INET: "inet", IPV4: "ip", 10: "ip6"}


def obstacles(own: str, devices: Iterable[str], permitted: bool, present: Iterable[Chain] | None = None) -> list[str]:
    """What of others drops our containers' packets, each with its cure. ``permitted``: DOCKER-USER lets us pass."""
    found = []
    names = " ".join(sorted(devices))
    for chain in chains() if present is None else present:
        family = _FAMILIES.get(chain.family)
        if chain.hook != _FORWARD or family is None or chain.table == own:
            continue
        if chain.policy == "drop" and not (permitted and (family, chain.table) == ("ip", _DOCKER[0])):
            cure = f"nft insert rule {family} {chain.table} {chain.name} iifname {{ {names} }} accept, and the same with oifname"
            found.append(f"chain {chain.name} of table {family} {chain.table} drops forwarded packets ({cure})")
        elif chain.table == "firewalld":
            cure = f"firewall-cmd --permanent --zone=trusted --add-interface={names}; firewall-cmd --reload"
            found.append(f"firewalld rejects packets of devices in no zone ({cure})")
    return found


def permit(nft: Nftables, mark: str, devices: Iterable[str]) -> bool:
    """Have our pair of rules in DOCKER-USER, if there is such a chain; True when they are there. Raises OSError."""
    if not any((chain.family, chain.table, chain.name) == (IPV4, *_DOCKER) for chain in chains()):
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


def _ours(nft: Nftables, mark: str) -> list[tuple[str, int]]:
    """(match, handle) of our rules in their order."""
    found = []
    for line in nft.run(f"list chain ip {' '.join(_DOCKER)}", handles=True).splitlines():
        rule, comment, rest = line.strip().partition(f' accept comment "{mark}"')
        if comment:
            found.append((rule, int(rest.rpartition("# handle ")[2])))
    return found
