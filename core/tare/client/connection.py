"""HTTP/1.1 (RFC 9112) as a client speaks it with the daemon: unix socket or TCP, keep-alive, chunks, hijacked streams.

Built on ``_socket``: ``socket`` itself imports selectors and enum, which costs as much as the rest of a command.
"""

from __future__ import annotations

import _socket

from tare.errors import TareError, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tare.client.address import Address

READ = 65536
HEAD_LIMIT = 65536


class Unreachable(Unavailable):
    """Nobody answers at the daemon's address. ``errno`` says why: ENOENT, ECONNREFUSED, EACCES …"""

    def __init__(self, address: Address, error: OSError) -> None:
        super().__init__(f"cannot reach the daemon at {address.text}: {(error.strerror or str(error)).lower()}")
        self.address = address
        self.errno = error.errno or 0


class Connection:
    """One connection; one request at a time, any number after each other."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.buffer = b""
        try:
            self.sock = _connect(address)
        except OSError as error:
            raise Unreachable(address, error) from error

    def send(self, method: str, path: str, body: bytes | Iterable[bytes] | None = None, headers: str = "") -> None:
        """Send a request. ``headers`` are whole lines ending in CRLF; an iterable body goes out in chunks."""
        head = f"{method} {path} HTTP/1.1\r\nHost: tare\r\nUser-Agent: tare\r\n{headers}"
        try:
            if body is None:
                tail = "Content-Length: 0\r\n\r\n" if method == "POST" else "\r\n"
                self._write((head + tail).encode())
            elif isinstance(body, bytes):
                self._write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            else:
                self._write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
                for piece in body:
                    if piece:
                        self._write(b"%x\r\n%b\r\n" % (len(piece), piece))
                self._write(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            # The daemon may have answered (with an error) before it read the whole body: that answer is what counts.
            return

    def receive(self) -> Response:
        """The head of the answer to what was sent; its body is read through it. Raises Unavailable when there is none."""
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            if len(self.buffer) > HEAD_LIMIT or not self.more():
                raise Unavailable("the daemon closed the connection without an answer", hint="its log says why")
        head, self.buffer = self.buffer[:end].decode("latin-1"), self.buffer[end + 4 :]
        status_line, *lines = head.split("\r\n")
        try:
            version, status, *_reason = status_line.split(" ", 2)
            if not version.startswith("HTTP/1."):
                raise ValueError
            response = Response(self, int(status))
        except ValueError:
            raise TareError(f"what listens at {self.address.text} does not speak HTTP: {status_line[:60]!r}") from None
        for line in lines:
            name, _, value = line.partition(":")
            response.headers[name.strip().lower()] = value.strip()
        if response.status == 100:
            return self.receive()
        return response

    def more(self) -> bool:
        """Read what has come into ``buffer``; False at the end of the stream."""
        try:
            data = self.sock.recv(READ)
        except ConnectionResetError:
            return False
        self.buffer += data
        return bool(data)

    def close(self) -> None:
        self.sock.close()

    def _write(self, data: bytes) -> None:
        # MSG_NOSIGNAL: SIGPIPE ends us when our reader goes (| head), never when the daemon does.
        view = memoryview(data)
        while view:
            view = view[self.sock.send(view, _socket.MSG_NOSIGNAL) :]


class Response:
    """An answer: ``status``, ``headers`` with lower-case names, and the body, read once in one of the ways below."""

    def __init__(self, connection: Connection, status: int) -> None:
        self.connection = connection
        self.status = status
        self.headers: dict[str, str] = {}

    @property
    def media(self) -> str:
        """The media type without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def read(self) -> bytes:
        """The whole body."""
        return b"".join(self.chunks())

    def chunks(self) -> Iterator[bytes]:
        """The body as it arrives. Raises Unavailable when it stops short."""
        if self.status in (204, 304) or self.status < 200:
            return iter(())
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            return self._chunked()
        if "content-length" in self.headers:
            return self._sized(_count(self.headers["content-length"], 10))
        return self._until_end()

    def _sized(self, left: int) -> Iterator[bytes]:
        connection = self.connection
        while left:
            if not connection.buffer and not connection.more():
                raise Unavailable("the daemon closed the connection in the middle of an answer")
            piece, connection.buffer = connection.buffer[:left], connection.buffer[left:]
            left -= len(piece)
            yield piece

    def _chunked(self) -> Iterator[bytes]:
        while size := _count(self._line().partition(b";")[0], 16):
            yield from self._sized(size)
            self._line()
        while self._line():
            pass

    def _line(self) -> bytes:
        connection = self.connection
        while (end := connection.buffer.find(b"\r\n")) < 0:
            if not connection.more():
                raise Unavailable("the daemon closed the connection in the middle of an answer")
        line, connection.buffer = connection.buffer[:end], connection.buffer[end + 2 :]
        return line

    def _until_end(self) -> Iterator[bytes]:
        connection = self.connection
        while connection.buffer or connection.more():
            piece, connection.buffer = connection.buffer, b""
            yield piece


def _count(text: str | bytes, base: int) -> int:
    try:
        return int(text, base)
    except ValueError:
        raise Unavailable("the daemon's answer is garbled") from None


def _connect(address: Address) -> _socket.socket:
    if address.kind == "unix":
        sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        sock.connect(address.path)
        return sock
    refused: OSError = OSError(f"no address for {address.host}")
    for family, kind, protocol, _name, target in _socket.getaddrinfo(address.host, address.port, 0, _socket.SOCK_STREAM):
        sock = _socket.socket(family, kind, protocol)
        try:
            sock.connect(target)
        except OSError as error:
            sock.close()
            refused = error
            continue
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        return sock
    raise refused
