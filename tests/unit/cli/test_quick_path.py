"""The quick path stays quick: what a common command loads, looked at in a fresh interpreter."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

CORE = Path(__file__).parents[3] / "core"
SLOW = {"click", "json", "re", "typing", "dataclasses", "argparse", "socket", "enum", "os", "collections", "functools", "site"}

LOOK = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from tare.cli import entry
code = entry.command(sys.argv[1:])
print("loaded", *sys.modules)
sys.stdout.flush()
"""

COMMANDS = [
    "run --rm -i -e A=1 -v /a:/b --network none busybox true",
    "run -d --name x -l a=b -m 64m busybox",
    "create busybox",
    "start x",
    "stop -t 3 x y",
    "kill x",
    "rm -f x",
    "ps -aq --filter name=x",
    "ps -a --filter name=x --format {{.ID}}",
    "images",
    "exec -u 1 x true",
    "logs -f --tail 5 x",
    "wait x",
    "inspect x",
    "port x",
    "container ls",
]


BODY = b'{"message":"not here"}'
REFUSAL = b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)


@pytest.fixture
def refuser(tmp_path: Path) -> Iterator[str]:
    """A daemon that has nothing."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "s"))
    server.listen()

    def refuse(connection: socket.socket) -> None:
        with connection:
            while connection.recv(65536):
                connection.sendall(REFUSAL)

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=refuse, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield f"unix://{tmp_path}/s"
    server.shutdown(socket.SHUT_RDWR)
    server.close()


@pytest.mark.parametrize("line", COMMANDS)
def test_what_a_command_loads(line: str, refuser: str) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LOOK, str(CORE), "-H", refuser, *line.split()],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert set(done.stderr.splitlines()) <= {"tare: not here", "tare: No such object: x"}, done.stderr
    assert done.stderr
    loaded = set(done.stdout.rpartition("loaded")[2].split())
    assert not loaded & SLOW
