"""tare logs: what a container has written."""

from __future__ import annotations

from tare.cli.flags import Flag
from tare.cli.verb import Verb
from tare.client import containers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.cli.listings import Word
    from tare.client.client import Client

FLAGS = (
    Flag("details", "", "bool", "Show the attributes that the log driver was given"),
    Flag("follow", "f", "bool", "Go on as the container writes"),
    Flag("since", "", "string", "Show what is younger than a time (2026-01-31T13:00:00Z) or duration (42m)"),
    Flag("tail", "n", "string", "Show that many lines from the end (default all)"),
    Flag("timestamps", "t", "bool", "Show times"),
    Flag("until", "", "string", "Show what is older than a time or duration"),
)
RAW = "application/vnd.docker.raw-stream"
FRAMED = "application/vnd.docker.multiplexed-stream"


def logs(options: Options, client: Client) -> int:
    from tare.cli import streams

    since, until = options.text("since"), options.text("until")
    if since or until:
        from tare.cli.moments import moment

        since, until = moment(since), moment(until)
    asked: list[Word] = [
        ("stdout", True), ("stderr", True), ("since", since), ("until", until), ("tail", options.text("tail")),
        *((name, options.flag(name)) for name in ("details", "follow", "timestamps")),
    ]  # fmt: skip
    ref = options.words[0]
    response = containers.logs(client, ref, asked).answer()
    framed = response.media == FRAMED
    if response.media not in (RAW, FRAMED):
        framed = not containers.inspect(client, ref)["Config"]["Tty"]
    streams.show(response.chunks(), streams.Output(framed))
    return 0


VERB = Verb(logs, "Show what a container has written", "[OPTIONS] CONTAINER", FLAGS, least=1, most=1)
