"""tare save: images into an archive that is docker-archive and OCI layout at once."""

from __future__ import annotations

from tare.cli import archives, render
from tare.cli.flags import Flag
from tare.cli.verb import Verb
from tare.client import images
from tare.errors import Invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client

FLAGS = (
    Flag("output", "o", "string", "Write a file instead of standard output"),
    Flag("platform", "", "string", "Save that platform of the image only"),
)


def save(options: Options, client: Client) -> int:
    import os

    path = options.text("output")
    if not path and os.isatty(1):
        raise Invalid("cowardly refusing to save to a terminal", hint="use the -o flag or redirect")
    pieces = images.save(client, options.words, options.text("platform")).answer().chunks()
    if path:
        archives.write(path, pieces)
    else:
        for piece in pieces:
            render.raw(1, piece)
    return 0


VERB = Verb(save, "Save images into an archive", "[OPTIONS] IMAGE [IMAGE...]", FLAGS, least=1, most=None)
