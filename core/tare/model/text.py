"""Strings as other programs send them."""

from __future__ import annotations

from typing import Any

REPLACEMENT = "\ufffd"


def writable(value: Any) -> Any:
    """A JSON value all of whose strings can be written as UTF-8: half a character becomes U+FFFD, as in Go's encoding/json.

    Python's decoder lets such halves (``"\\ud800"``) through, and every encoder stumbles over them later.
    """
    if isinstance(value, str):
        return "".join(REPLACEMENT if "\ud800" <= letter <= "\udfff" else letter for letter in value)
    if isinstance(value, list):
        return [writable(entry) for entry in value]
    if isinstance(value, dict):
        return {writable(name): writable(entry) for name, entry in value.items()}
    return value


def has_halves(raw: bytes) -> bool:
    """Whether a JSON document may hold half characters: only an escape can bring one."""
    return b"\\ud" in raw or b"\\uD" in raw
