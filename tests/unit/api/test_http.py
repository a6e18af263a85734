"""HTTP as clients speak it, and as they should not."""

from __future__ import annotations

import http.client
import json
import logging
import os
import socket
import stat

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tare.api.server import Listeners
from tare.errors import InUse, Invalid
from tests.unit.api.conftest import Served, everything


class Client(http.client.HTTPConnection):
    def __init__(self, served: Served) -> None:
        super().__init__("localhost", timeout=10)
        self._served = served

    def connect(self) -> None:
        self.sock = self._served.connect()

    def get(self, path: str, method: str = "GET", **more: object) -> tuple[int, dict[str, str], bytes]:
        if "body" in more:
            more.setdefault("headers", {"Content-Type": "application/json"})
        self.request(method, path, **more)  # type: ignore[arg-type]
        response = self.getresponse()
        return response.status, dict(response.headers), response.read()


@pytest.fixture
def client(served: Served) -> Client:
    return Client(served)


def get(text: str) -> bytes:
    return f"GET {text} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def test_a_connection_serves_many_requests(client: Client) -> None:
    assert client.get("/hello")[0] == 200
    first = client.sock
    assert client.get("/conflict")[0] == 409
    assert client.get("/hello")[0] == 200
    assert client.sock is first


def test_the_absolute_form_of_a_target(served: Served) -> None:
    for target in ("http://x/v1.41/hello?a=1", "HTTPS://[::1]:80/v1.41/hello?a=1"):
        assert json.loads(served.ask(get(target)).partition(b"\r\n\r\n")[2]) == {"version": [1, 41], "query": {"a": ["1"]}}
    assert served.ask(get("http://x")).startswith(b"HTTP/1.1 404 ")


