"""HTTP/1.1 requests out of a stream of bytes (RFC 9112): strict, without I/O.

Where a message could be read in two ways it is refused, whatever the RFC would let a recipient make of it: bare line feeds,
folded headers, a length beside chunks, two lengths that differ, any coding but ``chunked``.
"""

from __future__ import annotations

import re

HEAD_LIMIT = 128 * 1024
"""Bytes of request line and headers."""
LINE_LIMIT = 4096
"""Bytes of a line between chunks, and of all the trailers."""

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e]+) HTTP/1\.([01])")
_HEADER = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([\x20-\x7e\x80-\xff\t]*)")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[\x20-\x7e\x80-\xff\t]*)?")
_ONCE = frozenset(("host", "transfer-encoding", "content-length"))
_LENGTH = re.compile(r"[0-9]{1,18}")
_STARTS = frozenset(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz\r")

_HEAD, _DONE, _SIZED, _SIZE_LINE, _CHUNK, _CHUNK_END, _TRAILERS = range(7)


class Malformed(Exception):
    """What came is no request. ``status`` is what to answer; nothing that follows on the connection can be understood."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


class Head:
    """Request line and headers. Header names are in lower case, values decoded as latin-1; of a repeated header the last."""

    __slots__ = ("headers", "method", "minor", "target")

    def __init__(self, method: str, target: str, minor: int, headers: dict[str, str]) -> None:
        self.method = method
        self.target = target
        self.minor = minor
        self.headers = headers


class Parser:
    """The requests of one connection, one after the other. ``expects``: the client waits for a 100 before it sends the body;
    ``keep``: it may send another request; ``ended``: it has closed its side."""

    __slots__ = ("_buffer", "_left", "_looked", "_state", "ended", "expects", "keep")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._looked = 0
        self._left = 0
        self._state = _HEAD
        self.expects = False
        self.keep = True
        self.ended = False

    def feed(self, data: bytes) -> None:
        """What has been received; nothing means the end."""
        self._buffer += data
        self.ended = self.ended or not data

    @property
    def begun(self) -> bool:
        """Whether anything of the next request has come."""
        return bool(self._buffer)

    @property
    def in_body(self) -> bool:
        """Whether more of the body is to come."""
        return self._state > _DONE

    def rest(self) -> bytes:
        """What follows the request; it is forgotten here."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def next(self) -> None:
        """The request was answered and its body read: the next one may come."""
        self._state = _HEAD
        self._looked = 0

    # The head ---------------------------------------------------------------------------------------------------------

    def head(self) -> Head | None:
        """The next head, or None until it is complete (and for ever, when the client has left between two). Raises Malformed."""
        buffer = self._buffer
        while buffer.startswith(b"\r\n"):  # RFC 9112, 2.2
            del buffer[:2]
        if not buffer:
            return None
        if buffer[0] not in _STARTS:
            raise Malformed("illegal request line")
        end = buffer.find(b"\r\n\r\n", max(self._looked - 3, 0))
        if end < 0 or end > HEAD_LIMIT:
            self._looked = len(buffer)
            if len(buffer) > HEAD_LIMIT:
                raise Malformed("the head is too large", 431)
            if b"\n\n" in buffer:
                raise Malformed("a line must end with CR and LF")
            if self.ended:
                raise Malformed("the head ends too early")
            return None
        line, *lines = bytes(buffer[:end]).split(b"\r\n")
        del buffer[: end + 4]
        found = _REQUEST.fullmatch(line)
        if found is None:
            raise Malformed("illegal request line")
        method, target, minor = found.groups()
        head = Head(method.decode("ascii"), target.decode("ascii"), minor[0] - 48, _headers(lines))
        self._frame(head)
        return head

    def _frame(self, head: Head) -> None:
        """How the body is delimited (RFC 9112, 6.3) and whether another request may follow (9.3)."""
        headers = head.headers
        if head.minor and "host" not in headers:
            raise Malformed("missing mandatory host: header")
        coding, length = headers.get("transfer-encoding"), headers.get("content-length")
        if coding is not None:
            if length is not None or not head.minor:
                raise Malformed("transfer-encoding beside a content-length or in http/1.0")
            if coding.lower() != "chunked":
                raise Malformed("only the transfer coding chunked is known", 501)
            self._state = _SIZE_LINE
        elif length is not None:
            if _LENGTH.fullmatch(length) is None:
                raise Malformed("bad content-length")
            self._left = int(length)
            self._state = _SIZED if self._left else _DONE
        else:
            self._state = _DONE
        self.expects = bool(head.minor) and self.in_body and headers.get("expect", "").lower() == "100-continue"
        words = headers.get("connection", "").lower().replace(" ", "").split(",")
        self.keep = bool(head.minor) and "close" not in words

    # The body ---------------------------------------------------------------------------------------------------------

    def body(self) -> bytes | None:
        """The next piece of the body, nothing at its end (see ``in_body``), or None until more has come. Raises Malformed."""
        self.expects = self.expects and not self._buffer
        while self.in_body:
            if self._state in (_SIZED, _CHUNK):
                if not self._buffer:
                    break
                piece = bytes(self._buffer[: self._left])
                del self._buffer[: self._left]
                self._left -= len(piece)
                if not self._left:
                    self._state = _DONE if self._state == _SIZED else _CHUNK_END
                return piece
            line = self._line()
            if line is None:
                break
            self._between_chunks(line)
        if not self.in_body:
            return b""
        if self.ended:
            raise Malformed("the body ends too early")
        return None

    def _between_chunks(self, line: bytes) -> None:
        if self._state == _SIZE_LINE:
            found = _SIZE.fullmatch(line)
            if found is None:
                raise Malformed("illegal chunk header")
            self._left = int(found[1], 16)
            self._state = _CHUNK if self._left else _TRAILERS
        elif self._state == _CHUNK_END:
            if line:
                raise Malformed("a chunk is longer than its header says")
            self._state = _SIZE_LINE
        elif not line:
            self._state = _DONE
        else:
            self._left += len(line)  # trailers are passed over, but not without end
            if _HEADER.fullmatch(line) is None or self._left > LINE_LIMIT:
                raise Malformed("illegal trailer")

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\r\n")
        if end < 0 or end > LINE_LIMIT:
            if len(self._buffer) > LINE_LIMIT:
                raise Malformed("a line between chunks is too long")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line


def _headers(lines: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        found = _HEADER.fullmatch(line)
        if found is None:
            raise Malformed("illegal header line")
        name, value = found[1].decode("ascii").lower(), found[2].decode("latin-1").rstrip(" \t")
        if name in headers:
            if name in _ONCE and not (name == "content-length" and headers[name] == value):
                raise Malformed(f"found multiple {name}: headers")
            if name == "connection":
                value = f"{headers[name]}, {value}"
        headers[name] = value
    return headers
