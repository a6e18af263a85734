"""Telling whoever started the daemon that it serves: systemd by sd_notify(3), a command line by a pipe."""

from __future__ import annotations

import contextlib
import os
import socket


def notify(state: str) -> None:
    """One message (``READY=1``, ``STOPPING=1`` …) to $NOTIFY_SOCKET, if systemd gave one; errors are not ours to report."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.connect("\0" + address[1:] if address.startswith("@") else address)
        sock.sendall(state.encode())


class Starter:
    """The pipe of ``--ready-fd``: a newline when the daemon serves, or the text of the error that ends it; then closed."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        if fd >= 0:
            os.set_inheritable(fd, False)

    def ready(self) -> None:
        self._say(b"\n")

    def failed(self, text: str) -> None:
        self._say(text.encode("utf-8", "replace"))

    def _say(self, data: bytes) -> None:
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.write(self._fd, data)
            with contextlib.suppress(OSError):
                os.close(self._fd)
            self._fd = -1
