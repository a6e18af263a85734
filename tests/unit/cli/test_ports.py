"""Every form of -p and --expose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tare.errors import Invalid
from tare.model.ports import expose_range, publish_ranges


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("80", [(80, "tcp", "", 0, 0)]),
        ("80/udp", [(80, "udp", "", 0, 0)]),
        ("80/", [(80, "tcp", "", 0, 0)]),
        ("80/TCP", [(80, "tcp", "", 0, 0)]),
        ("8080:80", [(80, "tcp", "", 8080, 8080)]),
        (":80", [(80, "tcp", "", 0, 0)]),
        ("::80", [(80, "tcp", "", 0, 0)]),
        (":8080:80", [(80, "tcp", "", 8080, 8080)]),
        ("0:80", [(80, "tcp", "", 0, 0)]),
        ("53:53/sctp", [(53, "sctp", "", 53, 53)]),
        ("8080:80:tcp", [(80, "tcp", "", 8080, 8080)]),
        ("53:53:udp", [(53, "udp", "", 53, 53)]),
        ("127.0.0.1:81:80", [(80, "tcp", "127.0.0.1", 81, 81)]),
        ("127.0.0.1:81:80:udp", [(80, "udp", "127.0.0.1", 81, 81)]),
        ("127.0.0.1::80", [(80, "tcp", "127.0.0.1", 0, 0)]),
        ("[::1]:81:80", [(80, "tcp", "::1", 81, 81)]),
        ("[::]::80/udp", [(80, "udp", "::", 0, 0)]),
        ("::1:81:80", [(80, "tcp", "::1", 81, 81)]),
        ("80-82", [(80, "tcp", "", 0, 0), (81, "tcp", "", 0, 0), (82, "tcp", "", 0, 0)]),
        ("90-91:80-81", [(80, "tcp", "", 90, 90), (81, "tcp", "", 91, 91)]),
        ("8000-8010:80", [(80, "tcp", "", 8000, 8010)]),
        ("10.0.0.1:90-91:80-81/udp", [(80, "udp", "10.0.0.1", 90, 90), (81, "udp", "10.0.0.1", 91, 91)]),
        ("65535:65535", [(65535, "tcp", "", 65535, 65535)]),
    ],
)
def test_publish(text: str, ports: list[tuple[int, str, str, int, int]]) -> None:
    assert publish_ranges(text) == ports


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no port specified: <empty>"),
        (":", "no port specified: :<empty>"),
        ("1:", "no port specified: 1:<empty>"),
        ("80/foo", "invalid proto: foo"),
        ("80:80/tcp/udp", "invalid proto: tcp/udp"),
        ("99999:1", "invalid hostPort: 99999"),
        ("a:80", "invalid hostPort: a"),
        ("a:b", "invalid containerPort: b"),
        ("80:0", "invalid containerPort: 0"),
        ("80:99999", "invalid containerPort: 99999"),
        (" 80", "invalid containerPort:  80"),
        ("-1", "invalid containerPort: -1"),
        ("1-", "invalid containerPort: 1-"),
        ("5-3", "invalid containerPort: 5-3"),
        ("٣", "invalid containerPort: ٣"),
        ("127.0.0.1:80", "invalid hostPort: 127.0.0.1"),
        ("1-2:3-5", "invalid ranges specified for container and host Ports: 3-5 and 1-2"),
        ("1:3-5", "invalid ranges specified for container and host Ports: 3-5 and 1"),
        ("300.1.1.1:80:80", "invalid IP address: 300.1.1.1"),
        ("localhost:80:80", "invalid IP address: localhost"),
        ("80:80:80:80", "invalid IP address: 80:80"),
    ],
)
def test_what_cannot_be_published(text: str, why: str) -> None:
    with pytest.raises(Invalid) as caught:
        publish_ranges(text)
    assert caught.value.message == why
    assert caught.value.subject == text


@pytest.mark.parametrize(("text", "ports"), [("7", [(7, "tcp")]), ("8-9/udp", [(8, "udp"), (9, "udp")])])
def test_expose(text: str, ports: list[tuple[int, str]]) -> None:
    assert expose_range(text) == ports


@pytest.mark.parametrize("text", ["1:2", "", "x", "9-8", "0", "7/foo"])
def test_what_cannot_be_exposed(text: str) -> None:
    with pytest.raises(Invalid):
        expose_range(text)


@given(st.text(alphabet="0123456789:-/.[]tcpud", max_size=24))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        ports = publish_ranges(text)
    except Invalid:
        return
    for container, protocol, _address, low, high in ports:
        assert 0 < container < 65536 and 0 <= low <= high < 65536 and protocol in ("tcp", "udp", "sctp")
