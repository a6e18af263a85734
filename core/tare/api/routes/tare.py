"""What Docker has no word for, under /tare/v1: plugins, the effective configuration, why a port is reachable; and start
and wait in one request."""

from __future__ import annotations

from typing import Any

from tare.api import tables
from tare.api.answer import Answer, Stream, as_json, as_text
from tare.api.call import Call
from tare.api.router import Route
from tare.api.routes import containers
from tare.config import show
from tare.drivers.network import SupportsExplain
from tare.errors import NotFound
from tare.hooks.status import PluginStatus


def _plugin(status: PluginStatus) -> dict[str, Any]:
    return {
        "Name": status.name,
        "Distribution": status.dist,
        "Version": status.version,
        "EntryPoint": status.value,
        "State": status.state,
        "Reason": status.reason,
        "Drivers": [
            {"Kind": driver.kind, "Name": driver.name, "State": driver.state, "Reason": driver.reason, "Summary": driver.summary}
            for driver in status.drivers
        ],
        "Hooks": list(status.hooks),
    }


async def plugins(call: Call) -> Answer:
    return tables.listed(call, "plugins", [_plugin(status) for status in call.engine.plugins.list()])


async def plugin(call: Call) -> Answer:
    for status in call.engine.plugins.list():
        if status.name == call.ref:
            return as_json(_plugin(status))
    raise NotFound(f"no such plugin: {call.ref}", subject=call.ref, hint="tare plugin ls shows all")


async def config(call: Call) -> Answer:
    """Every supported key with its value and where it comes from."""
    rows = show.rows(call.engine.settings)
    return as_json({row["key"]: {"Value": row["value"], "Origin": row["origin"]} for row in rows})


async def explain(call: Call) -> Answer:
    """What every network driver in use has set up, in its own words."""
    engine = call.engine
    told: dict[str, str] = {}
    for network in engine.networks():
        driver = await engine.roster.open("network", network.driver)
        if driver.name not in told and driver.supports(SupportsExplain):
            told[driver.name] = await driver.call("describe")
    if call.wants_text:
        return as_text("\n".join(f"{name}:\n{text.rstrip()}\n" for name, text in told.items()))
    return as_json(told)


async def start(call: Call) -> Stream:
    """Docker's start and wait in one: the head comes when the container runs, the body when the condition is met."""
    condition = containers.condition(call)
    await call.engine.start(call.ref)
    # Nothing has run since it started: its end is still to come.
    return containers.exit_code(call.engine.expect(call.ref, condition))


ROUTES = [
    Route("GET", "/tare/v1/plugins", plugins),
    Route("GET", "/tare/v1/plugins/{ref}", plugin),
    Route("GET", "/tare/v1/config", config),
    Route("GET", "/tare/v1/network/explain", explain),
    Route("POST", "/tare/v1/containers/{ref}/start", start),
]
