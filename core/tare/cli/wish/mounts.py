"""``-v``, ``--mount`` and ``--tmpfs`` as Docker's Binds, Volumes, Mounts and Tmpfs."""

from __future__ import annotations

from tare.cli.values import Misspelled, boolean, size
from tare.errors import Invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TYPES = ("bind", "volume", "tmpfs", "image")
RECURSIVE = {
    "enabled": {},
    "disabled": {"NonRecursive": True},
    "writable": {"ReadOnlyNonRecursive": True},
    "readonly": {"ReadOnlyForceRecursive": True},
}


def volumes(words: list[str]) -> tuple[list[str], dict[str, Any]]:
    """(Binds, Volumes): ``source:target[:modes]``, and the anonymous ``/target``. A source with a leading dot is relative."""
    binds = []
    anonymous: dict[str, Any] = {}
    for word in words:
        if ":" not in word:
            anonymous[word] = {}
            continue
        source, rest = word.split(":", 1)
        binds.append(f"{_absolute(source)}:{rest}")
    return binds, anonymous


def _absolute(source: str) -> str:
    """Only what begins with a dot is a path relative to us: other words are names of volumes."""
    if not source.startswith("."):
        return source
    from os.path import abspath

    return abspath(source)


def tmpfs(words: list[str]) -> dict[str, str]:
    found = {}
    for word in words:
        target, _, options = word.partition(":")
        found[target] = options
    return found


def mount(text: str) -> dict[str, Any]:
    """One ``--mount`` word: ``type=bind,source=/a,target=/b,readonly`` (docker(1)). Raises Invalid."""
    found: dict[str, Any] = {"Type": "volume"}
    for field in _fields(text):
        key, equals, value = field.partition("=")
        key = key.strip().lower()
        if not equals and key not in ("readonly", "ro", "volume-nocopy", "bind-nonrecursive"):
            raise _wrong(text, f"invalid field '{field}' must be a key=value pair")
        try:
            _member(found, key, value if equals else "true")
        except KeyError:
            raise _wrong(text, f"unexpected key '{key}' in '{field}'") from None
        except Misspelled as wrong:
            raise _wrong(text, f"invalid value for {key}: {value} ({wrong})") from None
    return _checked(found, text)


def _member(found: dict[str, Any], key: str, value: str) -> None:
    if key == "type":
        found["Type"] = value.lower()
    elif key in ("source", "src"):
        found["Source"] = _absolute(value)
    elif key in ("target", "dst", "destination"):
        found["Target"] = value
    elif key in ("readonly", "ro"):
        found["ReadOnly"] = boolean(value)
    elif key == "consistency":
        found["Consistency"] = value.lower()
    elif key == "bind-propagation":
        found.setdefault("BindOptions", {})["Propagation"] = value.lower()
    elif key == "bind-nonrecursive":
        found.setdefault("BindOptions", {})["NonRecursive"] = boolean(value)
    elif key == "bind-recursive":
        if value not in RECURSIVE:
            raise Misspelled("use enabled, disabled, writable or readonly")
        found.setdefault("BindOptions", {}).update(RECURSIVE[value])
    elif key == "volume-nocopy":
        found.setdefault("VolumeOptions", {})["NoCopy"] = boolean(value)
    elif key == "volume-subpath":
        found.setdefault("VolumeOptions", {})["Subpath"] = value
    elif key == "volume-label":
        name, _, text = value.partition("=")
        found.setdefault("VolumeOptions", {}).setdefault("Labels", {})[name] = text
    elif key == "volume-driver":
        found.setdefault("VolumeOptions", {}).setdefault("DriverConfig", {})["Name"] = value
    elif key == "volume-opt":
        name, _, text = value.partition("=")
        driver = found.setdefault("VolumeOptions", {}).setdefault("DriverConfig", {})
        driver.setdefault("Options", {})[name] = text
    elif key == "tmpfs-size":
        found.setdefault("TmpfsOptions", {})["SizeBytes"] = size(value)
    elif key == "tmpfs-mode":
        try:
            found.setdefault("TmpfsOptions", {})["Mode"] = int(value, 8)
        except ValueError:
            raise Misspelled("an octal number such as 1777") from None
    elif key == "image-subpath":
        found.setdefault("ImageOptions", {})["Subpath"] = value
    else:
        raise KeyError(key)


def _checked(found: dict[str, Any], text: str) -> dict[str, Any]:
    kind = found["Type"]
    if kind not in TYPES:
        raise _wrong(text, f"unknown mount type '{kind}'")
    if not found.get("Target"):
        raise _wrong(text, "target is required")
    for owner in TYPES:
        if f"{owner.capitalize()}Options" in found and kind != owner:
            raise _wrong(text, f"cannot mix '{owner}-*' options with mount type '{kind}'")
    return found


def _fields(text: str) -> list[str]:
    """The comma-separated fields of a CSV line; a field in double quotes may hold commas, ``""`` is a quote in it."""
    fields = [""]
    quoted = False
    for index, letter in enumerate(text):
        if letter == '"':
            if not quoted and index and text[index - 1] == '"' and fields[-1]:
                fields[-1] += letter
            quoted = not quoted
        elif letter == "," and not quoted:
            fields.append("")
        else:
            fields[-1] += letter
    if quoted:
        raise _wrong(text, "a double quote is not closed")
    return [field for field in fields if field] if len(fields) > 1 else fields


def _wrong(text: str, why: str) -> Invalid:
    return Invalid(f'invalid argument "{text}" for "--mount" flag: {why}', subject=text)
