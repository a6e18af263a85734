"""What the child says to the supervisor (tare.drivers.runtime): warnings, its pty, and why it could not go on."""

from __future__ import annotations

import errno
import marshal
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import NoReturn
else:
    import _socket as socket  # socket itself brings selectors and enum along: a quarter of a template's memory


LONGEST = 4096
"""Characters of a failure's text."""


class Failure(Exception):
    """A stage of the start that did not work. ``number`` is an errno or 0; ``text`` is what the user reads."""

    def __init__(self, stage: str, number: int, text: str) -> None:
        super().__init__(text)
        self.stage = stage
        self.number = number
        self.text = text


def failed(stage: str, what: str, error: OSError) -> Failure:
    """A Failure whose text ends in the kernel's words, in lower case."""
    return Failure(stage, error.errno or 0, f"{what}: {reason(error)}")


def reason(error: OSError) -> str:
    """``permission denied`` …"""
    return (os.strerror(error.errno) if error.errno else str(error)).lower()


def warn(report: int, text: str) -> None:
    """Something that was asked for cannot be had on this host; the container starts without it."""
    os.write(report, marshal.dumps(("warning", text), 2))


def send_terminal(report: int, master: int) -> None:
    """Give the pty's master away."""
    channel = socket.socket(fileno=report)
    try:
        rights = master.to_bytes(4, sys.byteorder)
        channel.sendmsg([marshal.dumps(("pty",), 2)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    finally:
        channel.detach()


def give_up(report: int, error: BaseException) -> NoReturn:
    """Report and end this process."""
    if not isinstance(error, Failure):
        number = error.errno or 0 if isinstance(error, OSError) else errno.EPROTO
        error = Failure("setup", number, f"the container cannot be set up: {error}")
    text = error.text
    if len(text) > LONGEST:
        # what was typed may be longer than a packet can be; the reason stands at the end
        text = f"{text[: LONGEST // 2]} … {text[-LONGEST // 2 :]}"
    os.write(report, marshal.dumps(("failed", error.stage, error.number, text), 2))
    os._exit(125)
