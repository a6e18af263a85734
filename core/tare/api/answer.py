"""What a route gives back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response. ``kind`` is the Content-Type, empty where there is no body."""

    status: int = 200
    body: bytes = b""
    kind: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stream:
    """A response that goes out as it comes; its head goes out at once. The iterator is closed when the client leaves."""

    pieces: AsyncIterator[bytes]
    kind: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Hijacked:
    """The connection belongs to somebody else now."""


def as_json(value: Any, status: int = 200) -> Answer:
    return Answer(status, line(value), "application/json")


def as_text(text: str) -> Answer:
    return Answer(200, text.encode("utf-8", "replace"), "text/plain; charset=utf-8")


def line(value: Any) -> bytes:
    """One value as JSON, with a newline."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"


NOTHING = Answer(204)
