"""Everything that tared, the supervisor, its templates, its logger and its janitor say to each other.

Transport: AF_UNIX SOCK_SEQPACKET, one message a packet, descriptors by SCM_RIGHTS. A message is
``marshal.dumps((kind, serial, body), 2)``: ``kind`` a string named below, ``serial`` an integer chosen by the asker (0
in events, and where no answer is wanted: then a failure is the supervisor's to note), ``body`` a dict of None, bool, int,
float, str, bytes, list, tuple, dict. A packet over LIMIT travels as a sealed memfd: the packet is then ``("memfd", serial,
{"size": n})`` and the descriptor comes *last*.

tared → supervisor; each is answered by ``("ok", serial, {...})`` or
``("error", serial, {"kind", "message", "subject", "hint", "exit_code"})`` (tare.errors.from_fields):

    hello      {"versions": [oldest, newest], "pid": int}
               → {"version": int, "pid": int, "build": str, "processes": [process, ...], "held": [owner, ...]}
               process = {"container", "exec", "pid", "start_time", "started_at", "exit": None | exit, "adopted": bool}
               "adopted": it was started by another supervisor, and its streams are not here (see resume)
               exit = {"code": int 0..255, "signal": int or 0, "oom": bool, "at": ns since the epoch}, and "unknown": True with
               code 255 when the supervisor has changed meanwhile and nobody can tell; "started_at" is ns since the epoch too
    template   {"runtime": name, "entry": "module:function", "path": [directories for sys.path], "build": str}
               make sure that a template for this runtime runs, and that it has loaded this build of the code: another one's is
               replaced, since the plans are made for this one → {}; Unavailable when the entry cannot be imported, or not in
               half a minute
    start      {"container", "exec": "" or id, "runtime", "launch": launch, "links": [link, ...], "tty": bool,
                "stdin": bool, "stdin_once": bool, "log": log or None, "exit_record": path or "", "size": [rows, columns],
                "mount_fds": [index, ...], "client": None or what attach has but for whom}
                + descriptors in the order of mount_fds, then the client's socket
               launch = the fields of tare.model.process.Launch as a dict, with plan marshalled since only the template
               looks into it; link = those of tare.model.network.Link
               log = {"driver": "local" | "json-file" | "none", "path": str, "max_size": bytes or 0, "max_file": int}
               → {"pid", "start_time", "started_at", "warnings": [str]}; on error nothing is left running
               error fields as above, exit_code 127 for "not found", 126 for "cannot be executed", else 125
    attach     {"id": str, "container", "exec", "stdin": bool, "stdout": bool, "stderr": bool, "framed": bool,
                "detach_keys": bytes, "initial": bytes}  + one stream socket
               may come before start: nothing that the process writes is missed. The socket is closed by the supervisor
               when the process has ended and all output is delivered. → {}
               With "replay": True, of a running process, its output waits until ``play``: the asker shows the log before it
               → {"inode", "size"} of the log file where that output begins, {} when that is not known; NotFound
    play       {"id"} the output may follow now; a client without it is closed when the asker goes → {}
    discard    {"container", "exec"}  forget attachments that wait for a start which will not come → {}
    signal     {"container", "exec", "signal": int} → {}; NotFound when not running
    resize     {"container", "exec", "rows", "columns"} → {}
    spares     {"container", "exec"} copies of what it writes to, to be kept for a later supervisor
               → {"streams": ["stdout", "stderr"] or ["terminal"], fewer when it has closed some, "stdin": bool, "log": log or
               None, "pid", "start_time"} + a descriptor for each stream; never the writing end of a stdin, whose end would
               then not come
    resume     {"container", "exec", and the answer of spares} + those descriptors: read on and log on; only for a process
               that is "adopted"; of one that has ended by now the last words are logged. With "stdin" (of a terminal) clients
               may type again → {}
    flush      {"container"} everything read from it so far is in its log file → {}
    acknowledge {"container", "exec"} the exit is recorded; the exit record may be deleted → {}
    clean      {"paths": [path, ...]} delete in the background → {}
    forget     {"container", "paths"} it is removed: discard, acknowledge and clean in one → {}
    hold       {"owner": container id, "forwards": [[protocol, address, port], ...], "sockets": n}
               + n bound sockets, then one listening socket a forward; kept until released; several for one owner add up → {}
    release    {"owner"} → {} when the ports are free
    stop       {} end the supervisor; Conflict while processes run → {}

supervisor → tared, unasked:

    exit       {"container", "exec", "pid", "code", "signal", "oom", "at"}; repeated after hello until acknowledged
    detached   {"container", "exec", "id"}  a client left by its detach keys

An exit of a container (not of an exec) is first written to ``exit_record`` (renamed into place): one line
``code signal oom at``, decimal. The record of 128+signal is the exit code of a process that a signal ended.

supervisor → template: ``("clone", serial, {"launch", "tty", "fds": [names in order]})`` + descriptors; the template answers
``("cloned", serial, {"pid"})`` or ``("error", serial, …)``; the clone is the supervisor's child (CLONE_PARENT).

Attached streams are Docker's: with ``framed`` each chunk has the header ``[stream, 0, 0, 0, size as big-endian u32]``
(stream 1 stdout, 2 stderr), without it raw bytes. What the client sends is the process's stdin. Its half-close (or end) closes
stdin when stdin_once, and output goes on; else it ends this attachment alone and stdin stays open for the next, as in Docker.
A terminal's stdin is never closed.
"""

