"""``--security-opt`` and the daemon's seccomp setting, as what they mean."""

from __future__ import annotations

import os
from dataclasses import dataclass

from tare.errors import Invalid, Unsupported
from tare.oci import seccomp

_ARCHITECTURE = os.uname().machine
_WORDS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Security:
    """``seccomp`` is ``""`` (the daemon's default), ``unconfined``, ``builtin`` or the text of a profile."""

    no_new_privileges: bool = False
    seccomp: str = ""
    system_paths: bool = True
    writable_cgroups: bool = False


def parse(options: tuple[str, ...]) -> Security:
    """Docker's security options. Raises Invalid for one that does not exist, Unsupported where this host lacks it."""
    if not options:
        return _NOTHING
    no_new, profile, system_paths, writable = False, "", True, False
    for option in options:
        separator = "=" if "=" in option else ":"
        key, given, value = option.partition(separator)
        if key == "no-new-privileges":
            no_new = _truth(option, value) if given else True
        elif key == "seccomp" and value:
            profile = value
        elif key == "systempaths" and value == "unconfined":
            system_paths = False
        elif key == "writable-cgroups" and given:
            writable = _truth(option, value)
        elif key == "apparmor" and value:
            _apparmor(option, value)
        elif key == "label" and value:
            _label(option, value)
        else:
            raise Invalid(f'invalid --security-opt 2: "{option}"', subject=option)
    return Security(no_new, profile, system_paths, writable)


_NOTHING = Security()


def program(security: Security, default: str, privileged: bool, capabilities: tuple[str, ...]) -> bytes | None:
    """The filter to load, or None for none. ``default`` is the daemon's: a word as in Security, or a profile's text. Raises
    Invalid for a bad profile."""
    chosen = security.seccomp
    if chosen == "unconfined" or (not chosen and (privileged or default == "unconfined")):
        return None
    held = frozenset(capabilities)
    if chosen and chosen != "builtin":
        return seccomp.file_filter(chosen, held, _ARCHITECTURE)
    if chosen or default in ("", "builtin"):
        return seccomp.default_filter(held, _ARCHITECTURE)
    return seccomp.file_filter(default, held, _ARCHITECTURE)


def profile(setting: str) -> str:
    """The daemon's setting as ``program`` takes it: a path becomes what the file says. Raises Invalid."""
    if setting in ("", "builtin", "unconfined"):
        return setting
    try:
        with open(setting, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Invalid(f"cannot read the seccomp profile {setting}: {why}", subject=setting) from error
    if not text.lstrip().startswith("{"):
        raise Invalid(f"decoding seccomp profile failed: {setting} holds no JSON object", subject=setting)
    return text


def _truth(option: str, word: str) -> bool:
    if word not in _WORDS:
        raise Invalid(f'invalid --security-opt 2: "{option}"', subject=option, hint="true or false")
    return _WORDS[word]


def _apparmor(option: str, profile: str) -> None:
    if profile != "unconfined":
        raise Unsupported(f'apparmor profiles are not supported yet: "{option}"', subject=option, hint="apparmor=unconfined")


def _label(option: str, label: str) -> None:
    if label != "disable":
        raise Unsupported(f'SELinux labels are not supported yet: "{option}"', subject=option, hint="label=disable")
