"""JSON (RFC 8259) on the interpreter's own C scanner and encoder.

``import json`` brings ``re`` and ``enum`` along and costs more than most commands; the two C functions under it cost
nothing. Where they are missing or shaped differently, ``json`` itself does the work.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Reading:
    """The settings that the C scanner asks for; those of ``json.loads``."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: dict[str, str] = {}


def loads(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError for what is no JSON."""
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    try:
        from _json import make_scanner

        start = len(text) - len(text.lstrip(" \t\r\n"))
        value, end = make_scanner(_Reading)(text, start)  # type: ignore[arg-type]
        if text[end:].strip(" \t\r\n"):
            raise ValueError(f"something follows the JSON value at character {end}")
    except (ImportError, StopIteration, SystemError):
        # The scanner words its errors with json.decoder, which nobody has imported: let json look at the text itself.
        import json

        return json.loads(text)
    return value


def _refuse(value: object) -> Any:
    raise TypeError(f"{type(value).__name__} has no JSON form")


def dumps(value: Any) -> str:
    """The shortest JSON text of a value of dicts with string keys, lists, tuples, strings, numbers, booleans and None."""
    try:
        from _json import encode_basestring_ascii, make_encoder

        encode = make_encoder(None, _refuse, encode_basestring_ascii, None, ":", ",", False, False, False)
    except (ImportError, TypeError):
        import json

        return json.dumps(value, separators=(",", ":"))
    return "".join(encode(value, 0))


def indented(value: Any, step: str = "    ", margin: str = "") -> str:
    """The value as ``docker inspect`` prints it: one member a line, order as it came, text unescaped."""
    if isinstance(value, dict) and value:
        inner = margin + step
        members = (f"{inner}{_text(str(name))}: {indented(member, step, inner)}" for name, member in value.items())
        return "{\n" + ",\n".join(members) + f"\n{margin}}}"
    if isinstance(value, list) and value:
        inner = margin + step
        return "[\n" + ",\n".join(inner + indented(member, step, inner) for member in value) + f"\n{margin}]"
    return _text(value) if isinstance(value, str) else dumps(value)


def _text(value: str) -> str:
    try:
        from _json import encode_basestring
    except ImportError:
        return dumps(value)
    encoded: str = encode_basestring(value)
    return encoded
