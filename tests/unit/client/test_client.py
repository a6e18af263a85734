"""HTTP as it comes over a real socket: whole, in pieces, broken off, or not HTTP at all."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tare.client import containers
from tare.client.address import Address, parse
from tare.client.client import Client, quote
from tare.client.connection import Unreachable
from tare.errors import Conflict, Internal, Invalid, NotFound, TareError, Unavailable

Peer = Callable[[list[bytes]], Client]


class Listener:
    """Answers each connection's requests with the given bytes and remembers what was asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[bytes] = []
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(path))
        self.server.listen()

    def serve(self, answers: list[bytes]) -> None:
        def work() -> None:
            queue = list(answers)
            while queue:
                connection, _ = self.server.accept()
                with connection:
                    while queue and (request := self._request(connection)):
                        self.asked.append(request)
                        answer = queue.pop(0)
                        connection.sendall(answer)
                        if b"close" in answer or b"HTTP/1.1" not in answer:
                            break

        self.thread = threading.Thread(target=work, daemon=True)
        self.thread.start()

    @staticmethod
    def _request(connection: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return data
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                while len(body) < int(line.split(b":")[1]):
                    body += connection.recv(65536)
            if line.lower() == b"transfer-encoding: chunked":
                while not body.endswith(b"0\r\n\r\n"):
                    body += connection.recv(65536)
        return head + b"\r\n\r\n" + body


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    made = Listener(tmp_path / "s")
    yield made
    made.server.close()


@pytest.fixture
def peer(listener: Listener) -> Peer:
    def answering(answers: list[bytes]) -> Client:
        listener.serve(answers)
        return Client(Address("unix", path=str(listener.path)))

    return answering


def answer(body: bytes, status: str = "200 OK", kind: str = "application/json", extra: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode() + body


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_one_connection_serves_many_requests(peer: Peer, listener: Listener) -> None:
    client = peer([answer(b'{"a":1}'), answer(b"", "204 No Content"), answer(b"[2]")])
    assert client.ask("GET", "/a") == {"a": 1}
    assert client.ask("POST", "/b", (("x", "1 &/é"), ("no", ""), ("off", False), ("on", True)), {"k": "v"}) is None
    assert client.ask("GET", "/c") == [2]
    assert listener.asked[1].startswith(b"POST /v1.50/b?x=1%20%26/%C3%A9&on=1 HTTP/1.1\r\nHost: tare\r\n")
    assert listener.asked[1].endswith(b'\r\n\r\n{"k":"v"}')


def test_chunks_with_extensions_and_trailers(peer: Peer) -> None:
    client = peer([CHUNKED + b'4;x=y\r\n{"a"\r\n3\r\n:1}\r\n0\r\nTrailer: x\r\n\r\n', answer(b"1")])
    assert client.ask("GET", "/a") == {"a": 1}
    assert client.ask("GET", "/b") == 1


def test_values_come_line_by_line(peer: Peer) -> None:
    client = peer([CHUNKED + b'9\r\n{"a":1}\r\n\r\n6\r\n{"b":2\r\n1\r\n}\r\n0\r\n\r\n'])
    assert list(client.begin("GET", "/a").values()) == [{"a": 1}, {"b": 2}]


def test_a_body_until_the_end(peer: Peer) -> None:
    assert peer([b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it"]).begin("GET", "/a").body() == b"all of it"


def test_a_hijacked_stream_keeps_what_came_with_its_head(peer: Peer) -> None:
    head = b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nUpgrade: tcp\r\n\r\n"
    client = peer([head + b"early close"])
    connection, media = client.hijack("/x/attach").stream()
    assert (connection.buffer, media) == (b"early close", "application/vnd.docker.raw-stream")


@pytest.mark.parametrize(
    ("status", "kind"),
    [("400 Bad Request", Invalid), ("404 Not Found", NotFound), ("409 Conflict", Conflict), ("500 Internal", Internal)],
)
def test_errors_have_their_kind(peer: Peer, status: str, kind: type[TareError]) -> None:
    body = b'{"message":"no such x (try y)","text":"no such x","hint":"try y","exitCode":127}'
    with pytest.raises(kind) as caught:
        peer([answer(body, status)]).ask("GET", "/a")
    assert (caught.value.message, caught.value.hint, caught.value.exit_code) == ("no such x", "try y", 127)


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (b'{"message":"plain"}', "application/json", "plain"),
        (b"text only\n", "text/plain", "text only"),
        (b"{broken", "application/json", "{broken"),
        (b"[]", "application/json", "[]"),
        (b"", "text/html", "the daemon answered with status 418"),
    ],
)
def test_errors_of_any_shape(peer: Peer, body: bytes, kind: str, message: str) -> None:
    with pytest.raises(TareError) as caught:
        peer([answer(body, "418 x", kind)]).ask("GET", "/a")
    assert caught.value.message == message


TOO_NEW = b'{"message":"client version 1.50 is too new. Maximum supported API version is 1.41"}'


def test_an_older_daemon_is_spoken_to_in_its_version(peer: Peer, listener: Listener) -> None:
    client = peer([answer(TOO_NEW, "400 Bad Request"), answer(b"1"), answer(b"2")])
    assert [client.ask("GET", "/a"), client.ask("GET", "/b")] == [1, 2]
    assert [line.split()[1] for line in listener.asked] == [b"/v1.50/a", b"/v1.41/a", b"/v1.41/b"]


def test_a_stream_is_sent_once_in_the_right_version(peer: Peer, listener: Listener) -> None:
    client = peer([answer(b"OK", kind="text/plain", extra="Api-Version: 1.41\r\n"), answer(b'{"stream":"done"}')])
    call = client.begin("POST", "/images/load", (), iter([b"one", b"", b"two"]))
    assert list(call.values()) == [{"stream": "done"}]
    assert listener.asked[0].startswith(b"GET /v1.50/_ping ")
    assert listener.asked[1].startswith(b"POST /v1.41/images/load ")
    assert listener.asked[1].endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    "broken",
    [
        b"close",
        b"HTTP/1.1 200 OK\r\nclose",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nConnection: close\r\n\r\nx",
        CHUNKED + b"ff\r\nclose",
        CHUNKED + b"close",
    ],
)
def test_an_answer_that_breaks_off(peer: Peer, broken: bytes) -> None:
    with pytest.raises(Unavailable):
        peer([broken]).begin("GET", "/a").body()


def test_an_answer_that_is_no_json(peer: Peer) -> None:
    with pytest.raises(Internal, match="is not JSON: 'surprise'"):
        peer([answer(b"surprise")]).ask("GET", "/a")


def test_an_answer_that_is_too_deep(peer: Peer) -> None:
    with pytest.raises(Internal, match="is not JSON"):
        peer([answer(b"[" * 100_000)]).ask("GET", "/a")


def test_an_answer_that_leads_elsewhere(peer: Peer) -> None:
    with pytest.raises(Internal, match=r"status 301\) does not speak Docker's API"):
        peer([answer(b"", "301 Moved Permanently")]).ask("GET", "/a")


def test_what_does_not_speak_http(peer: Peer) -> None:
    with pytest.raises(TareError, match=r"does not speak HTTP: 'SSH-2\.0-x'"):
        peer([b"SSH-2.0-x\r\n\r\n"]).begin("GET", "/a").body()


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"cannot reach the daemon at unix://.*: no such file or directory"):
        Client(parse(f"unix://{tmp_path}/none")).ask("GET", "/a")


def test_a_starter_is_asked_once(tmp_path: Path) -> None:
    asked = []

    def starter(error: Unreachable) -> bool:
        asked.append(error.address.text)
        return True

    with pytest.raises(Unreachable):
        Client(parse(f"unix://{tmp_path}/none"), starter).ask("GET", "/a")
    assert len(asked) == 1


def test_quote() -> None:
    assert quote("a/b:c@sha256:1 ?#é\udcff") == "a/b:c%40sha256:1%20%3F%23%C3%A9%FF"


def test_a_start_of_dockers_daemon_takes_two_requests(peer: Peer, listener: Listener) -> None:
    ended = answer(b'{"StatusCode":3}', extra="Connection: close\r\n")
    client = peer([answer(b'{"message":"page not found"}', "404 Not Found"), ended, answer(b"", "204 No Content")])
    assert containers.start_and_wait(client, "box", "next-exit").value() == {"StatusCode": 3}
    listener.thread.join(20)
    asked = [request.split(b" HTTP/1.1")[0].replace(b"/v1.50", b"") for request in listener.asked]
    assert asked == [
        b"POST /tare/v1/containers/box/start?condition=next-exit",
        b"POST /containers/box/wait?condition=next-exit",
        b"POST /containers/box/start",
    ]
