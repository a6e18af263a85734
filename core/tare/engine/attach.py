"""attach: a client's socket goes to the supervisor, which speaks with it from then on."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import struct
import termios
from typing import TYPE_CHECKING

from tare.containers.container import Container
from tare.engine import logs
from tare.engine.persist import announce
from tare.engine.values import AttachOptions
from tare.errors import Conflict, Invalid
from tare.model.container import LogOptions
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
    if options.logs:
        await replay(engine, container, conn, options)
    if not options.stream:
        return
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
    if container.state.status in ("exited", "dead") and options.logs:
        return
    engine.supervision.tell("attach", body, [conn.fileno()])
    announce(engine, container, "attach")


async def replay(engine: Engine, container: Container, conn: socket.socket, options: AttachOptions) -> None:
    """What was written before, in the same framing as what follows."""
    loop = asyncio.get_running_loop()
    await head_read(conn)
    wanted = LogOptions(stdout=options.stdout, stderr=options.stderr)
    conn.setblocking(False)
    async for record in await logs.logs(engine, container.id, wanted):
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
