"""Archives on their way to and from the daemon."""

from __future__ import annotations

import os
import stat

from tare.cli import render
from tare.errors import Invalid, TareError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PIECE = 1 << 18


def read(path: str) -> Iterator[bytes]:
    """The pieces of a file; ``-`` is standard input. Opens the file at once, so that a missing one is an early error."""
    fd = 0 if path == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    kind = os.fstat(fd)
    name = "standard input" if path == "-" else path
    if stat.S_ISDIR(kind.st_mode):
        raise Invalid(f"{name} is a directory, not an archive", subject=path)
    if stat.S_ISCHR(kind.st_mode) and not os.isatty(fd) and kind.st_rdev != os.stat(os.devnull).st_rdev:
        raise Invalid(f"{name} is a device, which may have no end, not an archive", subject=path)
    return _pieces(fd)


def _pieces(fd: int) -> Iterator[bytes]:
    while piece := os.read(fd, PIECE):
        yield piece


def write(path: str, pieces: Iterable[bytes]) -> None:
    """Write a file that is there whole or not at all: under another name first, then renamed. Raises Invalid, and OSError
    with the name as typed."""
    if os.path.isdir(path):
        raise Invalid(f"{path} is a directory: name a file", subject=path)
    try:
        _write(path, pieces)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None


def _write(path: str, pieces: Iterable[bytes]) -> None:
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb", buffering=0) as file:
            for piece in pieces:
                render.raw(file.fileno(), piece)
        return
    if not os.path.isdir(os.path.dirname(path) or "."):
        raise Invalid(f"{path}: there is no directory {os.path.dirname(path)}", subject=path, hint="make it first")
    part = f"{path}.{os.getpid()}.part"
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        for piece in pieces:
            render.raw(fd, piece)
        os.rename(part, path)
    except BaseException:
        os.unlink(part)
        raise
    finally:
        os.close(fd)


def progress(values: Iterable[dict[str, object]], *, quiet: bool = False) -> str:
    """Show what the daemon says while it works; the last status. Raises TareError for the error in it."""
    status = ""
    for value in values:
        detail = value.get("errorDetail")
        if detail or value.get("error"):
            message = detail.get("message") if isinstance(detail, dict) else None
            hint = detail.get("hint") if isinstance(detail, dict) else None
            raise TareError(str(message or value.get("error")), hint=str(hint or ""))
        status = str(value.get("status") or status)
        if value.get("stream") and not quiet:
            render.out(str(value["stream"]))
    return status
