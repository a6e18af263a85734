"""Docker's API for images, one function a call."""

from __future__ import annotations

from tare.client.client import TEXT_OR_JSON, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from tare.client.client import Call, Client, Query

TAR = "Content-Type: application/x-tar\r\n"


def listing(client: Client, query: Query) -> Call:
    return client.begin("GET", "/images/json", query, headers=TEXT_OR_JSON)


def inspect(client: Client, ref: str, platform: str = "") -> dict[str, Any]:
    found: dict[str, Any] = client.ask("GET", f"/images/{quote(ref)}/json", (("platform", platform),))
    return found


def history(client: Client, ref: str, query: Query, *, text: bool = True) -> Call:
    return client.begin("GET", f"/images/{quote(ref)}/history", query, headers=TEXT_OR_JSON if text else "")


def tag(client: Client, ref: str, repository: str, tag: str) -> None:
    client.ask("POST", f"/images/{quote(ref)}/tag", (("repo", repository), ("tag", tag)))


def remove(client: Client, ref: str, query: Query) -> Call:
    """Its value is a list of ``{"Untagged": ref}`` and ``{"Deleted": id}``."""
    return client.begin("DELETE", f"/images/{quote(ref)}", query)


def load(client: Client, archive: Iterable[bytes], query: Query) -> Call:
    """Its values are progress lines ``{"stream": text}`` or ``{"errorDetail": …}``."""
    return client.begin("POST", "/images/load", query, archive, TAR)


def save(client: Client, refs: list[str], platform: str = "") -> Call:
    """Its body is one archive of all images."""
    query = [("names", ref) for ref in refs]
    return client.begin("GET", "/images/get", [*query, ("platform", platform)])


def import_archive(client: Client, archive: Iterable[bytes] | None, query: Query) -> Call:
    """Its values are progress lines; the last ``{"status": id}`` names the image."""
    return client.begin("POST", "/images/create", query, archive, TAR)


def prune(client: Client, filters: str) -> dict[str, Any]:
    """``{"ImagesDeleted": [{"Untagged"} | {"Deleted"}] | None, "SpaceReclaimed": bytes}``."""
    pruned: dict[str, Any] = client.ask("POST", "/images/prune", (("filters", filters),))
    return pruned
