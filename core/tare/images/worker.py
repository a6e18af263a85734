"""The process that does what is heavy: unpacking, hashing, decompressing.

Started by tare.images.workers. One JSON object comes in on standard input; on standard output go JSON lines: any number of
``{"image": …}`` (load, import), then ``{"done": …}`` or ``{"error": {kind, message, subject, hint}}``.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tare.errors import Exhausted, Internal, TareError
from tare.images.blobs import Blobs, Session


def main() -> None:
    request = json.loads(sys.stdin.buffer.readline())
    try:
        _say({"done": JOBS[request["job"]](request)})
    except BrokenPipeError:
        os._exit(1)
    except TareError as error:
        _fail(error)
    except OSError as error:
        text = f"{(error.strerror or str(error)).lower()}{f': {error.filename}' if error.filename else ''}"
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        place = "" if error.filename else f": {request['root']}"
        _fail(Exhausted(text + place, hint="free some space in the data-root") if full else Internal(text))
    except MemoryError:
        _fail(Exhausted("out of memory"))


def _say(message: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(message).encode() + b"\n")
    sys.stdout.buffer.flush()


def _fail(error: TareError) -> None:
    fields = {"kind": error.kind, "message": error.message, "subject": error.subject, "hint": error.hint}
    _say({"error": fields})


def _load(request: dict[str, Any]) -> None:
    from tare.images.loading import load

    blobs = Blobs(Path(request["root"]))
    session = Session(blobs)
    try:
        with os.fdopen(request["source"], "rb") as source:
            platform = request["platform"]
            for image in load(blobs, session, source, tuple(platform) if platform else None):
                _say({"image": {**image, "session": session.path}})
                sys.stdin.buffer.readline()
    finally:
        session.remove()


def _import(request: dict[str, Any]) -> None:
    from tare.images.importing import import_tree

    blobs = Blobs(Path(request["root"]))
    session = Session(blobs)
    try:
        with os.fdopen(request["source"], "rb") as source:
            image = import_tree(session, source, request["config"], request["message"], request["platform"])
        _say({"image": {**image, "session": session.path}})
        sys.stdin.buffer.readline()
    finally:
        session.remove()


def _unpack(request: dict[str, Any]) -> int:
    from tare.images.unpacking import DriverSpec, unpack

    return unpack(Blobs(Path(request["root"])), DriverSpec(**request["driver"]), request["layers"])


JOBS: dict[str, Callable[[dict[str, Any]], Any]] = {"load": _load, "import": _import, "unpack": _unpack}

if __name__ == "__main__":
    main()
