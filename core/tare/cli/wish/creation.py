"""Creating a container: what run and create have in common."""

from __future__ import annotations

import posix

from tare.cli import render
from tare.cli.wish.body import create_body
from tare.client import containers
from tare.errors import Invalid, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client

PULLS = ("always", "missing", "never")
CURE = "pulling is not available yet: bring it in with `tare load -i FILE` or `tare import FILE NAME`"


def create(client: Client, options: Options, streams: frozenset[str]) -> str:
    """The id of a new container; warnings go to standard error. Raises TareError."""
    _check_pull(options.text("pull", "missing"))
    body = create_body(options, streams)
    path = options.text("cidfile")
    if path:
        return _with_id_file(path, client, options, body)
    return _create(client, options, body)


def _create(client: Client, options: Options, body: dict[str, object]) -> str:
    try:
        answer = containers.create(client, body, options.text("name"), options.text("platform"))
    except NotFound as error:
        if "no such image" not in error.message.lower():
            raise
        raise NotFound(f"Unable to find image {_tagged(options.words[0])!r} locally", hint=CURE) from None
    for warning in answer.get("Warnings") or ():
        render.note(f"WARNING: {warning}")
    return str(answer["Id"])


def _with_id_file(path: str, client: Client, options: Options, body: dict[str, object]) -> str:
    try:
        fd = posix.open(path, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL, 0o644)
    except FileExistsError:
        cure = f"make sure the other container isn't running or delete {path}"
        raise Invalid(f"container ID file found: {path}", subject=path, hint=cure) from None
    except OSError as error:
        raise Invalid(f"failed to create the container ID file {path}: {(error.strerror or '').lower()}", subject=path) from None
    try:
        id = _create(client, options, body)
        posix.write(fd, id.encode())
    except BaseException:
        posix.unlink(path)
        raise
    finally:
        posix.close(fd)
    return id


def _check_pull(policy: str) -> None:
    if policy not in PULLS:
        raise Invalid(f"invalid pull option: {policy!r}: must be one of {', '.join(map(repr, PULLS))}", subject=policy)
    if policy == "always":
        raise Invalid("--pull always is not supported yet", subject=policy, hint="use --pull missing or never")


def _tagged(image: str) -> str:
    last = image.rpartition("/")[2]
    return image if ":" in last or "@" in last or image.startswith("sha256:") else f"{image}:latest"
