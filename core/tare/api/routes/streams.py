"""Attach and exec: where a connection stops being HTTP."""

from __future__ import annotations

import contextlib

from tare.api.answer import Answer, Hijacked, as_json
from tare.api.call import HIJACKED, Call
from tare.api.router import Route
from tare.api.routes.containers import size_of
from tare.api.shapes.containers import exec_inspect
from tare.api.shapes.create import console_size
from tare.api.shapes.members import Members
from tare.engine.attach import detach_keys
from tare.engine.values import AttachOptions
from tare.errors import Invalid, TareError
from tare.model.container import Exec


async def attach(call: Call) -> Hijacked:
    container = call.engine.container(call.ref)
    call.engine.attach_check(call.ref)
    tty = container.config.tty
    wanted = {name: call.flag(name) for name in ("stdin", "stdout", "stderr", "stream", "logs")}
    keys = call.text("detachKeys")
    detach_keys(keys)
    early = await call.hijack(multiplexed=not tty)
    try:
        options = AttachOptions(detach_keys=keys, initial=early, **wanted)
        await call.engine.attach(container.id, call.connection.sock, options)
    except TareError as error:
        await _say(call, f"Error attaching: {error}\r\n", 2, framed=not tty)
    return HIJACKED


async def exec_create(call: Call) -> Answer:
    body = Members(await call.json())
    command = body.words("Cmd")
    if not command:
        raise Invalid("No exec command specified", subject="Cmd", hint="name a command")
    body.take("Detach")
    wish = Exec(
        id="",
        container="",
        command=command,
        env=body.strings("Env"),
        user=body.text("User"),
        working_dir=body.text("WorkingDir"),
        tty=body.flag("Tty"),
        console_size=console_size(body),
        open_stdin=body.flag("AttachStdin"),
        attach_stdout=body.flag("AttachStdout"),
        attach_stderr=body.flag("AttachStderr"),
        privileged=body.flag("Privileged"),
        detach_keys=body.text("DetachKeys"),
    )
    body.take("Container")
    body.done()
    return as_json({"Id": call.engine.exec_create(call.ref, wish)}, 201)


async def exec_start(call: Call) -> Answer | Hijacked:
    body = Members(await call.json())
    detach = body.flag("Detach")
    body.flag("Tty")
    body.take("ConsoleSize")
    body.done()
    entry = call.engine.exec_inspect(call.ref)
    await call.engine.exec_check(call.ref)
    if detach:
        await call.engine.exec_start(call.ref, None, detach=True, tty=entry.tty)
        return Answer(200)
    early = await call.hijack(multiplexed=not entry.tty)
    try:
        await call.engine.exec_start(call.ref, call.connection.sock, detach=False, tty=entry.tty, initial=early)
    except TareError as error:
        # A command that cannot be run has been told to the client by then, and its stream is shut.
        with contextlib.suppress(OSError):
            await _say(call, f"{error}\r\n", 1, framed=not entry.tty)
    return HIJACKED


async def exec_inspect_(call: Call) -> Answer:
    return as_json(exec_inspect(call.engine.exec_inspect(call.ref)))


async def exec_resize(call: Call) -> Answer:
    rows, columns = size_of(call)
    await call.engine.exec_resize(call.ref, rows, columns)
    return Answer(200)


async def _say(call: Call, text: str, stream: int, *, framed: bool) -> None:
    """The head is out, so an error can only be told on the stream itself."""
    data = text.encode("utf-8", "replace")
    await call.connection.write(bytes((stream, 0, 0, 0)) + len(data).to_bytes(4, "big") + data if framed else data)


ROUTES = [
    Route("POST", "/containers/{ref}/attach", attach),
    Route("POST", "/containers/{ref}/exec", exec_create),
    Route("POST", "/exec/{ref}/start", exec_start),
    Route("POST", "/exec/{ref}/resize", exec_resize),
    Route("GET", "/exec/{ref}/json", exec_inspect_),
]
