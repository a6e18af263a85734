"""From a container's record to the bundle that a runtime plans from: mounts, files and specification."""

from __future__ import annotations

import logging
import marshal
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tare.containers.container import Container, Defaults
from tare.drivers.runtime import Bundle
from tare.engine import defaults, files
from tare.errors import Conflict, Invalid, TareError
from tare.model.container import Exec, Limits, Ulimit
from tare.model.network import Attachment
from tare.model.process import ProcessRef
from tare.oci import spec as oci

if TYPE_CHECKING:
    from tare.engine.engine import Engine

log = logging.getLogger(__name__)

MOST_BUNDLES = 64
"""Containers whose specification is kept for their next exec."""

MARK = {"/.dockerenv": ""}
"""By this file programs know that they run in a container of Docker's kind."""


async def prepare(engine: Engine, container: Container, attachments: tuple[Attachment, ...]) -> Bundle:
    """The bundle of a start. Raises what stands in the way, and a plugin's veto."""
    for bind in container.config.binds:
        if bind.create and not os.path.lexists(bind.source):
            make_source(bind.source)
    container.defaults = defaults.of_a_start(engine.settings)
    container.adjusted = ""
    spec: Mapping[str, Any] = oci.build(request(container, container.defaults))
    changes, who = await engine.plugins.before(
        "tare_before_container_start", id=container.id, name=container.name, spec=spec
    )
    if changes:
        log.info("container %s: specification changed by %s", container.name, ", ".join(who))
        spec = {**spec, **changes}
        container.adjusted = adjusted(changes)
    storage = await engine.roster.open("storage", container.storage)
    mounts = await storage.call("mounts", container.id, volatile=container.config.auto_remove)
    return Bundle(
        id=container.id,
        spec=spec,
        rootfs=mounts,
        attachments=attachments,
        joins=joins(engine, container),
        files=write_files(engine, container, attachments),
        rows=container.config.console_size[0],
        columns=container.config.console_size[1],
    )


def without_mounts(engine: Engine, container: Container) -> Bundle:
    """The bundle as an exec needs it: of the specification what it is made from, as it was at the container's start."""
    known = engine.exec_bundles.get(container.id)
    if known is None or known[0] != container.process:
        while len(engine.exec_bundles) >= MOST_BUNDLES:
            del engine.exec_bundles[next(iter(engine.exec_bundles))]
        spec = oci.for_exec(request(container, container.defaults or defaults.of_a_start(engine.settings)))
        if container.adjusted:
            spec = {**spec, **marshal.loads(bytes.fromhex(container.adjusted))}
        known = engine.exec_bundles[container.id] = container.process, Bundle(id=container.id, spec=spec, rootfs=(), joins={})
    return known[1]


def adjusted(changes: Mapping[str, Any]) -> str:
    """What of a plugin's changes an exec is made from, for the record. Raises Invalid for what is no plain data."""
    kept = {name: changes[name] for name in ("process", "linux") if name in changes}
    try:
        return marshal.dumps(kept, 2).hex() if kept else ""
    except ValueError as error:
        raise Invalid(f"a plugin made the specification's {' and '.join(kept)} something else than plain data") from error


def request(container: Container, given: Defaults) -> oci.SpecRequest:
    """What the container asks of the specification, with what the daemon gives it."""
    config = container.config
    mode = config.network
    return oci.SpecRequest(
        id=container.id,
        args=container.args,
        env=container.env,
        cwd=container.working_dir,
        user=container.user,
        groups=config.group_add,
        tty=config.tty,
        hostname=container.hostname,
        domainname=config.domainname,
        cap_add=config.cap_add,
        cap_drop=config.cap_drop,
        privileged=config.privileged,
        security_opt=config.security_opt,
        no_new_privileges=given.no_new_privileges,
        seccomp_profile=given.seccomp_profile,
        masked_paths=config.masked_paths,
        readonly_paths=config.readonly_paths,
        binds=config.binds,
        tmpfs=config.tmpfs,
        devices=config.devices,
        shm_size=config.shm_size,
        sysctls=config.sysctls,
        ulimits=ulimits(config.ulimits, given.ulimits),
        oom_score_adj=config.oom_score_adj,
        limits=config.limits or Limits(),
        cgroups_path=cgroups_path(container, given),
        network="container" if mode.startswith("container:") else "host" if mode == "host" else "new",
        pid_mode=config.pid_mode,
        ipc_mode=config.ipc_mode,
        uts_mode=config.uts_mode,
        cgroupns_mode=config.cgroupns_mode,
        read_only=config.read_only,
        init=container.init,
        annotations=config.annotations,
    )


