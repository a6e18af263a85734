"""HTTP over a unix socket with nothing in between: what is timed is the daemon."""

from __future__ import annotations

import json
import socket


class Wire:
    """One connection that is kept alive."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket = self._connect()
        self._buffer = b""

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(120)
        connection.connect(self._path)
        return connection

    def close(self) -> None:
        self._socket.close()

    def ask(self, method: str, path: str, body=None) -> object:
        """The decoded answer; SystemExit on an error of the daemon's."""
        status, data = self._exchange(method, path, body)
        if status >= 400:
            raise SystemExit(f"bench: {method} {path}: {status} {data.decode(errors='replace')}")
        return json.loads(data) if data.strip() else None

    def stream(self, method: str, path: str, body=None) -> bytes:
        """Everything that comes on a connection of its own until the daemon closes it."""
        other = Wire(self._path)
        other._send(method, path, body)
        data = other._buffer
        while chunk := other._socket.recv(65536):
            data += chunk
        other.close()
        head, _, rest = data.partition(b"\r\n\r\n")
        if int(head.split()[1]) >= 400:
            raise SystemExit(f"bench: {method} {path}: {data.decode(errors='replace')}")
        return rest

    def _send(self, method: str, path: str, body) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        self._socket.sendall(head.encode() + data)

    def _exchange(self, method: str, path: str, body) -> tuple[int, bytes]:
        self._send(method, path, body)
        head = self._until(b"\r\n\r\n").lower()
        status = int(head[9:12])
        if b"transfer-encoding: chunked" in head:
            data = b""
            while size := int(self._until(b"\r\n").split(b";")[0], 16):
                data += self._exactly(size + 2)[:-2]
            self._until(b"\r\n")
        else:
            _, there, rest = head.partition(b"content-length:")
            data = self._exactly(int(rest.partition(b"\r\n")[0]) if there and status not in (204, 304) else 0)
        if b"connection: close" in head:
            self._socket.close()
            self._socket, self._buffer = self._connect(), b""
        return status, data

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            self._fill()
        part, _, self._buffer = self._buffer.partition(mark)
        return part

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._fill()
        part, self._buffer = self._buffer[:size], self._buffer[size:]
        return part

    def _fill(self) -> None:
        chunk = self._socket.recv(65536)
        if not chunk:
            raise SystemExit(f"bench: {self._path}: the daemon closed the connection")
        self._buffer += chunk
