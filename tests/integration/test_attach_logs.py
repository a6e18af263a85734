"""Attaching with the log before it: no byte is missing and none comes twice."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from .conftest import Daemon, wait_for
from .killing import NONE, fifo, hijacked, until

LAST = 4000
SCRIPT = f"""
i=0
while [ $i -lt {LAST} ]; do
    printf "$i,"
    [ $((i % 10)) = 9 ] && echo
    [ $((i % 1000)) = 500 ] && read x < /go
    i=$((i + 1))
done
"""


def reads_all(sock: socket.socket, found: list[bytes]) -> None:
    found.append(until(sock, b""))
    sock.close()


def unframed(data: bytes) -> bytes:
    text = b""
    while data:
        size = int.from_bytes(data[4:8])
        text += data[8 : 8 + size]
        data = data[8 + size :]
    return text


FLAGS = [("--log-driver", "local"), ("--log-driver", "json-file"), ("-t",)]


@pytest.mark.parametrize("flags", FLAGS, ids=lambda flags: flags[-1])
def test_log_and_stream_join_without_a_seam(engine: Daemon, tmp_path: Path, flags: tuple[str, ...]) -> None:
    name = f"seam{flags[-1].strip('-')}"
    go = fifo(tmp_path / "go")
    engine.tare("run", "-d", "--name", name, *NONE, *flags, "-v", f"{tmp_path}/go:/go", "busybox", "sh", "-c", SCRIPT)
    found: list[bytes] = []
    threads = []
    with open(go, "wb", buffering=0) as say:
        for _ in range(4):
            before = len(engine.tare("logs", name).stdout)
            for _ in range(3):
                sock = hijacked(engine, f"/containers/{name}/attach?logs=1&stream=1&stdout=1&stderr=1")
                threads.append(threading.Thread(target=reads_all, args=(sock, found)))
                threads[-1].start()
            say.write(b"on\n")
            wait_for(lambda before=before: len(engine.tare("logs", name).stdout) > before, "more output")
        for thread in threads:
            thread.join()
    whole = b"".join(b"%d,%s" % (number, b"\n" if number % 10 == 9 else b"") for number in range(LAST))
    assert len(found) == 12
    for data in found:
        text = data.replace(b"\r\n", b"\n") if "-t" in flags else unframed(data)
        assert text == whole
    engine.tare("rm", name)


def test_what_has_ended_is_told_from_the_log_alone(engine: Daemon) -> None:
    engine.tare("run", "--name", "told", *NONE, "busybox", "printf", "one\\ntwo")
    sock = hijacked(engine, "/containers/told/attach?logs=1&stream=1&stdout=1")
    assert unframed(until(sock, b"")) == b"one\ntwo"
    sock.close()
    engine.tare("rm", "told")
