"""tare run: create, attach, wait and start, in Docker's order."""

from __future__ import annotations

from tare.cli import render
from tare.cli.verb import Verb
from tare.cli.wish.creation import create
from tare.cli.wish.flags import RUN
from tare.client import containers
from tare.errors import Invalid, TareError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client

STREAMS = ("stdin", "stdout", "stderr")


def run(options: Options, client: Client) -> int:
    streams = wanted(options)
    if options.flag("detach"):
        id = create(client, options, streams)
        code = _start(client, id)
        # Also when it did not start: it is there, as in docker, and the id is what a script has to remove it by.
        render.line(id)
        return code
    from tare.cli.attachment import Attachment

    attachment = Attachment(
        client, "", tty=options.flag("tty"), wanted=streams, keys=options.text("detach-keys")
    )  # fmt: skip
    try:
        attachment.check()
    except TareError as error:
        render.failure(error)
        return 1
    attachment.ref = id = create(client, options, streams)
    if options.flag("sig-proxy", True):
        attachment.proxy_signals()
    attachment.open()
    code = attachment.start("removed" if options.flag("rm") else "next-exit")
    if code:
        return code
    if not streams & {"stdout", "stderr"}:
        render.line(id)
    return attachment.follow()


def wanted(options: Options) -> frozenset[str]:
    """The streams to attach. Raises Invalid for flags that contradict each other."""
    named = [name.lower() for name in options.many("attach")]
    for name in named:
        if name not in STREAMS:
            raise Invalid(f"valid streams are stdin, stdout and stderr, not {name!r}", subject=name)
    if options.flag("detach"):
        if named:
            raise Invalid("conflicting options: cannot specify both --attach and --detach", subject="--attach")
        return frozenset()
    if named:
        return frozenset(named)
    return frozenset(STREAMS if options.flag("interactive") else STREAMS[1:])


def _start(client: Client, id: str) -> int:
    try:
        containers.start(client, id).body()
    except TareError as error:
        from tare.cli.attachment import start_code

        render.failure(error)
        return start_code(error)
    return 0


VERB = Verb(
    run,
    "Create a container from an image and run a command in it",
    "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    RUN,
    least=1,
    most=None,
    interspersed=False,
    failure=125,
)
