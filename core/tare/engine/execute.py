"""exec: further processes in a running container."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tare.containers.container import Container
from tare.containers.names import new_id
from tare.engine import attach as attaching
from tare.engine import bundle as bundles
from tare.engine.persist import announce
from tare.engine.roster import Handle
from tare.engine.start import fields, warm
from tare.errors import Conflict, Invalid, NotFound, TareError
from tare.model.container import Exec
from tare.model.process import Launch

if TYPE_CHECKING:
    from tare.engine.engine import Engine

CANNOT_RUN = 126
"""Exit code of an exec that did not come to run; 125 belongs to containers."""

KEPT_SECONDS = 300.0
"""How long an ended exec can still be inspected, as in Docker."""

MOST_PLANS = 64
"""Plans that are kept for execs which are created and not yet started."""


def create(engine: Engine, ref: str, wish: Exec) -> str:
    """Record the wish. Raises Conflict when the container does not run."""
    container = running(engine, ref)
    if wish.working_dir and not wish.working_dir.startswith("/"):
        raise Invalid(
            f"the working directory '{wish.working_dir}' is invalid, it needs to be an absolute path", subject=wish.working_dir
        )
    forget_old(engine)
    id = new_id()
    attaching.detach_keys(wish.detach_keys)
    made = replace(wish, id=id, container=container.id)
    engine.execs[id] = container.execs[id] = made
    announce(engine, container, f"exec_create: {' '.join(wish.command)}", execID=id)
    engine.spawn(plan_ahead(engine, container, made), f"planning exec {id[:12]}")
    return id


async def plan_ahead(engine: Engine, container: Container, wish: Exec) -> None:
    """While the client prepares its next request, which asks for the start. What stands in the way is told then."""
    target = container.process
    with contextlib.suppress(TareError):
        runtime = await engine.roster.open("runtime", container.runtime)
        engine.exec_plans[wish.id] = target, await plan(engine, runtime, container, wish)
    if len(engine.exec_plans) > MOST_PLANS:
        del engine.exec_plans[next(iter(engine.exec_plans))]


async def plan(engine: Engine, runtime: Handle, container: Container, wish: Exec) -> Launch:
    bundle = bundles.without_mounts(engine, container)
    process = bundles.process_of(container, bundle, wish)
    launch: Launch = await runtime.call("plan_exec", process, bundle, container.process)
    return launch


def running(engine: Engine, ref: str) -> Container:
    container = engine.registry.find(ref).container
    if container.state.status == "paused":
        raise Conflict(f"Container {ref} is paused, unpause the container before exec", subject=ref)
    if not container.running or not container.state.pid:
        raise Conflict(f"container {container.id} is not running", subject=ref)
    return container


def find(engine: Engine, id: str) -> Exec:
    found = engine.execs.get(id)
    if found is None:
        raise NotFound(f"No such exec instance: {id}", subject=id)
    return found


def check(engine: Engine, id: str) -> tuple[Exec, Container]:
    """What start would refuse before it says anything."""
    wish = find(engine, id)
    container = running(engine, wish.container)
    if wish.running:
        raise Conflict(f"exec {id} is already running", subject=id)
    if wish.exit_code is not None:
        raise Conflict(f"exec {id} has already run", subject=id)
    return wish, container


async def start(engine: Engine, id: str, conn: socket.socket | None, *, detach: bool, tty: bool, initial: bytes = b"") -> None:
    """Start it; with ``conn`` its streams are attached from the first byte.

    A command that cannot be run raises with exit_code 126 or 127; with ``conn`` the text also goes to the client, which
    has already been told that the stream begins.
    """
    wish, container = check(engine, id)
    note(engine, replace(wish, running=True))
    # Told first, as Docker does: a short command has ended before the answer to its start is heard.
    announce(engine, container, f"exec_start: {' '.join(wish.command)}", execID=id)
    key = {"container": container.id, "exec": id}
    try:
        runtime = await engine.roster.open("runtime", container.runtime)
        target, launch = engine.exec_plans.pop(id, (None, None))
        if launch is None or target != container.process:
            launch = await plan(engine, runtime, container, wish)
        await warm(engine, runtime, launch.entry)
        client, fds = None, []
        if conn is not None and not detach:
            client, fds = attachment(wish, initial), [conn.fileno()]
        answer = await engine.supervision.ask(
            "start",
            {
                **key,
                "client": client,
                "runtime": container.runtime,
                "launch": fields(launch),
                "links": [],
                "tty": wish.tty,
                "stdin": wish.open_stdin,
                "stdin_once": True,
                "log": None,
                "exit_record": "",
                "size": list(wish.console_size),
                "mount_fds": [],
            },
            fds,
        )
    except BaseException as error:
        engine.supervision.tell("discard", key)
        code = error.exit_code if isinstance(error, TareError) and error.exit_code != 125 else CANNOT_RUN
        note(engine, replace(wish, running=False, exit_code=code))
        engine.exec_ended[id] = time.monotonic()
        if isinstance(error, TareError) and conn is not None and not detach:
            await say(conn, wish, f"OCI runtime exec failed: {error.message}\r\n")
        raise
    engine.spares.expect(container.id, id)
    current = engine.execs.get(id)
    if current is not None and current.exit_code is None:
        note(engine, replace(current, pid=answer["pid"], start_time=answer["start_time"]))


def attachment(wish: Exec, initial: bytes) -> dict[str, Any]:
    """Who is attached from the first byte on, as the body of ``start`` has it."""
    return {
        "id": os.urandom(8).hex(),
        "stdin": wish.open_stdin,
        "stdout": wish.attach_stdout,
        "stderr": wish.attach_stderr,
        "framed": not wish.tty,
        "detach_keys": attaching.detach_keys(wish.detach_keys),
        "initial": initial,
    }


async def say(conn: socket.socket, wish: Exec, text: str) -> None:
    """Tell the attached client why nothing runs."""
    data = text.encode()
    head = b"" if wish.tty else struct.pack(">BxxxI", 2, len(data))
    try:
        conn.setblocking(False)
        await asyncio.get_running_loop().sock_sendall(conn, head + data)
        conn.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def note(engine: Engine, exec: Exec) -> None:
    """Replace the record of an exec."""
    entry = engine.registry.get(exec.container)
    if entry is not None and exec.id in engine.execs:
        engine.execs[exec.id] = entry.container.execs[exec.id] = exec


def ended(engine: Engine, body: dict[str, Any]) -> None:
    """The supervisor reports the exit of an exec."""
    body = engine.spares.complete(body["container"], body["exec"], body)
    wish = engine.execs.get(body["exec"])
    if wish is None or (not wish.running and (body.get("unknown") or body["code"] == wish.exit_code)):
        return  # it has been told before
    note(engine, replace(wish, running=False, exit_code=body["code"]))
    engine.exec_ended[wish.id] = time.monotonic()
    entry = engine.registry.get(wish.container)
    if entry is not None:
        announce(engine, entry.container, "exec_die", execID=wish.id, exitCode=str(body["code"]))


def container_ended(engine: Engine, container: Container) -> None:
    """Every exec of an ended container has ended with it; one that was never started cannot start any more."""
    for exec in list(container.execs.values()):
        if exec.running:
            note(engine, replace(exec, running=False, exit_code=137))
            announce(engine, container, "exec_die", execID=exec.id, exitCode="137")
        engine.exec_ended.setdefault(exec.id, time.monotonic())


def adopt(engine: Engine, process: dict[str, Any]) -> None:
    """An exec that runs since before this daemon started, unless it is known."""
    entry = engine.registry.get(process["container"])
    if entry is None or process["exec"] in engine.execs:
        return
    exec = Exec(
        id=process["exec"],
        container=entry.container.id,
        command=(),
        running=True,
        pid=process["pid"],
        start_time=process["start_time"],
    )
    engine.execs[exec.id] = entry.container.execs[exec.id] = exec


def forget_old(engine: Engine) -> None:
    limit = time.monotonic() - KEPT_SECONDS
    while engine.exec_ended:
        id, at = next(iter(engine.exec_ended.items()))  # the oldest: they are noted as they end
        if at >= limit:
            return
        del engine.exec_ended[id]
        old = engine.execs.pop(id, None)
        entry = engine.registry.get(old.container) if old is not None else None
        if entry is not None:
            entry.container.execs.pop(id, None)


async def resize(engine: Engine, id: str, rows: int, columns: int) -> None:
    wish = find(engine, id)
    if not wish.running:
        raise Conflict(f"exec {id} is not running", subject=id)
    body = {"container": wish.container, "exec": id, "rows": rows, "columns": columns}
    await engine.supervision.ask("resize", body, again=True)
