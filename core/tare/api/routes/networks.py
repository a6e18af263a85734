"""Networks: for now those that always exist."""

from __future__ import annotations

from tare.api import tables
from tare.api.answer import Answer, as_json
from tare.api.call import Call
from tare.api.router import Route
from tare.api.routes.filtering import has_label, truth
from tare.api.shapes import networks as shapes
from tare.api.shapes.members import Members
from tare.engine.prune import until
from tare.errors import Denied, Invalid, Unsupported
from tare.model.network import Network
from tare.networks.predefined import PREDEFINED, driver_shown

FILTERS = frozenset(("dangling", "driver", "id", "label", "name", "scope", "type"))
PRUNE_FILTERS = frozenset(("label", "label!", "until"))


async def list_networks(call: Call) -> Answer:
    filters = call.filters(FILTERS)
    for kind in filters.get("type", ()):
        if kind not in ("custom", "builtin"):
            raise Invalid(f"invalid filter: 'type'='{kind}'", subject=kind, hint="custom or builtin")
    rows = [
        shapes.summary(network, call.version)
        for network in call.engine.networks()
        if all(any(_matches(call, network, name, text) for text in texts) for name, texts in filters.items() if texts)
    ]
    return tables.listed(call, "networks", rows)


def _matches(call: Call, network: Network, name: str, text: str) -> bool:
    builtin = network.name in PREDEFINED
    match name:
        case "driver":
            return driver_shown(network.driver) == text
        case "id":
            return network.id.startswith(text)
        case "label":
            return has_label(network.labels, text)
        case "name":
            return text in network.name
        case "scope":
            return text == "local"
        case "type":
            return (text == "builtin") == builtin
        case _:
            unused = not builtin and not call.engine.network_users(network)
            return truth("dangling", text) == unused


async def inspect(call: Call) -> Answer:
    network = call.engine.network(call.ref)
    return as_json(shapes.inspect(network, call.engine.network_users(network), call.version))


async def prune(call: Call) -> Answer:
    """Networks that nobody uses go; the predefined ones always stay, and there are no others yet."""
    until(call.filters(PRUNE_FILTERS))
    return as_json({"NetworksDeleted": None})


async def delete(call: Call) -> Answer:
    name = call.engine.network(call.ref).name
    raise Denied(f"{name} is a pre-defined network and cannot be removed", subject=call.ref)


async def connect(call: Call) -> Answer:
    body = await call.json()
    network = call.engine.network(call.ref)
    call.engine.container(Members(body).text("Container"))
    raise Unsupported(
        f"connecting a container to {network.name} or away from it is not supported yet",
        subject=call.ref,
        hint="choose with tare run --network",
    )


async def create(call: Call) -> Answer:
    raise Unsupported("user-defined networks are not supported yet", hint="bridge, host, none and container:NAME exist")


ROUTES = [
    Route("GET", "/networks", list_networks),
    Route("GET", "/networks/{ref}", inspect),
    Route("DELETE", "/networks/{ref}", delete),
    Route("POST", "/networks/create", create),
    Route("POST", "/networks/prune", prune),
    Route("POST", "/networks/{ref}/connect", connect),
    Route("POST", "/networks/{ref}/disconnect", connect),
]
