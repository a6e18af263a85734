"""Docker's API for the daemon itself and for networks, and tare's own about plugins and settings."""

from __future__ import annotations

from tare.client.client import TEXT_OR_JSON, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tare.client.client import Call, Client, Query


def ping(client: Client) -> dict[str, str]:
    """The answer's headers."""
    response = client.begin("GET", "/_ping").answer()
    response.read()
    client.keep(response)
    return response.headers


def version(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = client.ask("GET", "/version")
    return found


def info(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = client.ask("GET", "/info")
    return found


def events(client: Client, query: Query) -> Call:
    """Its values are Docker's event objects, for as long as there are any."""
    return client.begin("GET", "/events", query, headers=TEXT_OR_JSON)


def disk_usage(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = client.ask("GET", "/system/df")
    return found


def networks(client: Client, query: Query) -> Call:
    return client.begin("GET", "/networks", query, headers=TEXT_OR_JSON)


def network(client: Client, ref: str, *, verbose: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = client.ask("GET", f"/networks/{quote(ref)}", (("verbose", verbose),))
    return found


def prune_networks(client: Client, filters: str) -> list[str]:
    """The names of the networks that went; ``filters`` is JSON text or nothing."""
    pruned: dict[str, Any] = client.ask("POST", "/networks/prune", (("filters", filters),))
    return list(pruned["NetworksDeleted"] or ())


def plugins(client: Client, query: Query) -> Call:
    """Every plugin that tare found, with its state and the reason for it."""
    return client.begin("GET", "/tare/v1/plugins", query, headers=TEXT_OR_JSON)


def plugin(client: Client, name: str) -> dict[str, Any]:
    found: dict[str, Any] = client.ask("GET", f"/tare/v1/plugins/{quote(name)}")
    return found


def settings(client: Client) -> Any:
    """The effective settings and where each comes from."""
    return client.ask("GET", "/tare/v1/config")
