"""Where the daemon listens."""

from __future__ import annotations

import pytest

from tare.client.address import parse
from tare.errors import Invalid


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("", "unix:///run/tare/tare.sock"),
        ("unix://", "unix:///run/tare/tare.sock"),
        ("unix:///a/b.sock", "unix:///a/b.sock"),
        ("/a/b.sock", "unix:///a/b.sock"),
        ("10.0.0.1", "tcp://10.0.0.1:2375"),
        ("10.0.0.1:99", "tcp://10.0.0.1:99"),
        ("tcp://host", "tcp://host:2375"),
        ("tcp://host:1/", "tcp://host:1"),
        ("tcp://", "tcp://127.0.0.1:2375"),
        ("[::1]:7", "tcp://[::1]:7"),
        ("tcp://[::1]", "tcp://[::1]:2375"),
        ("::1", "tcp://[::1]:2375"),
        (":7", "tcp://127.0.0.1:7"),
    ],
)
def test_spellings(text: str, full: str) -> None:
    assert parse(text).text == full


@pytest.mark.parametrize("text", ["ssh://host", "https://host", "nonsense://x", "host:port", "host:0", "tcp://host:99999"])
def test_no_address(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(text)
    assert text.split("://")[0] in caught.value.message
