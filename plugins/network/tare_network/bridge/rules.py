"""The packet rules, as text: one table of our own, the same whatever is published.

Networks and ports are elements of its sets and maps, so a packet's way and a change cost the same with one port and with
ten thousand. Verdicts other than ``drop`` bind nobody else: what another table drops stays dropped (nft(8), "verdicts").
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from tare_network.bridge.segment import Segment

_SETS = """\
  set bridges { type ifname; }
  set internal { type ifname; }
  set together { type ifname . ifname; }
  set outer { type ifname; }
  set neighbours { type ifname; }
"""

_FAMILY_SETS = """\
  set subnets{v} { type {address}; flags interval; }
  set masqueraded{v} { type {address}; flags interval; }
  map published{v} { type {address} . inet_proto . inet_service : {address} . inet_service; }
  map everywhere{v} { type inet_proto . inet_service : {address} . inet_service; }
"""

_FAMILY_PUBLISHED = """\
    dnat {ip} to {ip} daddr . meta l4proto . th dport map @published{v}
    meta nfproto ipv{v} dnat {ip} to meta l4proto . th dport map @everywhere{v}
"""

# The kernel throws away what comes from outside for 127.0.0.1, but only after destinations have been rewritten.
_ARRIVING = {
    4: "    ip daddr != 127.0.0.0/8 fib daddr type local jump published\n",
    6: "    ip6 daddr != ::1 fib daddr type local jump published\n",
}
# The host's own packets to 127.0.0.1 do lead to containers; ::1 no rule can carry.
_LEAVING = {
    4: "    meta nfproto ipv4 fib daddr type local jump published\n",
    6: "    ip6 daddr != ::1 fib daddr type local jump published\n",
}
# A container that reaches a published port of its own network would get the answer past the host without the first rule.
# It goes by addresses: where bridged packets are filtered there is no incoming device to see here.
_FAMILY_MASQUERADE = """\
    {ip} saddr @subnets{v} oifname @bridges ct status dnat masquerade
    {ip} saddr @masqueraded{v} oifname != @bridges masquerade
"""

_FAMILIES = {4: {"v": "4", "ip": "ip", "address": "ipv4_addr"}, 6: {"v": "6", "ip": "ip6", "address": "ipv6_addr"}}


def table_name(instance: str) -> str:
    """The name of our table in family ``inet``."""
    return f"tare_{instance}" if instance else "tare"


def ruleset(table: str, settings: Mapping[str, Any]) -> tuple[str, str]:
    """(form, commands): the commands make the table anew in one transaction; the form is its comment, by which a table
    that was made from the same text is known again."""
    versions = families(settings)
    body = _body(versions, direct=bool(settings.get("allow-direct-routing")))
    form = f"tare {hashlib.sha256(body.encode()).hexdigest()[:12]}"
    return form, f'table inet {table}\ndelete table inet {table}\ntable inet {table} {{\n  comment "{form}"\n{body}}}\n'


def families(settings: Mapping[str, Any]) -> list[int]:
    """The IP versions that we may write rules for."""
    return [v for v in (4, 6) if settings.get(f"firewall.ipv{v}", True)]


def _body(versions: list[int], *, direct: bool) -> str:
    def each(text: str) -> str:
        return "".join(_filled(text, _FAMILIES[version]) for version in versions)

    # 127.0.0.1 reaches a container by a rewritten destination, so its source has to be rewritten too.
    loop = "    oifname @bridges ip saddr 127.0.0.0/8 masquerade\n" if 4 in versions else ""
    allowed = "    iifname != @bridges accept\n" if direct else ""
    only = "" if len(versions) == 2 else f"    meta nfproto != ipv{versions[0]} accept\n" if versions else ""
    return (
        _SETS
        + each(_FAMILY_SETS)
        + "  chain published {\n" + each(_FAMILY_PUBLISHED) + "  }\n"
        "  chain prerouting {\n    type nat hook prerouting priority dstnat; policy accept;\n"
        + "".join(_ARRIVING[version] for version in versions) + "  }\n"
        "  chain output {\n    type nat hook output priority -100; policy accept;\n"
        + "".join(_LEAVING[version] for version in versions) + "  }\n"
        "  chain postrouting {\n    type nat hook postrouting priority srcnat; policy accept;\n"
        + loop
        + each(_FAMILY_MASQUERADE)
        + "  }\n"
        # With route_localnet a container could otherwise speak with what listens on 127.0.0.1 of the host, or pass for it.
        "  chain localhost {\n    type filter hook prerouting priority raw; policy accept;\n"
        "    iifname @bridges ip daddr 127.0.0.0/8 drop\n"
        "    iifname @bridges ip saddr 127.0.0.0/8 drop\n  }\n"
        "  chain forward {\n    type filter hook forward priority filter; policy accept;\n"
        + only
        + "    iifname . oifname @together accept\n"
        "    iifname @internal drop\n"
        "    oifname @internal drop\n"
        "    oifname @bridges jump incoming\n"
        # Another engine may have to let us pass before it asks its own rules: what it has not published stays its own.
        "    iifname @bridges oifname @neighbours jump incoming\n"
        "    iifname @outer oifname @outer ct state new drop\n  }\n"
        "  chain incoming {\n"
        "    ip saddr 127.0.0.0/8 drop\n"
        "    ct state established,related accept\n"
        "    ct status dnat accept\n" + allowed + "    drop\n  }\n"
    )  # fmt: skip


def _filled(text: str, words: Mapping[str, str]) -> str:
    for name, word in words.items():
        text = text.replace("{" + name + "}", word)
    return text


def names(devices: Iterable[str]) -> list[str]:
    """Devices as elements of a set, as nft(8) writes them."""
    return [f'"{device}"' for device in devices]


def members(
    segments: Iterable[Segment], outer: Iterable[str], neighbours: Iterable[str], versions: list[int]
) -> dict[str, list[str]]:
    """The elements of the sets that describe networks, as nft(8) writes them."""
    found: dict[str, list[str]] = {"bridges": [], "internal": [], "together": []}
    found |= {"outer": names(outer), "neighbours": names(neighbours)}
    found |= {f"{name}{version}": [] for name in ("subnets", "masqueraded") for version in versions}
    for segment in segments:
        device = f'"{segment.device}"'
        found["bridges"].append(device)
        if segment.internal:
            found["internal"].append(device)
        if segment.icc:
            found["together"].append(f"{device} . {device}")
        for subnet in segment.subnets:
            if subnet.version in versions:
                found[f"subnets{subnet.version}"].append(str(subnet))
                if segment.masquerade and not segment.internal:
                    found[f"masqueraded{subnet.version}"].append(str(subnet))
    return found


def membership(table: str, wanted: Mapping[str, list[str]]) -> str:
    """Commands that give the sets exactly these elements, in one transaction."""
    lines = []
    for name, elements in wanted.items():
        lines.append(f"flush set inet {table} {name}")
        if elements:
            lines.append(f"add element inet {table} {name} {{ {', '.join(elements)} }}")
    return "\n".join(lines) + "\n"
