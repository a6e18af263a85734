"""``version``: client and daemon side by side."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_CLIENT = (("GoVersion", "Go version"), ("GitCommit", "Git commit"), ("BuildTime", "Built"))
_DETAILS = (
    ("GoVersion", "Go version"),
    ("PythonVersion", "Python version"),
    ("GitCommit", "Git commit"),
    ("BuildTime", "Built"),
)


def render(value: Mapping[str, Any]) -> str:
    """``{"Client": {…}, "Server": /version's JSON or None}`` as Docker's client lays it out; ends in a newline."""
    client, server = value["Client"], value.get("Server")
    lines = ["Client:", _line(1, "Version", client.get("Version", ""))]
    spoken, own = client.get("ApiVersion", ""), client.get("DefaultAPIVersion", "")
    lines.append(_line(1, "API version", f"{spoken} (downgraded from {own})" if own and own != spoken else spoken))
    lines += [_line(1, label, client[key]) for key, label in _CLIENT if client.get(key)]
    lines.append(_line(1, "OS/Arch", f"{client.get('Os', '')}/{client.get('Arch', '')}"))
    lines.append(_line(1, "Context", client.get("Context") or "default"))
    if server:
        name = (server.get("Platform") or {}).get("Name", "")
        lines += ["", f"Server: {name}".rstrip(" ") if name else "Server:"]
        for component in server.get("Components") or [_engine(server)]:
            lines += _component(component)
    return "\n".join(lines) + "\n"


def _line(depth: int, label: str, text: str) -> str:
    return f"{' ' * depth}{label + ':':{19 - depth}} {text}"


def _engine(server: Mapping[str, Any]) -> dict[str, Any]:
    """What daemons older than API 1.35 say of themselves, in the shape of a component."""
    return {"Name": "Engine", "Version": server.get("Version", ""), "Details": server}


def _component(component: Mapping[str, Any]) -> list[str]:
    details = component.get("Details") or {}
    lines = [f" {component['Name']}:", _line(2, "Version", component.get("Version", ""))]
    if not details.get("ApiVersion"):
        return lines + [_line(2, key, details[key]) for key in sorted(details)]
    least = details.get("MinAPIVersion") or ""
    lines.append(_line(2, "API version", details["ApiVersion"] + (f" (minimum version {least})" if least else "")))
    lines += [_line(2, label, _built(details[key])) for key, label in _DETAILS if details.get(key)]
    lines.append(_line(2, "OS/Arch", f"{details.get('Os', '')}/{details.get('Arch', '')}"))
    if details.get("Experimental"):
        lines.append(_line(2, "Experimental", str(details["Experimental"]).lower()))
    return lines


def _built(text: str) -> str:
    """An RFC 3339 time as C's asctime has it; anything else as it is."""
    if text[4:5] != "-" or text[10:11] != "T":
        return text
    from datetime import datetime

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{moment:%a %b} {moment.day:2d} {moment:%H:%M:%S %Y}"
