"""Requests to the daemon, their errors, and the version that both sides speak."""

from __future__ import annotations

from tare.client import quickjson
from tare.client.connection import Connection, Unreachable
from tare.errors import Conflict, Denied, Internal, Invalid, NotFound, TareError, Unavailable, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from tare.client.address import Address
    from tare.client.connection import Response

    Query = Iterable[tuple[str, str | int | bool | None]]

VERSION = "1.50"
TEXT_OR_JSON = "Accept: text/plain, application/json\r\n"
HIJACK = "Upgrade: tcp\r\nConnection: Upgrade\r\n"

_ERRORS: dict[int, type[TareError]] = {
    400: Invalid,
    403: Denied,
    404: NotFound,
    409: Conflict,
    501: Unsupported,
    503: Unavailable,
}
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/:")


def quote(text: str) -> str:
    """Percent-encode what a path segment or a query value must not hold (RFC 3986)."""
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in text.encode("utf-8", "surrogateescape"))


class Client:
    """The daemon at ``address``. ``starter`` is asked once to start one where nobody answers; it returns True when it did."""

    def __init__(self, address: Address, starter: Callable[[Unreachable], bool] | None = None) -> None:
        self.address = address
        self.version = VERSION
        self.settled = False
        self._starter = starter
        self._idle: list[Connection] = []

    def begin(
        self, method: str, path: str, query: Query = (), body: bytes | Iterable[bytes] | None = None, headers: str = ""
    ) -> Call:
        """Send a request and come back at once; ``Call`` gives the answer. Several may be under way, each on a connection
        of its own. ``path`` starts with a slash and has no version; its segments are already quoted."""
        if body is not None and not isinstance(body, bytes):
            self.settle()
        words = "&".join(f"{name}={quote(_word(value))}" for name, value in query if value not in (None, "", False))
        return Call(self, method, f"{path}?{words}" if words else path, body, headers)

    def ask(self, method: str, path: str, query: Query = (), body: Any = None, headers: str = "") -> Any:
        """A request whose body and answer are JSON; the answer's value, or None where there is none. Raises TareError."""
        data = None
        if body is not None:
            data, headers = quickjson.dumps(body).encode(), headers + "Content-Type: application/json\r\n"
        return self.begin(method, path, query, data, headers).value()

    def hijack(self, path: str, query: Query = (), body: Any = None) -> Call:
        """Begin a request whose connection becomes a raw stream; ``Call.stream`` gives that."""
        headers = HIJACK
        data = None
        if body is not None:
            data, headers = quickjson.dumps(body).encode(), headers + "Content-Type: application/json\r\n"
        return self.begin("POST", path, query, data, headers)

    def settle(self) -> None:
        """Learn the daemon's version before a request that cannot be sent twice."""
        if not self.settled:
            response = Call(self, "GET", "/_ping", None, "").answer()
            offered = response.headers.get("api-version", "")
            response.read()
            if offered and _number(offered) < _number(self.version):
                self.version = offered
            self.settled = True

    def connect(self) -> Connection:
        if self._idle:
            return self._idle.pop()
        try:
            return Connection(self.address)
        except Unreachable as error:
            if self._starter is None or not self._starter(error):
                raise
        self._starter = None
        return Connection(self.address)

    def another(self) -> Client:
        """The same daemon over connections of its own, for what happens in a signal handler."""
        twin = Client(self.address)
        twin.version, twin.settled = self.version, self.settled
        return twin

    def keep(self, response: Response) -> None:
        """A body was read to its end: the connection may serve the next request."""
        headers = response.headers
        if headers.get("connection", "").lower() != "close" and ("content-length" in headers or "transfer-encoding" in headers):
            self._idle.append(response.connection)


class Call:
    """A request under way."""

    def __init__(self, client: Client, method: str, path: str, body: bytes | Iterable[bytes] | None, headers: str) -> None:
        self.client = client
        self.request = (method, path, body, headers)
        self.spoken = client.version
        self.connection = self._send()
        self._response: Response | None = None

    def _send(self) -> Connection:
        method, path, body, headers = self.request
        connection = self.client.connect()
        connection.send(method, f"/v{self.spoken}{path}", body, headers)
        return connection

    def answer(self) -> Response:
        """The answer, waited for once, with its body unread. Raises TareError for every status of 400 and more, and
        where it leads elsewhere."""
        if self._response is not None:
            return self._response
        response = self.connection.receive()
        if 300 <= response.status < 400 and response.status != 304:
            where = self.client.address.text
            raise Internal(f"what answers at {where} (status {response.status}) does not speak Docker's API", subject=where)
        if response.status < 400:
            self._response = response
            return response
        data = response.read()
        self.client.keep(response)
        error = _error(response.status, response.media, data)
        maximum = _maximum(error.message) if response.status == 400 else ""
        if maximum in ("", self.spoken):
            raise error
        self.client.version, self.client.settled = maximum, True
        self.spoken = maximum
        self.connection = self._send()
        return self.answer()

    def body(self) -> bytes:
        """The whole body."""
        response = self.answer()
        data = response.read()
        self.client.keep(response)
        return data

    def value(self) -> Any:
        """The body's JSON value, None for an empty body."""
        data = self.body()
        return parsed(data) if data.strip() else None

    def values(self) -> Iterator[Any]:
        """One JSON value a line, as they arrive."""
        return values(self.answer())

    def stream(self) -> tuple[Connection, str]:
        """The connection as a raw stream (its ``buffer`` holds what has come already) and the stream's media type."""
        response = self.answer()
        return self.connection, response.media


def values(response: Response) -> Iterator[Any]:
    """One JSON value a line of a body, as they arrive."""
    for line in lines(response.chunks()):
        if line.strip():
            yield parsed(line)


def lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a body, without their ends."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest


def parsed(data: bytes) -> Any:
    """The JSON of an answer. Raises Internal where it is none."""
    try:
        return quickjson.loads(data)
    except (ValueError, RecursionError):
        raise Internal(f"the daemon's answer is not JSON: {data[:60].decode('utf-8', 'replace')!r}") from None


def _word(value: str | int | bool | None) -> str:
    return "1" if value is True else str(value)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def _maximum(message: str) -> str:
    """The version in Docker's "client version 1.50 is too new. Maximum supported API version is 1.41", else nothing."""
    before, mark, after = message.partition("Maximum supported API version is ")
    return after.split()[0].rstrip(".") if mark and "too new" in before and after else ""


def _error(status: int, media: str, data: bytes) -> TareError:
    message = hint = ""
    code = 125
    if media == "application/json":
        try:
            fields = quickjson.loads(data)
            message, hint = str(fields.get("text") or fields.get("message", "")), str(fields.get("hint", ""))
            code = int(fields.get("exitCode", code))
        except (ValueError, AttributeError, TypeError, RecursionError):
            message = ""
    message = message or data.decode("utf-8", "replace").strip() or f"the daemon answered with status {status}"
    return _ERRORS.get(status, Internal)(message, hint=hint, exit_code=code)
