"""``ps``: containers as rows; ports; what ``diff`` and ``port`` show."""

from __future__ import annotations

from tare.present import clock, durations, sizes
from tare.present.go_values import NIL, Nil
from tare.present.listing import Noun, View
from tare.present.references import familiar, short
from tare.present.template_tokens import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    Row = Mapping[str, Any]


def ellipsis(text: str, width: int) -> str:
    """At most so many characters, the last of them ``…`` where some are missing."""
    return text if len(text) <= width else text[: width - 1] + "…"


def labels(row: Row) -> dict[str, str]:
    return row.get("Labels") or {}


def joined(pairs: Mapping[str, str]) -> str:
    """``a=1,b=2``, sorted."""
    return ",".join(f"{key}={pairs[key]}" for key in sorted(pairs))


def _names(row: Row, view: View) -> str:
    names = [name.removeprefix("/") for name in row.get("Names") or ()]
    if not view.no_trunc:
        # the others are aliases that links gave
        names = [name for name in names if "/" not in name][:1] or names
    return ",".join(names)


def _image(row: Row, view: View) -> str:
    image = str(row.get("Image", ""))
    if not image:
        return "<no image>"
    if view.no_trunc:
        return image
    if short(image) == short(str(row.get("ImageID", ""))):
        return short(image)
    return familiar(image.partition("@")[0]) if not image.startswith("sha256:") else image


def _command(row: Row, view: View) -> str:
    command = str(row.get("Command", ""))
    return quoted(command if view.no_trunc else ellipsis(command, 20))


def _size(row: Row, view: View) -> str:
    own = sizes.human(row.get("SizeRw") or 0)
    whole = row.get("SizeRootFs") or 0
    return f"{own} (virtual {sizes.human(whole)})" if whole > 0 else own


def _mounts(row: Row, view: View) -> str:
    names = [mount.get("Name") or mount.get("Source", "") for mount in row.get("Mounts") or ()]
    return ",".join(name if view.no_trunc else ellipsis(name, 15) for name in names)


def _networks(row: Row, view: View) -> str:
    return ",".join(sorted((row.get("NetworkSettings") or {}).get("Networks") or ()))


def _platform(row: Row, view: View) -> str | Nil:
    platform = (row.get("ImageManifestDescriptor") or {}).get("platform")
    if not platform:
        return NIL
    return "/".join(filter(None, (platform.get("os"), platform.get("architecture"), platform.get("variant"))))


def ports(listed: Iterable[Row]) -> str:
    """A container's Ports as one text; neighbouring ports on one address become a range: ``0.0.0.0:80-81->80-81/tcp``."""
    ordered = sorted(
        listed, key=lambda port: (port["PrivatePort"], port.get("IP", ""), port.get("PublicPort", 0), port.get("Type", ""))
    )
    done: list[str] = []
    moved: list[str] = []
    open_ranges: dict[tuple[str, str], tuple[int, int]] = {}
    for port in ordered:
        private, protocol, address = port["PrivatePort"], port.get("Type", ""), port.get("IP", "")
        if address and port.get("PublicPort") != private:
            moved.append(f"{host(address, port.get('PublicPort', 0))}->{private}/{protocol}")
            continue
        first, last = open_ranges.get((address, protocol), (private, private - 1))
        if private != last + 1:
            done.append(_range(address, protocol, first, last))
            first = private
        open_ranges[address, protocol] = (first, private)
    done += [_range(*key, *span) for key, span in open_ranges.items()]
    return ", ".join(done + moved)


def _range(address: str, protocol: str, first: int, last: int) -> str:
    span = str(first) if first == last else f"{first}-{last}"
    return f"{host(address, span)}->{span}/{protocol}" if address else f"{span}/{protocol}"


def host(address: str, port: int | str) -> str:
    """``0.0.0.0:80``, ``[::]:80``."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def published(container: Row) -> list[str]:
    """``80/tcp -> 0.0.0.0:8080`` lines of a container's inspect JSON, by container port."""
    found = (container.get("NetworkSettings") or {}).get("Ports") or {}
    ordered = sorted(found, key=lambda port: (int(port.partition("/")[0]), port))
    return [
        f"{port} -> {host(binding.get('HostIp', ''), binding.get('HostPort', ''))}"
        for port in ordered
        for binding in found[port] or ()
    ]


def _table(rows: list[dict[str, Any]], view: View) -> str:
    columns = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"
    return f"table {columns}\t{{{{.Size}}}}" if _sized(rows) else f"table {columns}"


def _raw(rows: list[dict[str, Any]], view: View) -> tuple[str, str]:
    size = "size: {{.Size}}\n" if _sized(rows) else ""
    return (
        "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\ncreated_at: {{.CreatedAt}}\n"
        "state: {{- pad .State 1 0}}\nstatus: {{- pad .Status 1 0}}\nnames: {{.Names}}\nlabels: {{- pad .Labels 1 0}}\n"
        "ports: {{- pad .Ports 1 0}}\n" + size,
        "container_id: {{.ID}}",
    )


def _sized(rows: list[dict[str, Any]]) -> bool:
    return any("SizeRw" in row or "SizeRootFs" in row for row in rows)


CONTAINERS = Noun(
    "formatter.ContainerContext",
    {
        "ID": ("CONTAINER ID", lambda row, view: row["Id"] if view.no_trunc else short(row["Id"])),
        "Names": ("NAMES", _names),
        "Image": ("IMAGE", _image),
        "Command": ("COMMAND", _command),
        "CreatedAt": ("CREATED AT", lambda row, view: clock.go(row.get("Created", 0), view.zone)),
        "RunningFor": ("CREATED", lambda row, view: durations.human(view.now - row.get("Created", 0)) + " ago"),
        "Ports": ("PORTS", lambda row, view: ports(row.get("Ports") or ())),
        "State": ("STATE", lambda row, view: row.get("State", "")),
        "Status": ("STATUS", lambda row, view: row.get("Status", "")),
        "Size": ("SIZE", _size),
        "Labels": ("LABELS", lambda row, view: joined(labels(row))),
        "Mounts": ("MOUNTS", _mounts),
        "LocalVolumes": (
            "LOCAL VOLUMES",
            lambda row, view: str(sum(mount.get("Driver") == "local" for mount in row.get("Mounts") or ())),
        ),
        "Networks": ("NETWORKS", _networks),
        "Platform": ("PLATFORM", _platform),
    },
    _table,
    raw=_raw,
    labels=labels,
    quiet_first=True,
    complaint="failed to execute template",
)

CHANGES = Noun(
    "formatter.diffContext",
    {
        "Type": ("CHANGE TYPE", lambda row, view: "CAD"[row["Kind"]]),
        "Path": ("PATH", lambda row, view: row["Path"]),
    },
    lambda rows, view: "{{.Type}} {{.Path}}",
    quiet="{{.Path}}",
)
