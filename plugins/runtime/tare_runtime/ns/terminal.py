"""A container's own terminal: a pty of the devpts that the container sees (pty(7), ioctl_tty(2))."""

from __future__ import annotations

import fcntl
import os
import struct
import termios

from tare_runtime.ns.failure import failed, send_terminal

TIOCGPTPEER = 0x5441
TIOCSPTLCK = 0x40045431


def open_terminal(report: int, rows: int, columns: int) -> int:
    """Open a pty, give its master to the supervisor, and return the slave. The root is the container's already."""
    try:
        master = os.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        fcntl.ioctl(master, TIOCSPTLCK, struct.pack("i", 0))
        slave = fcntl.ioctl(master, TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        if rows and columns:
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    except OSError as error:
        raise failed("terminal", "opening a terminal in the container's /dev/pts", error) from None
    send_terminal(report, master)
    os.close(master)
    return slave


def take_control(slave: int) -> None:
    """Make the pty the controlling terminal of this session."""
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