def test_requests_sent_at_once_are_answered_in_order(served: Served) -> None:
    answer = served.ask(get("/hello?a=1") + get("/things/x/one") + get("/nowhere") + get("/hello?a=2"))
    bodies = [part.partition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert [json.loads(body) for body in bodies] == [
        {"version": [1, 56], "query": {"a": ["1"]}},
        {"ref": "x"},
        {"message": "page not found"},
        {"version": [1, 56], "query": {"a": ["2"]}},
    ]


def test_a_request_behind_a_watched_one_is_no_sign_of_a_client_that_left(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(b"POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" + get("/hello?late=1"))
        served.happenings.wait("waiting")
        served.call(served.go.set)
        answer = b""
        while b'"late"' not in answer:
            piece = sock.recv(4096)
            assert piece, answer
            answer += piece
    assert answer.startswith(b"HTTP/1.1 204")
    assert "cancelled" not in served.happenings.seen


def test_versions_are_negotiated_in_docker_s_words(client: Client) -> None:
    assert json.loads(client.get("/v1.24/hello")[2])["version"] == [1, 24]
    assert json.loads(client.get("/v1.56/hello")[2])["version"] == [1, 56]
    status, _, body = client.get("/v1.23/hello")
    assert status == 400
    assert json.loads(body)["message"].startswith("client version 1.23 is too old. Minimum supported API version is 1.24")
    status, _, body = client.get("/v1.57/hello")
    assert status == 400
    assert json.loads(body)["message"] == "client version 1.57 is too new. Maximum supported API version is 1.56"
    assert client.get("/v1/hello")[0] == 404
    assert client.get("/v9999999999999999.1/hello")[0] == 400


def test_every_answer_says_who_speaks(client: Client) -> None:
    for path in ("/hello", "/nowhere"):
        headers = client.get(path)[1]
        assert headers["Api-Version"] == "1.56"
        assert headers["Ostype"] == "linux"
        assert headers["Docker-Experimental"] == "false"
        assert headers["Content-Type"] == "application/json"


def test_names_may_hold_slashes_and_escapes(client: Client) -> None:
    assert json.loads(client.get("/things/registry.example:5000/a/b:1/json")[2]) == {"name": "registry.example:5000/a/b:1"}
    assert json.loads(client.get("/things/a%2Fb/json")[2]) == {"name": "a/b"}
    assert json.loads(client.get("/things/%C3%A4/one")[2]) == {"ref": "ä"}
    assert client.get("/things/a/b/one")[0] == 404


def test_head_has_the_headers_alone(client: Client) -> None:
    status, headers, body = client.get("/hello", "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 0
    assert client.get("/hello")[0] == 200


def test_bodies_come_whole_or_in_chunks(client: Client) -> None:
    data = os.urandom(300_000)
    assert client.get("/echo", "POST", body=data)[2] == data
    assert client.get("/echo", "POST", body=iter([data[:7], data[7:]]), encode_chunked=True)[2] == data
    assert client.get("/echo", "POST", body=b"")[2] == b""


def test_a_large_body_is_spooled_to_a_file_without_a_name(client: Client, served: Served) -> None:
    data = os.urandom(1 << 20) * 5
    answer = json.loads(client.get("/spooled", "POST", body=data)[2])
    assert answer == {"size": len(data), "sum": sum(data) % 65536}
    assert [path.name for path in served.spool.iterdir()] == ["api.sock"]


def test_a_body_over_the_limit_is_refused(client: Client) -> None:
    status, _, body = client.get("/echo", "POST", body=b"x" * ((1 << 20) + 1))
    assert (status, json.loads(body)["message"]) == (413, "the request's body is larger than 1 MiB")


def test_a_body_that_nobody_reads_does_not_confuse_the_next_request(client: Client) -> None:
    assert client.get("/nowhere", "POST", body=b"GET /hello HTTP/1.1\r\n\r\n" * 100)[0] == 404
    assert client.get("/hello")[0] == 200


def test_a_client_that_asks_first_is_told_to_go_on(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 100 ")
        sock.sendall(b"abc")
        sock.shutdown(socket.SHUT_WR)
        assert everything(sock).endswith(b"\r\n\r\nabc")


def test_http_1_0_is_answered_and_closed(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(b"GET /hello HTTP/1.0\r\n\r\n")
        assert b'{"version"' in everything(sock)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "invalid JSON"),
        (b"[1]", "the body is not an object"),
        (b"\xff\xfe", "invalid JSON"),
        (b"[" * 100_000, "invalid JSON"),
        (b'{"a": NaN', "invalid JSON"),
        (b'{"a": NaN}', "nan is no value"),
        (b'{"a": -Infinity}', "-infinity is no value"),
        (b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}", "nested more than 100 levels deep"),
        (b'{"a": ' + b"[" * 600 + b'"\\ud800"' + b"]" * 600 + b"}", "nested more than 100 levels deep"),
        (b'{"a": ' + b'{"b":' * 100_000 + b"1" + b"}" * 100_001, "nested more than 100 levels deep"),
        (b'{"a": ' + b"9" * 5000 + b"}", "invalid JSON"),
    ],
)
def test_bad_json_is_a_400(client: Client, body: bytes, message: str) -> None:
    status, _, answer = client.get("/object", "POST", body=body)
    assert status == 400
    assert message in json.loads(answer)["message"]
    assert client.get("/hello")[0] == 200


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/plain"}, {"Content-Type": "multipart/form-data; boundary=x"}])
def test_json_has_its_content_type(client: Client, headers: dict[str, str]) -> None:
    """A web page can send the others to a socket of this host without asking the browser's user."""
    status, _, answer = client.get("/object", "POST", body=b"{}", headers=headers)
    assert status == 400 and "must be 'application/json'" in json.loads(answer)["message"]
    assert client.get("/object", "POST", body=b"", headers=headers)[0] == 200
    assert client.get("/object", "POST", body=b"{}", headers={"Content-Type": "Application/JSON; charset=utf-8"})[0] == 200


def test_a_hundred_levels_are_read(client: Client) -> None:
    assert client.get("/object", "POST", body=b'{"a": ' + b"[" * 99 + b"]" * 99 + b', "b": [' + b"[]," * 500 + b"[]]}")[0] == 200


def test_no_json_is_an_empty_object(client: Client) -> None:
    assert client.get("/object", "POST", body=b"")[2] == b"{}\n"
    assert client.get("/object", "POST", body=b"null")[2] == b"{}\n"


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"GET /hello HTTP/1.1\r\n\r\n",
        b"GET /hello HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET /hello HTTP/1.1\r\nHost: x\r\n bad: folded\r\nno colon\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    ],
)
def test_malformed_http_is_a_400_and_the_end(served: Served, request_: bytes) -> None:
    answer = served.ask(request_ + get("/hello"))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"Connection: close" in head
    assert json.loads(body)["message"].startswith("malformed HTTP request: ")


def test_a_head_without_end_is_refused(served: Served) -> None:
    answer = served.ask(b"GET /hello HTTP/1.1\r\nHost: x\r\n" + b"X-Long: " + b"y" * 200_000)
    assert answer.startswith(b"HTTP/1.1 431 ")


def test_a_tare_error_becomes_docker_s_shape(client: Client) -> None:
    status, _, body = client.get("/conflict")
    error = json.loads(body)
    assert status == 409
    assert error["message"] == "container web is running (stop it first)"
    assert (error["kind"], error["subject"], error["hint"]) == ("conflict", "web", "stop it first")


def test_not_modified_has_no_body(client: Client) -> None:
    status, headers, body = client.get("/same")
    assert (status, body) == (304, b"")
    assert "Content-Type" not in headers
    assert client.get("/hello")[0] == 200


def test_a_defect_is_a_500_that_keeps_its_secret(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "tare.api"):
        status, _, body = client.get("/defect")
    message = json.loads(body)["message"]
    assert status == 500
    assert "secret" not in message
    number = message.rpartition(" ")[2].rstrip(")")
    assert number in caplog.text and "secret" in caplog.text


def test_a_stream_s_head_goes_out_before_its_first_piece(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(get("/stream"))
        head = sock.recv(4096)
        assert head.startswith(b"HTTP/1.1 200 ") and head.endswith(b"\r\n\r\n")
        served.call(served.go.set)
        data = b""
        while not data.endswith(b"0\r\n\r\n"):
            data += sock.recv(4096)
        assert data == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
        sock.sendall(get("/hello"))
        assert sock.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_leaves_ends_its_stream(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(get("/stream"))
        served.happenings.wait("streaming")
    served.happenings.wait("stream closed")


def test_a_client_that_leaves_ends_its_wait(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(b"POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        served.happenings.wait("waiting")
    served.happenings.wait("cancelled")


def test_a_client_that_leaves_does_not_undo_half_a_change(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(b"POST /change HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        served.happenings.wait("changing")
    served.call(served.slow.set)
    served.happenings.wait("changed")


def test_a_slow_reader_stops_the_producer(served: Served) -> None:
    with served.connect() as sock, served.connect() as other:
        sock.sendall(get("/flood"))
        assert sock.recv(100)
        before = ""
        while before != (served.happenings.seen or ["0"])[0]:
            before = (served.happenings.seen or ["0"])[0]
            other.sendall(get("/hello"))
            assert other.recv(4096).startswith(b"HTTP/1.1 200")
        assert int(before) * 8192 < 8 << 20
    served.happenings.wait("flood closed")


@pytest.mark.parametrize(
    ("headers", "version", "expected"),
    [
        ("Upgrade: tcp\r\nConnection: Upgrade\r\n", "1.42", (b"HTTP/1.1 101 UPGRADED\r\n", b"multiplexed-stream")),
        ("Upgrade: tcp\r\nConnection: Upgrade\r\n", "1.41", (b"HTTP/1.1 101 UPGRADED\r\n", b"raw-stream")),
        ("", "1.50", (b"HTTP/1.1 200 OK\r\n", b"raw-stream")),
    ],
)
def test_a_hijacked_connection_loses_no_byte(served: Served, headers: str, version: str, expected: tuple[bytes, bytes]) -> None:
    with served.connect() as sock:
        request = f"POST /v{version}/hijack HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: 2\r\n\r\n{{}}"
        sock.sendall(request.encode() + b"early, ")
        served.happenings.wait("hijacked")
        sock.sendall(b"late\n")
        head, _, said = everything(sock).partition(b"\r\n\r\n")
    assert head.startswith(expected[0])
    assert expected[1] in head
    assert said == b"you said early, late\n"


def test_stopping_ends_the_idle_and_waits_for_changes(served: Served) -> None:
    idle, busy, watching = served.connect(), served.connect(), served.connect()
    with idle, busy, watching:
        idle.sendall(get("/hello"))
        assert idle.recv(4096)
        busy.sendall(b"POST /change HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        watching.sendall(get("/stream"))
        served.happenings.wait("changing")
        served.happenings.wait("streaming")
        served.begin_stop()
        assert idle.recv(1) == b""
        served.happenings.wait("stream closed")
        served.call(served.slow.set)
        answer = everything(busy)
        assert answer.startswith(b"HTTP/1.1 204 ") and b"Connection: close" in answer
    assert not served.path.exists()


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400))
@example(b"GET /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n")
@example(b"POST /spooled HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\n")
@example(b"GET /hello?filters=%ff%00 HTTP/1.1\r\nHost: x\r\n\r\n")
def test_no_bytes_harm_the_server(served: Served, data: bytes) -> None:
    served.ask(data)
    assert served.ask(get("/hello")).startswith(b"HTTP/1.1 200 ")


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from(
            [
                b"GET /hello HTTP/1.1\r\n",
                b"POST /echo HTTP/1.1\r\n",
                b"Host: x\r\n",
                b"Content-Length: 3\r\n",
                b"Transfer-Encoding: chunked\r\n",
                b"Upgrade: tcp\r\n",
                b"Connection: Upgrade\r\n",
                b"Expect: 100-continue\r\n",
                b"\r\n",
                b"abc",
                b"3\r\nabc\r\n",
                b"0\r\n\r\n",
                b"POST /hijack HTTP/1.1\r\n",
                b"\n",
            ]
        ),
        max_size=12,
    )
)
def test_no_order_of_good_pieces_harms_the_server(served: Served, pieces: list[bytes]) -> None:
    served.ask(b"".join(pieces))
    assert served.ask(get("/hello")).startswith(b"HTTP/1.1 200 ")


def test_the_socket_is_for_its_group_alone(served: Served) -> None:
    assert stat.S_IMODE(served.path.stat().st_mode) == 0o660


def test_a_socket_in_use_is_left_alone_and_a_stale_one_replaced(served: Served) -> None:
    listeners = Listeners()
    with pytest.raises(InUse, match="another daemon listens"):
        listeners.open([f"unix://{served.path}"], group="", allow_plain_tcp=False)
    assert served.ask(get("/hello")).startswith(b"HTTP/1.1 200 ")
    stale = served.path.with_name("stale.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(stale))
    listeners.open([f"unix://{stale}"], group="", allow_plain_tcp=False)
    listeners.close()
    assert not stale.exists()


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("tcp://127.0.0.1:0", "would give root"),
        ("unix://relative", "not an absolute path"),
        ("http://x", "no known scheme"),
        ("fd://", "no socket was passed"),
        ("unix:///proc/nowhere/x.sock", "cannot listen"),
    ],
)
def test_a_bad_host_opens_nothing(tmp_path: object, host: str, message: str) -> None:
    listeners = Listeners()
    with pytest.raises(Invalid, match=message):
        listeners.open([f"unix://{tmp_path}/good.sock", host], group="", allow_plain_tcp=False)
    assert not os.path.exists(f"{tmp_path}/good.sock")


def test_plain_tcp_is_allowed_loudly(caplog: pytest.LogCaptureFixture) -> None:
    listeners = Listeners()
    with caplog.at_level(logging.WARNING, "tare.api"):
        listeners.open(["tcp://127.0.0.1:0"], group="", allow_plain_tcp=True)
    assert "without encryption" in caplog.text
    port = listeners.sockets[0].getsockname()[1]
    with pytest.raises(InUse):
        Listeners().open([f"tcp://127.0.0.1:{port}"], group="", allow_plain_tcp=True)
    listeners.close()


def test_an_unknown_group_is_an_error_unless_it_is_the_default(tmp_path: object) -> None:
    with pytest.raises(Invalid, match="there is no group"):
        Listeners().open([f"unix://{tmp_path}/x.sock"], group="no-such-group", allow_plain_tcp=False)
    listeners = Listeners()
    listeners.open([f"unix://{tmp_path}/x.sock"], group="tare", allow_plain_tcp=False)
    listeners.close()


def test_who_sends_too_much_over_tcp_still_hears_why(served: Served) -> None:
    """A server that closed at once would reset the connection, and the answer would be lost."""
    with served.connect_by_tcp() as sock:
        sock.sendall(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n" + b"x" * 4_000_000)
        sock.shutdown(socket.SHUT_WR)
        assert everything(sock).startswith(b"HTTP/1.1 404 ")
