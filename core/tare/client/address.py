"""Where the daemon listens, as ``-H`` and ``TARE_HOST`` spell it."""

from __future__ import annotations

from tare.errors import Invalid

DEFAULT = "unix:///run/tare/tare.sock"
PORT = 2375


class Address:
    """``kind`` is unix (``path``) or tcp (``host``, ``port``); ``text`` is the full spelling."""

    __slots__ = ("host", "kind", "path", "port", "text")

    def __init__(self, kind: str, path: str = "", host: str = "", port: int = 0) -> None:
        self.kind = kind
        self.path = path
        self.host = host
        self.port = port
        shown = f"[{host}]" if ":" in host else host
        self.text = f"unix://{path}" if kind == "unix" else f"tcp://{shown}:{port}"


def parse(text: str) -> Address:
    """``unix:///path``, ``/path``, ``tcp://host[:port]``, ``host[:port]``, ``[::1]:port``. Raises Invalid."""
    text = text.strip() or DEFAULT
    if text.startswith("/"):
        return Address("unix", path=text)
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "tcp", text
    if scheme == "unix":
        return Address("unix", path=rest or DEFAULT[7:])
    if scheme in ("http", "tcp"):
        return _tcp(rest.rstrip("/"), text)
    cure = "use unix:///path/to/socket or tcp://host:port"
    if scheme in ("ssh", "https", "fd", "npipe"):
        raise Invalid(f"{scheme}:// is not supported yet for -H: {text}", subject=text, hint=cure)
    raise Invalid(f"cannot read the daemon's address {text!r}", subject=text, hint=cure)


def _tcp(rest: str, text: str) -> Address:
    if rest.startswith("["):
        host, _, port = rest[1:].partition("]")
        port = port.removeprefix(":")
    elif rest.count(":") > 1:
        host, port = rest, ""
    else:
        host, _, port = rest.partition(":")
    if port and not (port.isdecimal() and 0 < int(port) < 65536):
        raise Invalid(f"invalid port {port!r} in the daemon's address {text!r}", subject=text, hint="a port is 1 to 65535")
    return Address("tcp", host=host or "127.0.0.1", port=int(port) if port else PORT)
