"""Everything that the command line prints, and nothing else prints."""

from __future__ import annotations

import posix

from tare.errors import TareError


def out(text: str) -> None:
    """Write text to standard output, as it is."""
    raw(1, text.encode("utf-8", "surrogateescape"))


def line(text: str) -> None:
    out(text + "\n")


def note(text: str) -> None:
    """A line on standard error that is no error. Where that cannot be written there is nobody to tell."""
    try:
        raw(2, text.encode("utf-8", "surrogateescape") + b"\n")
    except OSError:
        return


def failure(error: TareError) -> None:
    """``tare: what happened`` and, on a line of its own, the cure."""
    message = error.message
    if error.hint and error.hint not in message:
        message += f"\n  {error.hint}"
    note(f"tare: {message}")


def raw(fd: int, data: bytes | memoryview) -> None:
    """Write bytes to a descriptor that may take them in pieces, or be a terminal that is not blocking. Raises OSError with
    the stream's name."""
    view = memoryview(data)
    while view:
        try:
            view = view[posix.write(fd, view) :]
        except BlockingIOError:
            import select

            select.select([], [fd], [])
        except OSError as error:
            raise OSError(error.errno, error.strerror, "standard output" if fd == 1 else None) from None
