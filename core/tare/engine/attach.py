"""attach: a client's socket goes to the supervisor, which speaks with it from then on."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import struct
import termios
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tare.containers.container import Container
from tare.engine import logs
from tare.engine.persist import announce
from tare.engine.values import AttachOptions
from tare.errors import Conflict, Invalid, NotFound
from tare.supervisor import logfiles
from tare.supervisor.attach import HEAD_PATIENCE, HEAD_PAUSE

if TYPE_CHECKING:
    from tare.engine.engine import Engine

DETACH = "ctrl-p,ctrl-q"


def detach_keys(text: str) -> bytes:
    """``ctrl-p,ctrl-q`` as bytes. Raises Invalid."""
    keys = bytearray()
    for word in (text or DETACH).split(","):
        key = word.strip()
        if len(key) == 1:
            keys += key.encode()
        elif key.startswith("ctrl-") and len(key) == 6 and 0x40 <= ord(key[5].upper()) <= 0x5F:
            keys.append(ord(key[5].upper()) & 0x1F)
        else:
            raise Invalid(f"Invalid detach keys ({text}): unknown key {key}", subject=text, hint="such as ctrl-p,ctrl-q")
    return bytes(keys)


def check(engine: Engine, ref: str) -> Container:
    """What attach would refuse before it says anything. Raises NotFound, Conflict."""
    container = engine.registry.find(ref).container
    if container.state.status == "paused":
        raise Conflict(f"Container {ref} is paused, unpause the container before attach", subject=ref)
    if engine.spares.lost(container.id):
        raise Conflict(
            f"the streams of container {container.name} are lost: supervisor and daemon were killed at once",
            subject=ref,
            hint="it runs on; restart it to attach again",
        )
    return container


async def attach(engine: Engine, ref: str, conn: socket.socket, options: AttachOptions) -> None:
    """Allowed before the start: then nothing that the process writes is missed. The caller closes its own copy."""
    container = check(engine, ref)
    keys = detach_keys(options.detach_keys)
    body = {
        "id": os.urandom(8).hex(),
        "container": container.id,
        "exec": "",
        "stdin": options.stdin and container.config.open_stdin,
        "stdout": options.stdout,
        "stderr": options.stderr,
        "framed": not container.config.tty,
        "detach_keys": keys,
        "initial": options.initial,
    }
    if options.logs:
        if not await replay(engine, container, conn, options, body):
            return
    elif not options.stream:
        return
    else:
        engine.supervision.tell("attach", body, [conn.fileno()])
    announce(engine, container, "attach")


async def replay(
    engine: Engine, container: Container, conn: socket.socket, options: AttachOptions, body: dict[str, Any]
) -> bool:
    """What was written before, in the same framing as what follows, which begins with the byte after it. Whether it does follow:
    nothing does of what has ended."""
    logs.check(container)
    entry = engine.registry.get(container.id)
    if entry is not None and container.running and not container.state.pid:
        async with entry.lock:  # a start that is on its way
            pass
    await head_read(conn)
    conn.setblocking(False)
    await logs.flush(engine, container)
    log = logfiles.Replay(container.log_path, container.log_driver, stdout=options.stdout, stderr=options.stderr)
    try:
        await say(conn, container, log.read())
        if options.stream and container.running:
            try:
                place = await engine.supervision.ask("attach", {**body, "replay": True}, [conn.fileno()])
            except NotFound:
                await logs.flush(engine, container)  # it has just ended
            else:
                try:
                    await say(conn, container, log.rest(place.get("inode", 0), place.get("size", 0)))
                finally:
                    engine.supervision.tell("play", {"id": body["id"]})
                return True
        await say(conn, container, log.rest(0, 0))
    finally:
        log.close()
    follows = options.stream and container.state.status == "created"
    if follows:
        engine.supervision.tell("attach", body, [conn.fileno()])
    return follows


async def say(conn: socket.socket, container: Container, lines: Iterator[logfiles.Line]) -> None:
    """Lines of a log, as a stream."""
    loop = asyncio.get_running_loop()
    async for record in logs.records(lines):
        head = b"" if container.config.tty else struct.pack(">BxxxI", record.stream, len(record.data))
        await loop.sock_sendall(conn, head + record.data)


async def head_read(conn: socket.socket) -> None:
    """Wait a while until the client has read the head of its answer: docker-py loses what it reads together with that."""
    waiting = bytearray(4)
    pause = HEAD_PAUSE
    while pause <= HEAD_PATIENCE:
        try:
            fcntl.ioctl(conn.fileno(), termios.TIOCOUTQ, waiting)  # SIOCOUTQ of unix(7) is the same number
        except OSError:
            return
        if not any(waiting):
            return
        await asyncio.sleep(pause)
        pause *= 2


async def resize(engine: Engine, ref: str, rows: int, columns: int) -> None:
    """Raises Conflict when it does not run."""
    container = engine.registry.find(ref).container
    if not container.running:
        raise Conflict(f"cannot resize a stopped container: {ref}", subject=ref)
    body = {"container": container.id, "exec": "", "rows": rows, "columns": columns}
    await engine.supervision.ask("resize", body, again=True)
    announce(engine, container, "resize", height=str(rows), width=str(columns))
