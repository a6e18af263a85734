"""Streams carried by a real process over real sockets and pipes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading

import pytest

CARRY = """
import sys, _socket
from tare.cli import streams
from tare.client.connection import Connection

class Given(Connection):
    def __init__(self, fd, early):
        self.sock = _socket.socket(fileno=fd)
        self.buffer = early

left = streams.attend(Given(int(sys.argv[1]), bytes.fromhex(sys.argv[2])), streams.Output(framed=sys.argv[3] == "framed"),
                      stdin=sys.argv[4] == "in", keys=bytes.fromhex(sys.argv[5]))
sys.exit(9 if left else 0)
"""


def frame(stream: int, data: bytes) -> bytes:
    return bytes((stream, 0, 0, 0)) + len(data).to_bytes(4, "big") + data


class Carrier:
    """The process that carries, and the daemon's end of its stream."""

    def __init__(self, *, early: bytes = b"", framed: bool = True, stdin: bool = False, keys: bytes = b"") -> None:
        self.remote, theirs = socket.socketpair()
        self.remote.settimeout(20)
        words = [str(theirs.fileno()), early.hex(), "framed" if framed else "raw", "in" if stdin else "", keys.hex()]
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", CARRY, *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=[theirs.fileno()],
        )  # fmt: skip
        theirs.close()

    def end(self) -> tuple[int, bytes, bytes]:
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err


@pytest.mark.parametrize("cut", [1, 7, 8, 9, 13, 1000])
def test_frames_are_taken_apart_wherever_they_are_cut(cut: int) -> None:
    whole = frame(1, b"out\n") + frame(2, b"err\n") + frame(1, b"") + frame(0, b"echo\n") + frame(1, b"end")
    carrier = Carrier(early=whole[:cut])
    for place in range(cut, len(whole), cut):
        carrier.remote.sendall(whole[place : place + cut])
    carrier.remote.close()
    assert carrier.end() == (0, b"out\necho\nend", b"err\n")


def test_a_raw_stream_goes_through_as_it_is() -> None:
    carrier = Carrier(early=b"\x01\x00", framed=False)
    carrier.remote.sendall(b"\xff\r\n")
    carrier.remote.close()
    assert carrier.end() == (0, b"\x01\x00\xff\r\n", b"")


def test_the_end_of_input_is_a_half_close() -> None:
    carrier = Carrier(stdin=True, framed=False)
    assert carrier.process.stdin is not None
    carrier.process.stdin.write(b"hello")
    carrier.process.stdin.close()
    carrier.process.stdin = None
    received = b""
    while piece := carrier.remote.recv(4096):
        received += piece
    assert received == b"hello"
    carrier.remote.sendall(b"still writing")
    carrier.remote.close()
    assert carrier.end() == (0, b"still writing", b"")


def test_input_that_nobody_reads_does_not_stall_the_output() -> None:
    """An echo of much more than all buffers hold: whoever writes without reading would wait for ever."""
    size = 8 << 20
    carrier = Carrier(stdin=True, framed=False)

    def echo() -> None:
        while piece := carrier.remote.recv(65536):
            carrier.remote.sendall(piece)
        carrier.remote.close()

    threading.Thread(target=echo, daemon=True).start()
    out, err = carrier.process.communicate(os.urandom(1) * size, timeout=60)
    assert (carrier.process.returncode, len(out), err) == (0, size, b"")


def test_the_container_may_end_before_its_input_does() -> None:
    carrier = Carrier(stdin=True)
    carrier.remote.sendall(frame(1, b"bye"))
    carrier.remote.close()
    assert carrier.process.stdout is not None
    assert carrier.process.stdout.read() == b"bye"
    assert carrier.process.wait(20) == 0
    assert carrier.process.stdin is not None
    carrier.process.stdin.close()


def test_the_keys_end_it_and_reach_the_daemon() -> None:
    carrier = Carrier(stdin=True, framed=False, keys=b"\x10\x11")
    assert carrier.process.stdin is not None
    carrier.process.stdin.write(b"ls\n\x10\x11more")
    carrier.process.stdin.flush()
    assert carrier.process.wait(20) == 9
    received = b""
    while piece := carrier.remote.recv(4096):
        received += piece
    assert received == b"ls\n\x10\x11"
