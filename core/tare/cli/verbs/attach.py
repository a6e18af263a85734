"""tare attach: the streams of a container that runs."""

from __future__ import annotations

from tare.cli.flags import Flag
from tare.cli.verb import Verb
from tare.client import containers
from tare.errors import Conflict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client

FLAGS = (
    Flag("detach-keys", "", "string", "Keys that leave the container (default ctrl-p,ctrl-q)"),
    Flag("no-stdin", "", "bool", "Do not attach to its input"),
    Flag("sig-proxy", "", "bool", "Pass signals on to the container (default true)"),
)


def attach(options: Options, client: Client) -> int:
    from tare.cli.attachment import BOTH_OUTPUTS, Attachment

    ref = options.words[0]
    found = containers.inspect(client, ref)
    state, config = found["State"], found["Config"]
    if not state["Running"]:
        raise Conflict("You cannot attach to a stopped container, start it first", subject=ref, hint=f"use `tare start -a {ref}`")
    if state.get("Paused"):
        raise Conflict("You cannot attach to a paused container, unpause it first", subject=ref)
    takes_input = config["OpenStdin"] and not options.flag("no-stdin")
    wanted = BOTH_OUTPUTS | {"stdin"} if takes_input else BOTH_OUTPUTS
    tty, keys = config["Tty"], options.text("detach-keys")
    attachment = Attachment(client, found["Id"], tty=tty, wanted=wanted, keys=keys, redraw=True)
    attachment.check()
    if options.flag("sig-proxy", True):
        attachment.proxy_signals()
    attachment.wait()
    attachment.open()
    return attachment.follow()


VERB = Verb(attach, "Attach to a running container's streams", "[OPTIONS] CONTAINER", FLAGS, least=1, most=1)
