"""top: the host's ps(1), restricted to the container's processes."""

from __future__ import annotations

import asyncio
import shlex
from asyncio.subprocess import PIPE
from typing import TYPE_CHECKING

from tare.errors import Conflict, Internal, Invalid, Unavailable

if TYPE_CHECKING:
    from tare.engine.engine import Engine


async def top(engine: Engine, ref: str, ps_args: str) -> tuple[list[str], list[list[str]]]:
    """Titles and rows. Raises Conflict when it does not run, Invalid for arguments that ps refuses or that hide PID."""
    container = engine.registry.find(ref).container
    if not container.running:
        raise Conflict(f"container {container.id} is not running", subject=ref)
    runtime = await engine.roster.open("runtime", container.runtime)
    wanted = {str(pid) for pid in await runtime.call("processes", container.process)}
    try:
        arguments = shlex.split(ps_args or "-ef")
        process = await asyncio.create_subprocess_exec("ps", *arguments, stdout=PIPE, stderr=PIPE)
    except ValueError as error:
        raise Invalid(f"cannot read the ps arguments {ps_args}: {error}", subject=ps_args) from error
    except FileNotFoundError as error:
        raise Unavailable("ps is not installed on the host", hint="apt-get install procps") from error
    out, complaint = await process.communicate()
    if process.returncode:
        reason = complaint.decode(errors="replace").strip().partition("\n")[0]
        raise Invalid(f"ps: {reason.removeprefix('error: ')}", subject=ps_args)
    lines = out.decode(errors="replace").splitlines()
    if not lines:
        raise Internal("ps printed nothing")
    titles = lines[0].split()
    if "PID" not in titles:
        raise Invalid(f"Couldn't find PID field in ps output: {ps_args}", subject=ps_args, hint="add a pid column")
    column = titles.index("PID")
    rows = [line.split(None, len(titles) - 1) for line in lines[1:]]
    return titles, [row for row in rows if len(row) > column and row[column] in wanted]