def ulimits(own: tuple[Ulimit, ...], given: tuple[Ulimit, ...]) -> tuple[Ulimit, ...]:
    """The container's limits over the daemon's."""
    if not given:
        return own
    named = {limit.name for limit in own}
    return (*own, *(limit for limit in given if limit.name not in named))


def cgroups_path(container: Container, given: Defaults) -> str:
    """Where ``--cgroup-parent`` or the daemon wants it; empty leaves it to the runtime."""
    parent = container.config.cgroup_parent or given.cgroup_parent
    return f"/{parent.strip('/')}/{container.id}" if parent else ""


def joins(engine: Engine, container: Container) -> dict[str, ProcessRef]:
    """Whose namespaces are shared. Raises NotFound, Conflict."""
    found: dict[str, ProcessRef] = {}
    config = container.config
    for kind, mode in (("network", config.network), ("pid", config.pid_mode), ("ipc", config.ipc_mode)):
        if not mode.startswith("container:"):
            continue
        ref = mode.removeprefix("container:")
        target = engine.registry.find(ref).container
        if not target.running:
            raise Conflict(f"cannot join {kind} of a non running container: {target.id}", subject=ref, hint="start it first")
        if kind == "ipc" and target.config.ipc_mode != "shareable":
            raise Conflict(
                f"cannot join IPC of the container {target.name}: non-shareable IPC",
                subject=ref,
                hint=f"start {target.name} with --ipc shareable",
            )
        found[kind] = target.process
    return found


def write_files(engine: Engine, container: Container, attachments: tuple[Attachment, ...]) -> dict[str, str]:
    """hosts, hostname and resolv.conf; a container that shares another's network shares its files as well."""
    config = container.config
    directory = container.directory
    if config.network.startswith("container:"):
        directory = engine.registry.find(config.network.removeprefix("container:")).container.directory
        return {**MARK, **{f"/etc/{name}": f"{directory}/{name}" for name in ("hosts", "hostname", "resolv.conf")}}
    host = config.network == "host"
    dns = engine.settings.dns
    addresses = [a for attachment in attachments for a in (attachment.address, attachment.address6) if a]
    gateway = host_gateway(engine, attachments)
    servers = config.dns or tuple(dns.servers) or tuple(s for attachment in attachments for s in attachment.nameservers)
    texts = {
        "hosts": host_hosts(config.extra_hosts, gateway)
        if host
        else files.hosts(addresses, container.hostname, config.domainname, config.extra_hosts, gateway),
        "hostname": f"{container.hostname}\n",
        "resolv.conf": files.resolv_conf(
            servers, config.dns_search or tuple(dns.search), config.dns_options or tuple(dns.options), keep_local=host
        ),
    }
    for name, text in texts.items():
        files.write(f"{directory}/{name}", text)
    return {**MARK, **{f"/etc/{name}": f"{directory}/{name}" for name in texts}}


def host_gateway(engine: Engine, attachments: tuple[Attachment, ...]) -> str:
    """What ``host-gateway`` stands for: what the daemon is told, else the network's gateway, on the host itself loopback."""
    for address in engine.settings.network.host_gateway_ips:
        return address
    for attachment in attachments:
        if attachment.namespace == "host":
            return "127.0.0.1"
        if attachment.gateway:
            return attachment.gateway
    return ""


def host_hosts(extra: tuple[str, ...], gateway: str) -> str:
    """On the host's network the host's own /etc/hosts holds, with what was asked for after it."""
    try:
        with open("/etc/hosts", encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except OSError:
        text = files.LOOPBACK
    return text + "".join(files.extra_lines(extra, gateway))


def make_source(path: str) -> None:
    """``-v`` makes a missing host directory, as in Docker."""
    try:
        os.makedirs(path, 0o755, exist_ok=True)
    except OSError as error:
        raise TareError(
            f"error while creating mount source path '{path}': {error.strerror}", subject=path, hint="create it yourself"
        ) from error


def process_of(container: Container, bundle: Bundle, wish: Exec) -> dict[str, Any]:
    """The OCI process of an exec."""
    return oci.exec_process(
        bundle.spec,
        wish.command,
        env=wish.env,
        cwd=wish.working_dir,
        user=wish.user,
        tty=wish.tty,
        privileged=wish.privileged,
    )
