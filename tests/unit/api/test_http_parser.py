"""The parser alone: however the bytes are cut, they say the same, and what could be read in two ways is refused."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tare.api.http import HEAD_LIMIT, LINE_LIMIT, Malformed, Parser

Said = list[tuple[str, str, bytes, bool]]


def parse(*pieces: bytes) -> Said:
    """Method, target, body and ``keep`` of every request in the pieces, which end the connection."""
    parser, said = Parser(), []
    left = [*pieces, b""]
    while True:
        while (head := parser.head()) is None:
            if not left:
                return said
            parser.feed(left.pop(0))
        body = b""
        while parser.in_body:
            piece = parser.body()
            if piece is None:
                parser.feed(left.pop(0))
            else:
                body += piece
        said.append((head.method, head.target, body, parser.keep))
        parser.next()


REQUESTS = (
    b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
    b"\r\nPUT /b HTTP/1.1\r\nhost:\tx \t\r\nTransfer-Encoding: Chunked\r\n\r\n"
    b"3;a=b\r\none\r\n0A \r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"
    b"GET /c HTTP/1.1\r\nHost:\r\nX: \xe9\r\nConnection: keep-alive\r\nConnection: Close\r\n\r\n"
    b"DELETE /d HTTP/1.0\r\nContent-Length: 0\r\n\r\n"
)
SAID: Said = [
    ("POST", "/a?b=c", b"hello", True),
    ("PUT", "/b", b"one0123456789", True),
    ("GET", "/c", b"", False),
    ("DELETE", "/d", b"", False),
]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 10_000])
def test_pieces_of_any_size_say_the_same(size: int) -> None:
    assert parse(*(REQUESTS[at : at + size] for at in range(0, len(REQUESTS), size))) == SAID


@given(st.lists(st.integers(0, len(REQUESTS)), max_size=12))
def test_pieces_cut_anywhere_say_the_same(places: list[int]) -> None:
    ends = sorted({0, *places, len(REQUESTS)})
    assert parse(*(REQUESTS[a:b] for a, b in itertools.pairwise(ends))) == SAID


def with_header(line: bytes, body: bytes = b"") -> bytes:
    return b"POST / HTTP/1.1\r\nHost: x\r\n" + line + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\rX: y\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
        b"GET /\xe9 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"G@T / HTTP/1.1\r\nHost: x\r\n\r\n",
        b" GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n Host: x\r\n\r\n",
        with_header(b" folded"),
        with_header(b"Name : x"),
        with_header(b": x"),
        with_header(b"Name"),
        with_header(b"Name: \x00"),
        with_header(b"Name: \x7f"),
        with_header(b"Host: y"),
        with_header(b"Content-Length: +1", b"a"),
        with_header(b"Content-Length: 1_0", b"a"),
        with_header(b"Content-Length: 1, 1", b"a"),
        with_header(b"Content-Length: \xb2", b"aa"),
        with_header(b"Content-Length: 1\r\nContent-Length: 2", b"aa"),
        with_header(b"Content-Length: 1\r\nTransfer-Encoding: chunked", b"1\r\na\r\n0\r\n\r\n"),
        with_header(b"Transfer-Encoding: gzip, chunked", b"0\r\n\r\n"),
        with_header(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"),
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        with_header(b"Transfer-Encoding: chunked", b"-1\r\n"),
        with_header(b"Transfer-Encoding: chunked", b"0x1\r\na\r\n0\r\n\r\n"),
        with_header(b"Transfer-Encoding: chunked", b"1\r\nab\r\n0\r\n\r\n"),
        with_header(b"Transfer-Encoding: chunked", b"1\r\na0\r\n\r\n"),
        with_header(b"Transfer-Encoding: chunked", b"10000000000000000\r\n"),
        with_header(b"Transfer-Encoding: chunked", b"1\na\r\n0\r\n\r\n"),
        with_header(b"Transfer-Encoding: chunked", b"0\r\nno trailer\r\n\r\n"),
        with_header(b"Transfer-Encoding: chunked", b"0\r\n" + b"A: b\r\n" * LINE_LIMIT + b"\r\n"),
        with_header(b"Transfer-Encoding: chunked", b"1;" + b"x" * LINE_LIMIT + b"\r\na\r\n0\r\n\r\n"),
        with_header(b"Content-Length: 2", b"a"),
        with_header(b"Transfer-Encoding: chunked", b"2\r\na"),
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        with_header(b"X: " + b"y" * HEAD_LIMIT),
        b"GET /" + b"y" * HEAD_LIMIT,
    ],
)
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_what_is_no_request_is_refused(data: bytes, size: int) -> None:
    with pytest.raises(Malformed):
        parse(*(data[at : at + size] for at in range(0, min(len(data), 30_000 if size == 1 else len(data)), size)))


def test_a_length_that_is_said_twice_is_one_length() -> None:
    assert parse(with_header(b"Content-Length: 1\r\nContent-Length: 1", b"a"))[0][2] == b"a"


def test_who_leaves_between_two_requests_says_nothing_more() -> None:
    assert parse() == []
    assert parse(b"\r\n") == []


def test_a_client_that_waits_for_a_sign_is_seen_until_it_sends() -> None:
    parser = Parser()
    parser.feed(with_header(b"Expect: 100-Continue\r\nContent-Length: 1"))
    assert parser.head() is not None
    assert parser.expects and parser.body() is None and parser.expects
    parser.feed(b"a")
    assert parser.body() == b"a" and not parser.expects


def test_what_follows_an_upgrade_is_kept() -> None:
    parser = Parser()
    parser.feed(with_header(b"Upgrade: tcp\r\nContent-Length: 2", b"{}GET raw\n"))
    assert parser.head() is not None and parser.body() == b"{}"
    assert parser.rest() == b"GET raw\n" and parser.rest() == b""
