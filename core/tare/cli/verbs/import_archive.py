"""tare import: an image out of a plain archive of files."""

from __future__ import annotations

from tare.cli import archives, render
from tare.cli.flags import Flag
from tare.cli.verb import Verb
from tare.cli.verbs.tag import split
from tare.client import images

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client

FLAGS = (
    Flag("change", "c", "list", "Apply a Dockerfile instruction to the image"),
    Flag("message", "m", "string", "Say in the history where it comes from"),
    Flag("platform", "", "string", "Platform of the image (os[/arch[/variant]])"),
)


def import_archive(options: Options, client: Client) -> int:
    source, *name = options.words
    repository, tag = split(name[0]) if name else ("", "")
    remote = source.startswith(("http://", "https://"))
    asked = [
        ("fromSrc", source if remote else "-"), ("repo", repository), ("tag", tag),
        ("message", options.text("message")), ("platform", options.text("platform")),
        *(("changes", change) for change in options.many("change")),
    ]  # fmt: skip
    status = archives.progress(images.import_archive(client, None if remote else archives.read(source), asked).values())
    render.line(status)
    return 0


USAGE = "[OPTIONS] FILE|URL|- [REPOSITORY[:TAG]]"
VERB = Verb(import_archive, "Make an image from an archive of files", USAGE, FLAGS, least=1, most=2)
