"""tare rmi: a name of an image goes, and with the last name the image."""

from __future__ import annotations

from tare.cli import render
from tare.cli.flags import Flag
from tare.cli.verb import Verb
from tare.client import images
from tare.errors import NotFound, TareError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client

FLAGS = (
    Flag("force", "f", "bool", "Remove it although something refers to it"),
    Flag("no-prune", "", "bool", "Keep untagged parents"),
    Flag("platform", "", "strings", "Remove that platform of the image only"),
)


def rmi(options: Options, client: Client) -> int:
    asked = [("force", options.flag("force")), ("noprune", options.flag("no-prune"))]
    asked += [("platforms", platform) for platform in options.many("platform")]  # type: ignore[misc]
    code = 0
    # One after the other: two names may be of one image.
    for ref in options.words:
        try:
            show_removed(images.remove(client, ref, asked).value())
        except TareError as error:
            render.failure(error)
            code = code if options.flag("force") and isinstance(error, NotFound) else 1
    return code


def show_removed(gone: list[dict[str, str]] | None) -> None:
    for entry in gone or ():
        for what, name in entry.items():
            render.line(f"{what}: {name}")


VERB = Verb(rmi, "Remove images", "[OPTIONS] IMAGE [IMAGE...]", FLAGS, least=1, most=None)
