"""start: the path from a recorded container to a running process. Read this file first.

layer → network (reserve, publish) → files → specification → plan → launch. Each step pushes its undo on the next line; when
the supervisor says that the process runs, the undos are dropped.
"""

from __future__ import annotations

import marshal
import os
import sys
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from tare.containers import logging
from tare.containers.container import Container
from tare.containers.registry import Entry
from tare.containers.states import move
from tare.drivers.runtime import Bundle, SupportsTemplate
from tare.engine import builds, networks, wait
from tare.engine import bundle as bundles
from tare.engine.clock import stamp
from tare.engine.persist import announce, record, save
from tare.engine.remove import take_away
from tare.engine.roster import Handle
from tare.errors import Conflict, NotModified, TareError
from tare.model.network import Attachment, Link
from tare.model.process import Launch

if TYPE_CHECKING:
    from tare.engine.engine import Engine

UNTOLD = 125
"""The exit code of a start that failed for want of anything better to blame."""


async def start(engine: Engine, ref: str) -> None:
    """Raises NotModified when it runs already, and whatever stands in the way; then nothing is left half made."""
    entry = engine.registry.find(ref)
    async with entry.lock:
        container = entry.container
        if container.state.status == "paused":
            raise Conflict("cannot start a paused container, try unpause instead", subject=ref)
        if container.running:
            raise NotModified(f"container {ref} is already running", subject=ref)
        if container.state.status not in ("created", "exited"):
            raise Conflict(f"container {ref} is {container.state.status} and cannot be started", subject=ref)
        before = container.state
        try:
            await launch(engine, entry)
        except BaseException as error:
            engine.supervision.tell("discard", {"container": container.id, "exec": ""})
            code = error.exit_code if isinstance(error, TareError) else UNTOLD
            container.state = move(before, before.status, error=str(getattr(error, "message", error)), exit_code=code)
            record(engine, container, durable=True)
            if container.config.auto_remove:
                await take_away(engine, entry)
            else:
                wait.notify(entry, "next-exit", code, container.state.error)
            raise
    announce(engine, container, "start")
    engine.plugins.after("tare_after_container_start", id=container.id, name=container.name, pid=container.state.pid)


async def launch(engine: Engine, entry: Entry) -> None:
    """Everything between the wish and execve. The caller holds the container's lock."""
    container = entry.container
    runtime = await engine.roster.open("runtime", container.runtime)
    async with AsyncExitStack() as undo:
        attachments = await networks.connect(engine, container, undo)
        bundle = await bundles.prepare(engine, container, attachments)
        plan: Launch = await runtime.call("plan", bundle)
        await warm(engine, runtime, plan.entry)
        at = time.time_ns()
        before = container.state
        container.state = move(
            before, "running", pid=0, error="", exit_code=0, oom_killed=False, started_at=stamp(at), finished_at=""
        )
        undo.callback(setattr, container, "state", before)
        save(engine, container, durable=False)
        answer = await engine.supervision.ask("start", request(container, plan, bundle, attachments), mount_fds(bundle))
        undo.pop_all()
    engine.spares.expect(container.id)
    container.state = move(
        container.state, "running", pid=answer["pid"], start_time=answer["start_time"], started_at=stamp(answer["started_at"])
    )
    for warning in answer.get("warnings", ()):
        bundles.log.warning("container %s: %s", container.name, warning)


def request(container: Container, launch: Launch, bundle: Bundle, attachments: tuple[Attachment, ...]) -> dict[str, Any]:
    """The body of ``start`` (tare.supervisor.messages)."""
    config = container.config
    log = None
    if container.log_driver != "none":
        max_size, max_file = logging.rotation(container.log_options)
        log = {"driver": container.log_driver, "path": container.log_path, "max_size": max_size, "max_file": max_file}
    return {
        "container": container.id,
        "exec": "",
        "runtime": container.runtime,
        "launch": fields(launch),
        "links": [link_fields(link) for attachment in attachments for link in attachment.links],
        "tty": config.tty,
        "stdin": config.open_stdin,
        "stdin_once": config.stdin_once,
        "log": log,
        "exit_record": os.path.join(container.directory, "exit"),
        "size": list(config.console_size),
        "mount_fds": [index for index, mount in enumerate(bundle.rootfs) if mount.fd >= 0],
    }


def mount_fds(bundle: Bundle) -> list[int]:
    return [mount.fd for mount in bundle.rootfs if mount.fd >= 0]


def fields(launch: Launch) -> dict[str, Any]:
    """A Launch as the supervisor takes it."""
    return {
        "entry": launch.entry,
        "plan": marshal.dumps(dict(launch.plan), 2),
        "namespaces": launch.namespaces,
        "pid_namespace": launch.pid_namespace,
        "cgroups": list(launch.cgroups),
        "clone_cgroup": launch.clone_cgroup,
        "argv": list(launch.argv),
        "pid_file": launch.pid_file,
    }


def link_fields(link: Link) -> Mapping[str, Any]:
    return {
        "kind": link.kind,
        "name": link.name,
        "host_name": link.host_name,
        "parent": link.parent,
        "mac": link.mac,
        "mtu": link.mtu,
        "addresses": list(link.addresses),
        "routes": [{"destination": route.destination, "gateway": route.gateway} for route in link.routes],
        "options": dict(link.options),
    }


async def warm_up(engine: Engine) -> None:
    """Have the default runtime's template loaded while others work; a start that comes meanwhile waits for it, and is told what
    is wrong with it."""
    try:
        runtime = await engine.roster.open("runtime", engine.settings.runtime.default)
        if runtime.supports(SupportsTemplate):
            for entry in await runtime.call("entries"):
                await warm(engine, runtime, entry)
    except TareError as error:
        bundles.log.warning("%s", error)


async def warm(engine: Engine, runtime: Handle, entry: str) -> None:
    """Have the runtime's template loaded once for each supervisor."""
    key = f"{runtime.name} {entry}"
    loaded = engine.templates  # of this supervisor: the next one has a set of its own
    if not entry or key in loaded:
        return
    path = [path for path in sys.path if path]
    body = {"runtime": runtime.name, "entry": entry, "path": path, "build": builds.of(entry)}
    await engine.supervision.ask("template", body, again=True)
    loaded.add(key)
