"""tare start: run containers that exist, attached to one of them if asked."""

from __future__ import annotations

from tare.cli.flags import Flag
from tare.cli.several import each
from tare.cli.verb import Verb
from tare.client import containers
from tare.errors import Invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client

FLAGS = (
    Flag("attach", "a", "bool", "Attach to its output and pass signals on"),
    Flag("detach-keys", "", "string", "Keys that leave the container (default ctrl-p,ctrl-q)"),
    Flag("interactive", "i", "bool", "Attach to its input"),
)


def start(options: Options, client: Client) -> int:
    if not options.flag("attach") and not options.flag("interactive"):
        return each(options.words, lambda ref: containers.start(client, ref))
    if len(options.words) > 1:
        raise Invalid("you cannot start and attach multiple containers at once", subject=options.words[1])
    from tare.cli.attachment import BOTH_OUTPUTS, Attachment

    ref = options.words[0]
    found = containers.inspect(client, ref)
    config = found["Config"]
    takes_input = options.flag("interactive") and config["OpenStdin"]
    wanted = BOTH_OUTPUTS | {"stdin"} if takes_input else BOTH_OUTPUTS
    attachment = Attachment(client, found["Id"], tty=config["Tty"], wanted=wanted, keys=options.text("detach-keys"))
    attachment.check()
    attachment.proxy_signals()
    attachment.open()
    return attachment.start("removed" if found["HostConfig"].get("AutoRemove") else "next-exit") or attachment.follow()


VERB = Verb(start, "Start containers", "[OPTIONS] CONTAINER [CONTAINER...]", FLAGS, least=1, most=None)
