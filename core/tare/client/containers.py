"""Docker's API for containers and their further processes (exec), one function a call."""

from __future__ import annotations

from tare.client.client import TEXT_OR_JSON, quote
from tare.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tare.client.client import Call, Client, Query


OK = 200
NO_SUCH_PATH = "page not found"
"""What a daemon of Docker's says of a path that it does not know."""


def create(client: Client, body: dict[str, Any], name: str = "", platform: str = "") -> dict[str, Any]:
    """``{"Id", "Warnings"}``. Raises NotFound for an unknown image, Conflict for a name in use, Invalid."""
    answer: dict[str, Any] = client.ask("POST", "/containers/create", (("name", name), ("platform", platform)), body)
    return answer


def start(client: Client, ref: str) -> Call:
    return client.begin("POST", f"/containers/{quote(ref)}/start")


def stop(client: Client, ref: str, timeout: int | None = None, signal: str = "") -> Call:
    query = (("t", None if timeout is None else str(timeout)), ("signal", signal))
    return client.begin("POST", f"/containers/{quote(ref)}/stop", query)


def restart(client: Client, ref: str, timeout: int | None = None, signal: str = "") -> Call:
    query = (("t", None if timeout is None else str(timeout)), ("signal", signal))
    return client.begin("POST", f"/containers/{quote(ref)}/restart", query)


def kill(client: Client, ref: str, signal: str = "") -> Call:
    return client.begin("POST", f"/containers/{quote(ref)}/kill", (("signal", signal),))


def pause(client: Client, ref: str) -> Call:
    return client.begin("POST", f"/containers/{quote(ref)}/pause")


def unpause(client: Client, ref: str) -> Call:
    return client.begin("POST", f"/containers/{quote(ref)}/unpause")


def remove(client: Client, ref: str, *, force: bool = False, volumes: bool = False, link: bool = False) -> Call:
    return client.begin("DELETE", f"/containers/{quote(ref)}", (("force", force), ("v", volumes), ("link", link)))


def rename(client: Client, ref: str, name: str) -> None:
    client.ask("POST", f"/containers/{quote(ref)}/rename", (("name", name),))


def wait(client: Client, ref: str, condition: str = "") -> Call:
    """Its value is ``{"StatusCode", "Error": {"Message"} | None}``; it comes when the condition is met."""
    return client.begin("POST", f"/containers/{quote(ref)}/wait", (("condition", condition),))


def start_and_wait(client: Client, ref: str, condition: str) -> Call:
    """Start it; answered when it runs, and the value is that of ``wait``. Raises TareError when it does not start."""
    try:
        call = client.begin("POST", f"/tare/v1/containers/{quote(ref)}/start", (("condition", condition),))
        if call.answer().status == OK:
            return call
    except NotFound as error:
        if error.message != NO_SUCH_PATH:
            raise
        # Not tare's daemon: Docker's takes two requests.
    call = wait(client, ref, condition)
    start(client, ref).body()
    return call


def attach(client: Client, ref: str, query: Query) -> Call:
    """A hijacked stream; ``query`` of stream, stdin, stdout, stderr, logs, detachKeys."""
    return client.hijack(f"/containers/{quote(ref)}/attach", query)


def resize(client: Client, ref: str, rows: int, columns: int) -> None:
    client.ask("POST", f"/containers/{quote(ref)}/resize", (("h", rows), ("w", columns)))


def inspect(client: Client, ref: str, *, size: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = client.ask("GET", f"/containers/{quote(ref)}/json", (("size", size),))
    return found


def logs(client: Client, ref: str, query: Query) -> Call:
    return client.begin("GET", f"/containers/{quote(ref)}/logs", query)


def top(client: Client, ref: str, ps_args: str) -> Call:
    return client.begin("GET", f"/containers/{quote(ref)}/top", (("ps_args", ps_args),), headers=TEXT_OR_JSON)


def listing(client: Client, query: Query) -> Call:
    """The containers as text, or as Docker's JSON from a daemon that is not tare's."""
    return client.begin("GET", "/containers/json", query, headers=TEXT_OR_JSON)


def prune(client: Client, filters: str) -> dict[str, Any]:
    """``{"ContainersDeleted": [id] | None, "SpaceReclaimed": bytes}``; ``filters`` is JSON text or nothing."""
    pruned: dict[str, Any] = client.ask("POST", "/containers/prune", (("filters", filters),))
    return pruned


def exec_create(client: Client, ref: str, body: dict[str, Any]) -> str:
    """The id of a further process that is still to be started."""
    created: dict[str, Any] = client.ask("POST", f"/containers/{quote(ref)}/exec", body=body)
    return str(created["Id"])


def exec_start(client: Client, id: str, *, tty: bool) -> Call:
    """A hijacked stream."""
    return client.hijack(f"/exec/{id}/start", body={"Detach": False, "Tty": tty})


def exec_detached(client: Client, id: str, *, tty: bool) -> None:
    client.ask("POST", f"/exec/{id}/start", body={"Detach": True, "Tty": tty})


def exec_inspect(client: Client, id: str) -> dict[str, Any]:
    found: dict[str, Any] = client.ask("GET", f"/exec/{id}/json")
    return found


def exec_resize(client: Client, id: str, rows: int, columns: int) -> None:
    client.ask("POST", f"/exec/{id}/resize", (("h", rows), ("w", columns)))