from __future__ import annotations

import marshal
import os
import sys

from tare.errors import TareError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from typing import Any

    Body = dict[str, Any]
else:
    import _socket as socket  # socket itself brings selectors and enum along: a quarter of a template's memory

    Body = dict

VERSION = 1
OLDEST = 1
LIMIT = 180 * 1024
MAX_FDS = 250

_FD = 4
"""Bytes of a descriptor among SCM_RIGHTS (unix(7))."""
_RIGHTS = socket.CMSG_SPACE(_FD * MAX_FDS)


def encode(kind: str, serial: int, body: Body) -> tuple[bytes, int]:
    """The packet and a memfd to append to its descriptors (or -1)."""
    packet = marshal.dumps((kind, serial, body), 2)
    if len(packet) <= LIMIT:
        return packet, -1
    fd = os.memfd_create("tare-message", os.MFD_CLOEXEC)
    view = memoryview(packet)
    while view:
        view = view[os.write(fd, view) :]
    return marshal.dumps(("memfd", serial, {"size": len(packet)}), 2), fd


def decode(packet: bytes | memoryview, fds: list[int]) -> tuple[str, int, Body]:
    """The message of a packet. Takes a memfd off ``fds`` and closes it. Raises ValueError for what is no message."""
    try:
        kind, serial, body = marshal.loads(packet)
        if kind == "memfd":
            fd = fds.pop()
            try:
                kind, serial, body = marshal.loads(os.pread(fd, body["size"], 0))
            finally:
                os.close(fd)
    except (EOFError, TypeError, KeyError, IndexError) as error:
        raise ValueError(f"not a message: {error}") from error
    return kind, serial, body


def send(sock: socket.socket, kind: str, serial: int, body: Body, fds: tuple[int, ...] | list[int] = ()) -> None:
    """Send one message. The descriptors stay the caller's. Raises OSError as sendmsg(2) does."""
    packet, large = encode(kind, serial, body)
    try:
        every = [*fds, large] if large >= 0 else list(fds)
        sock.sendmsg([packet], rights(every) if every else (), socket.MSG_NOSIGNAL)
    finally:
        if large >= 0:
            os.close(large)


def rights(fds: Sequence[int]) -> list[tuple[int, int, bytes]]:
    """Descriptors as what goes beside a packet (unix(7))."""
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, b"".join([fd.to_bytes(_FD, sys.byteorder) for fd in fds]))]


def buffer() -> memoryview:
    """Room for any packet, for a receiver to use again and again."""
    return memoryview(bytearray(LIMIT + 4096))


def receive(sock: socket.socket, room: memoryview | None = None) -> tuple[str, int, Body, list[int]] | None:
    """Receive one message, or None at the end. Descriptors are close-on-exec. Raises BlockingIOError, ValueError. Who
    receives often brings ``room`` (of ``buffer``): a new one each time is paid for with fresh pages."""
    room = buffer() if room is None else room
    length, ancillary, _flags, _address = sock.recvmsg_into([room], _RIGHTS, socket.MSG_CMSG_CLOEXEC)
    packet = room[:length]
    fds: list[int] = []
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.extend(memoryview(data)[: len(data) // _FD * _FD].cast("i"))
    if not length:
        for fd in fds:
            os.close(fd)
        return None
    message = decode(packet, fds)
    return (*message, fds)


def fields(error: TareError) -> Body:
    """An error as the body of ``error``; tare.errors.from_fields is the way back."""
    return {
        "kind": error.kind,
        "message": error.message,
        "subject": error.subject,
        "hint": error.hint,
        "exit_code": error.exit_code,
    }


def close_all(fds: Sequence[int]) -> None:
    """Close descriptors; -1 and what is closed already are passed over."""
    for fd in fds:
        if fd >= 0:
            try:
                os.close(fd)
            except OSError:
                continue
