"""Names of images as Docker spells them (distribution/reference, "Grammar"): ``[DOMAIN/]PATH[:TAG][@DIGEST]``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tare.errors import Invalid

DEFAULT_DOMAIN = "docker.io"
OFFICIAL = "library/"
LATEST = "latest"
NAME_MAX = 255

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,}")
_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed name. ``domain`` and ``path`` are complete (``docker.io``, ``library/busybox``); ``tag`` and ``digest`` are
    empty where they were not given."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        """The name without tag and digest, as people write it: ``busybox``, ``user/app``, ``host:5000/app``."""
        if self.domain != DEFAULT_DOMAIN:
            return f"{self.domain}/{self.path}"
        short = self.path.removeprefix(OFFICIAL)
        return self.path if "/" in short else short

    @property
    def name(self) -> str:
        """The key by which an image is found: repository and tag, ``latest`` when none was given."""
        return f"{self.repository}:{self.tag or LATEST}"


def parse(text: str) -> Reference:
    """Read a name as the user typed it. Raises Invalid with Docker's words."""
    if _ID.fullmatch(text):
        raise Invalid(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings", subject=text)
    rest, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise _invalid(text)
    tag = ""
    colon = rest.rfind(":")
    if colon > rest.rfind("/"):
        rest, tag = rest[:colon], rest[colon + 1 :]
        if not _TAG.fullmatch(tag):
            raise _invalid(text)
    domain, slash, path = rest.partition("/")
    if not slash or not ("." in domain or ":" in domain or domain == "localhost" or domain.lower() != domain):
        domain, path = DEFAULT_DOMAIN, rest
    if domain == "index.docker.io":
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and path and "/" not in path:
        path = OFFICIAL + path
    if not _DOMAIN.fullmatch(domain) or not _PATH.fullmatch(path):
        if path != path.lower() and _PATH.fullmatch(path.lower()):
            raise Invalid(f"invalid reference format: repository name ({path[:300]}) must be lowercase", subject=text)
        raise _invalid(text)
    if len(path) > NAME_MAX:
        raise Invalid(f"repository name must not be more than {NAME_MAX} characters", subject=text)
    return Reference(domain, path, tag, digest)


def _invalid(text: str) -> Invalid:
    return Invalid(f"invalid reference format: {text[:300]!r}", subject=text)
