"""tare image inspect."""

from __future__ import annotations

from tare.cli.flags import Flag
from tare.cli.inspecting import FORMAT, inspect
from tare.cli.verb import Verb
from tare.client import images

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client

FLAGS = (FORMAT, Flag("platform", "", "string", "Platform of the image (os[/arch[/variant]])"))


def image_inspect(options: Options, client: Client) -> int:
    return inspect(options.words, lambda ref: images.inspect(client, ref, options.text("platform")), options.text("format"))


VERB = Verb(image_inspect, "Show everything about images", "[OPTIONS] IMAGE [IMAGE...]", FLAGS, least=1, most=None)
