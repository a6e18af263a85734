"""tare ps: the containers."""

from __future__ import annotations

from tare.cli import listings, render
from tare.cli.flags import Flag
from tare.cli.verb import Verb
from tare.client import containers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client

FLAGS = (
    Flag("all", "a", "bool", "Show all containers, not only the running ones"),
    listings.FILTER,
    listings.FORMAT,
    Flag("last", "n", "int", "Show the N containers created last"),
    Flag("latest", "l", "bool", "Show the container created last"),
    listings.NO_TRUNC,
    listings.QUIET,
    Flag("size", "s", "bool", "Show sizes"),
)
COLUMNS = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")


def ps(options: Options, client: Client) -> int:
    if options.flag("quiet") and options.given.pop("format", ""):
        render.note("WARNING: Ignoring custom format, because both --format and --quiet are set.")
    last = 1 if options.flag("latest") else options.number("last", -1)
    size = options.flag("size") or ".Size" in options.text("format")
    columns = "table " + "\t".join(f"{{{{.{name}}}}}" for name in (*COLUMNS, "Size")) if size else ""
    asked = listings.query(
        options,
        ("all", options.flag("all")),
        ("limit", str(last) if last > 0 else ""),
        ("size", size),
        format=columns,
    )
    return listings.show(containers.listing(client, asked), "containers", asked)


VERB = Verb(ps, "List containers", flags=FLAGS)
