"""tare tag: a further name for an image."""

from __future__ import annotations

from tare.cli.verb import Verb
from tare.client import images
from tare.errors import Invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client


def tag(options: Options, client: Client) -> int:
    source, target = options.words
    repository, label = split(target)
    if "@" in target:
        raise Invalid(f"refusing to create a tag with a digest reference: {target}", subject=target)
    if target.endswith(":"):
        raise Invalid(f"{target!r} is not a valid repository/tag: invalid reference format", subject=target)
    images.tag(client, source, repository, label)
    return 0


def split(reference: str) -> tuple[str, str]:
    """(repository, tag): a colon before the last slash belongs to a port. Raises Invalid for an empty tag: the daemon could not
    tell it from none."""
    before, colon, after = reference.rpartition(":")
    if colon and not after:
        raise Invalid(f"invalid reference format: {reference!r}", subject=reference)
    return (before, after) if colon and "/" not in after else (reference, "")


VERB = Verb(tag, "Give an image a further name", "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", least=2, most=2)
