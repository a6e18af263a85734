"""tare image inspect."""

from __future__ import annotations

from tare.cli.flags import Flag
from tare.cli.inspecting import FORMAT, inspect
from tare.cli.verb import Verb
from tare.client import images

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tare.cli.flags import Options
    from tare.client.client import Client

FLAGS = (FORMAT, Flag("platform", "", "string", "Platform of the image (os[/arch[/variant]])"))


def image_inspect(options: Options, client: Client) -> int:
    def find(ref: str) -> tuple[str, Any]:
        return "image", images.inspect(client, ref, options.text("platform"))

    return inspect(options.words, find, options.text("format"))


VERB = Verb(image_inspect, "Show everything about images", "[OPTIONS] IMAGE [IMAGE...]", FLAGS, least=1, most=None)
