"""tare events: what happens, as it happens."""

from __future__ import annotations

from tare.cli import listings, render
from tare.cli.flags import Flag
from tare.cli.inspecting import BAD_TEMPLATE
from tare.cli.verb import Verb
from tare.client import system
from tare.client.client import values
from tare.errors import Invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tare.cli.flags import Options
    from tare.client.client import Client

FLAGS = (
    listings.FILTER,
    listings.FORMAT,
    Flag("since", "", "string", "Begin with what happened since a time or duration"),
    Flag("until", "", "string", "End at a time or duration"),
)


def events(options: Options, client: Client) -> int:
    from tare.cli.moments import moment

    format = options.text("format")
    if format and format != "json":
        # Told now, and not when the first event comes.
        from tare.present import events as texts
        from tare.present.template import Template

        try:
            Template(format).render(texts.typed({}))
        except Invalid as error:
            render.failure(error)
            return BAD_TEMPLATE
    asked = listings.query(options, ("since", moment(options.text("since"))), ("until", moment(options.text("until"))))
    response = system.events(client, asked).answer()
    if response.media == "text/plain":
        for chunk in response.chunks():
            render.raw(1, chunk)
        return 0
    for event in values(response):
        render.out(listings.rendered("events", [event], dict(asked)))
    return 0


VERB = Verb(events, "Show events as they happen", flags=FLAGS)
