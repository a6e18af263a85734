"""tare load: images from an archive."""

from __future__ import annotations

from tare.cli import archives
from tare.cli.flags import Flag
from tare.cli.verb import Verb
from tare.client import images
from tare.errors import Invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client

FLAGS = (
    Flag("input", "i", "string", "Read a file instead of standard input"),
    Flag("platform", "", "string", "Load that platform of the image only"),
    Flag("quiet", "q", "bool", "Show no progress"),
)


def load(options: Options, client: Client) -> int:
    import os

    path = options.text("input") or "-"
    if path == "-" and os.isatty(0):
        raise Invalid("requested load from stdin, but stdin is empty", hint="name a file with -i, or redirect one: < FILE")
    quiet = options.flag("quiet")
    call = images.load(client, archives.read(path), (("quiet", "1" if quiet else "0"), ("platform", options.text("platform"))))
    archives.progress(call.values())
    return 0


VERB = Verb(load, "Load images from an archive", flags=FLAGS)
