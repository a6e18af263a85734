"""Where the API listens: unix sockets, plain TCP where that is allowed, and descriptors given by systemd."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import grp
import logging
import os
import socket
import stat
from collections.abc import Iterable

from tare.api.connection import Connection
from tare.api.service import Service
from tare.errors import InUse, Invalid

log = logging.getLogger("tare.api")

BACKLOG = 1024
FIRST_PASSED = 3
DEFAULT_GROUP = "tare"
BUSY_SECONDS = 0.2
"""How long accepting pauses when there are no descriptors left."""


class Listeners:
    """Open sockets and what must be taken away again when they close."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []
        self._files: list[tuple[str, int]] = []

    def open(self, hosts: Iterable[str], *, group: str, allow_plain_tcp: bool) -> None:
        """Bind every host or none. Raises Invalid for a host that cannot be meant, InUse when something listens there."""
        try:
            for host in hosts:
                scheme, separator, rest = host.partition("://")
                if not separator:
                    scheme, rest = ("unix", host) if host.startswith("/") else ("tcp", host)
                if scheme == "unix":
                    self._unix(rest, group)
                elif scheme == "tcp":
                    self._tcp(host, rest, allow_plain_tcp)
                elif scheme == "fd":
                    self._passed(rest)
                else:
                    raise Invalid(f"hosts: {host!r} has no known scheme", subject=host, hint="use unix://, tcp:// or fd://")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()
        self.sockets.clear()
        for path, inode in self._files:
            with contextlib.suppress(OSError):
                if os.stat(path).st_ino == inode:
                    os.unlink(path)
        self._files.clear()

    def _unix(self, path: str, group: str) -> None:
        if not path.startswith("/"):
            raise Invalid(f"hosts: unix://{path} is not an absolute path", subject=path)
        gid = _group(group)
        _clear_stale(path)
        try:
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sockets.append(sock)
            before = os.umask(0o177)
            try:
                sock.bind(path)
            finally:
                os.umask(before)
            self._files.append((path, os.stat(path).st_ino))
            os.chown(path, 0 if os.geteuid() == 0 else -1, gid)
            os.chmod(path, 0o660)
            self._listen(sock)
        except OSError as error:
            raise Invalid(f"hosts: cannot listen on unix://{path}: {_reason(error)}", subject=path) from None

    def _tcp(self, host: str, rest: str, allowed: bool) -> None:
        if not allowed:
            raise Invalid(
                f"hosts: {host} would give root on this machine to everybody who can reach it",
                subject=host,
                hint="use a unix socket and ssh, or set api.allow-plain-tcp = true if you know that the network is safe",
            )
        name, colon, number = rest.rpartition(":")
        if not colon or rest.endswith("]"):
            name, number = rest, "2375"
        name = name.strip("[]")
        try:
            port = int(number)
            if not 0 <= port < 65536:
                raise ValueError
            family = socket.AF_INET6 if ":" in name else socket.AF_INET
            where = socket.getaddrinfo(name or None, port, family, socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            family, kind, protocol, _, address = where[0]
            sock = socket.socket(family, kind, protocol)
            self.sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            self._listen(sock)
        except ValueError:
            raise Invalid(f"hosts: {host} has no valid port", subject=host) from None
        except OSError as error:
            kind_of = InUse if error.errno == errno.EADDRINUSE else Invalid
            raise kind_of(f"hosts: cannot listen on {host}: {_reason(error)}", subject=host) from None
        log.warning("the API listens on %s without encryption or authentication: whoever reaches it is root here", host)

    def _passed(self, which: str) -> None:
        """sd_listen_fds(3)."""
        count = os.environ.get("LISTEN_FDS", "")
        if os.environ.get("LISTEN_PID") != str(os.getpid()) or not count.isdigit() or not int(count):
            hint = "see contrib/systemd/tared.socket"
            raise Invalid("hosts: fd:// was asked for, but no socket was passed", subject="fd://", hint=hint)
        numbers = range(FIRST_PASSED, FIRST_PASSED + int(count))
        if which and which != "*":
            if not which.isdigit() or int(which) not in numbers:
                raise Invalid(f"hosts: fd://{which}: no such socket was passed", subject=f"fd://{which}")
            numbers = range(int(which), int(which) + 1)
        for number in numbers:
            try:
                sock = socket.socket(fileno=os.dup(number))
                listening = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            except OSError as error:
                raise Invalid(f"hosts: fd://{number} is not a socket: {_reason(error)}", subject=f"fd://{number}") from None
            self.sockets.append(sock)
            if listening:
                sock.setblocking(False)
            else:
                self._listen(sock)

    @staticmethod
    def _listen(sock: socket.socket) -> None:
        sock.listen(BACKLOG)
        sock.setblocking(False)


class Server:
    """Accepts on listeners and serves each client in a task of its own."""

    def __init__(self, service: Service, listeners: Listeners) -> None:
        self._service = service
        self._listeners = listeners
        self._resting: dict[socket.socket, asyncio.TimerHandle] = {}
        self._clients: dict[asyncio.Task[None], Connection] = {}

    def start(self) -> None:
        for listener in self._listeners.sockets:
            self._listen(listener)

    def _listen(self, listener: socket.socket) -> None:
        self._resting.pop(listener, None)
        asyncio.get_running_loop().add_reader(listener.fileno(), self._accept, listener)

    def _rest(self, listener: socket.socket) -> None:
        """Accept nobody for a moment."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(listener.fileno())
        self._resting[listener] = loop.call_later(BUSY_SECONDS, self._listen, listener)

    async def close(self, seconds: float) -> None:
        """Accept nobody any more, end streams and idle clients, and give changes that are under way ``seconds`` to end."""
        for timer in self._resting.values():
            timer.cancel()
        for listener in self._listeners.sockets:
            asyncio.get_running_loop().remove_reader(listener.fileno())
        self._listeners.close()
        for task, connection in self._clients.items():
            connection.finish()
            if connection.watched or not connection.busy:
                task.cancel()
        if self._clients:
            _done, late = await asyncio.wait(list(self._clients), timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _accept(self, listener: socket.socket) -> None:
        """Somebody waits. The loop calls again while there are more."""
        try:
            sock, _address = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS):
                log.warning("cannot accept a client: %s", _reason(error))
                self._rest(listener)
            return
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection = Connection(sock, self._service)
        task = asyncio.get_running_loop().create_task(connection.serve())
        self._clients[task] = connection
        task.add_done_callback(self._gone)

    def _gone(self, task: asyncio.Task[None]) -> None:
        self._clients.pop(task, None)
        if not task.cancelled() and task.exception():
            log.error("a client's connection broke", exc_info=task.exception())


def _group(name: str) -> int:
    """The group's number; root's when the default group does not exist. Raises Invalid."""
    if not name:
        return -1
    if name.isdigit():
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        if name != DEFAULT_GROUP:
            raise Invalid(f"group: there is no group {name!r}", subject=name, hint=f"groupadd --system {name}") from None
        log.info("there is no group %s: only root may use the socket (groupadd --system %s)", name, name)
        return -1


def _clear_stale(path: str) -> None:
    """Remove a socket that nobody listens on. Raises InUse when somebody does, Invalid when it is no socket."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise Invalid(f"hosts: {path} exists and is not a socket", subject=path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise Invalid(f"hosts: {path}: {_reason(error)}", subject=path) from None
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        probe.settimeout(1)
        probe.connect(path)
    except (ConnectionRefusedError, FileNotFoundError):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    except OSError as error:
        raise InUse(f"hosts: {path} is in use: {_reason(error)}", subject=path) from None
    else:
        raise InUse(f"hosts: another daemon listens on {path}", subject=path, hint="stop it, or choose another -H")
    finally:
        probe.close()


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
