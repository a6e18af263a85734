"""The files that the engine writes for a container: hosts, hostname, resolv.conf."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from tare.errors import Exhausted, Invalid, TareError

LOOPBACK = (
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::\tip6-localnet\n"
    "ff00::\tip6-mcastprefix\n"
    "ff02::1\tip6-allnodes\n"
    "ff02::2\tip6-allrouters\n"
)

UPSTREAM = "/run/systemd/resolve/resolv.conf"
"""Where systemd-resolved lists the real servers when resolv.conf names only its stub (resolved.conf(5))."""


def hosts(addresses: Sequence[str], hostname: str, domainname: str, extra: Sequence[str], gateway: str) -> str:
    """The text of /etc/hosts. ``extra`` are ``HOST:IP`` or ``HOST=IP``; ``host-gateway`` stands for ``gateway``."""
    full = f"{hostname}.{domainname} {hostname}" if domainname else hostname
    own = [f"{address}\t{full}\n" for address in addresses]
    return "".join([LOOPBACK, *extra_lines(extra, gateway), *own])


def extra_lines(extra: Sequence[str], gateway: str) -> list[str]:
    """The lines of ``--add-host``. Raises Invalid."""
    lines: list[str] = []
    for entry in extra:
        name, address = split_host(entry)
        if address == "host-gateway":
            if not gateway:
                raise Invalid(f"{entry}: this network has no host gateway", subject=entry, hint="name an address")
            address = gateway
        lines.append(f"{address}\t{name}\n")
    return lines


def split_host(entry: str) -> tuple[str, str]:
    """``HOST:IP`` or ``HOST=IP`` (IPv6 with or without brackets) as (host, address). Raises Invalid."""
    separator = "=" if "=" in entry else ":"
    name, found, address = entry.partition(separator)
    if not found or not name or not address:
        raise Invalid(f'bad format for add-host: "{entry}"', subject=entry, hint="write HOST:IP")
    return name, address.removeprefix("[").removesuffix("]")


def resolv_conf(
    servers: Sequence[str], search: Sequence[str], options: Sequence[str], *, keep_local: bool, path: str = "/etc/resolv.conf"
) -> str:
    """The text of /etc/resolv.conf: the host's, with what was asked for in its place.

    A loopback server means nothing inside another network namespace: unless ``keep_local`` it is replaced by what
    systemd-resolved forwards to, or left out (resolv.conf(5)); no public server is ever put in its place.
    """
    own_servers, own_search, own_options = _parse(path)
    if not keep_local and own_servers and all(map(_local, own_servers)):
        own_servers, own_search, own_options = _parse(UPSTREAM)
    if not keep_local:
        own_servers = [server for server in own_servers if not _local(server)]
    chosen_search = list(search) if search else own_search
    chosen_options = list(options) if options else own_options
    lines = [f"nameserver {server}\n" for server in (servers or own_servers)]
    if chosen_search and chosen_search != ["."]:
        lines.append(f"search {' '.join(chosen_search)}\n")
    if chosen_options:
        lines.append(f"options {' '.join(chosen_options)}\n")
    return "".join(lines)


def _local(server: str) -> bool:
    return server.startswith("127.") or server == "::1"


def _parse(path: str) -> tuple[list[str], list[str], list[str]]:
    servers: list[str] = []
    search: list[str] = []
    options: list[str] = []
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                words = line.split()
                if not words or words[0][0] in "#;":
                    continue
                if words[0] == "nameserver" and len(words) > 1:
                    servers.append(words[1])
                elif words[0] in ("search", "domain"):
                    search = words[1:]
                elif words[0] == "options":
                    options.extend(words[1:])
    except OSError:
        pass
    return servers, search, options


def write(path: str, text: str) -> None:
    """Write a small file. Raises TareError that names it."""
    data = text.encode("utf-8", "surrogateescape")
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            os.write(fd, data)
        finally:
            os.close(fd)
    except OSError as error:
        kind = Exhausted if error.errno in (errno.ENOSPC, errno.EDQUOT) else TareError
        raise kind(f"cannot write {path}: {(error.strerror or '').lower()}", subject=path) from error
