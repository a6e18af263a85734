"""``images`` and ``history`` as rows."""

from __future__ import annotations

from tare.present import clock, durations, sizes
from tare.present.containers import ellipsis
from tare.present.listing import Noun, View
from tare.present.references import short, split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Row = Mapping[str, Any]

_NONE = "<none>"


def _named(images: list[dict[str, Any]], view: View) -> list[dict[str, Any]]:
    """A row for every name of an image; digests are names only where there is no tag, or where they are asked for."""
    return [row | name for row in images for name in _names(row, view)]


def _names(row: Row, view: View) -> list[dict[str, str]]:
    tags = [split(tag) for tag in row.get("RepoTags") or () if tag != f"{_NONE}:{_NONE}"]
    digests = [split(digest) for digest in row.get("RepoDigests") or () if digest != f"{_NONE}@{_NONE}"]
    if not tags and not digests:
        return [_name(_NONE, _NONE, _NONE)]
    found = []
    for repository in dict.fromkeys(name for name, _, _ in tags):
        own = [digest for name, _, digest in digests if name == repository] if view.digests else []
        found += [_name(name, tag, digest) for name, tag, _ in tags if name == repository for digest in own or [_NONE]]
    tagged = {name for name, _, _ in tags}
    lone = [(name, digest) for name, _, digest in digests if name not in tagged]
    if not view.digests:
        lone = [(name, _NONE) for name in dict.fromkeys(name for name, _ in lone)]
    return found + [_name(name, _NONE, digest) for name, digest in lone]


def _name(repository: str, tag: str, digest: str) -> dict[str, str]:
    return {"_repository": repository, "_tag": tag, "_digest": digest}


def _id(row: Row, view: View) -> str:
    return str(row["Id"]) if view.no_trunc else short(row["Id"])


def _since(row: Row, view: View) -> str:
    created = row.get("Created") or 0
    return durations.human(view.now - created) + " ago" if created > 0 else "N/A"


def _known(size: int | None) -> str:
    return "N/A" if size is None or size < 0 else sizes.human(size, 4)


def _unique(row: Row, view: View) -> str:
    size, shared = row.get("Size", -1), row.get("SharedSize", -1)
    return _known(size - shared) if size >= 0 and shared is not None and shared >= 0 else "N/A"


def _count(row: Row, view: View) -> str:
    containers = row.get("Containers", -1)
    return str(containers) if containers is not None and containers >= 0 else "N/A"


def _table(rows: list[dict[str, Any]], view: View) -> str:
    digest = "{{.Digest}}\t" if view.digests else ""
    return f"table {{{{.Repository}}}}\t{{{{.Tag}}}}\t{digest}{{{{.ID}}}}\t{{{{.CreatedSince}}}}\t{{{{.Size}}}}"


def _raw(rows: list[dict[str, Any]], view: View) -> tuple[str, str]:
    digest = "digest: {{.Digest}}\n" if view.digests else ""
    return (
        f"repository: {{{{.Repository}}}}\ntag: {{{{.Tag}}}}\n{digest}image_id: {{{{.ID}}}}\ncreated_at: {{{{.CreatedAt}}}}\n"
        "virtual_size: {{.Size}}\n",
        "image_id: {{.ID}}",
    )


IMAGES = Noun(
    "formatter.imageContext",
    {
        "ID": ("IMAGE ID", _id),
        "Repository": ("REPOSITORY", lambda row, view: row["_repository"]),
        "Tag": ("TAG", lambda row, view: row["_tag"]),
        "Digest": ("DIGEST", lambda row, view: row["_digest"]),
        "CreatedSince": ("CREATED", _since),
        "CreatedAt": ("CREATED AT", lambda row, view: clock.go(row.get("Created") or 0, view.zone)),
        "Size": ("SIZE", lambda row, view: sizes.human(row.get("Size") or 0)),
        "Containers": ("CONTAINERS", _count),
        "VirtualSize": ("SIZE", lambda row, view: _known(row.get("Size") or 0)),
        "SharedSize": ("SHARED SIZE", lambda row, view: _known(row.get("SharedSize", -1))),
        "UniqueSize": ("UNIQUE SIZE", _unique),
    },
    _table,
    raw=_raw,
    prepare=_named,
)


def _created_by(row: Row, view: View) -> str:
    made_by = str(row.get("CreatedBy", "")).replace("\t", " ")
    return made_by if view.no_trunc else ellipsis(made_by, 45)


def _history_table(rows: list[dict[str, Any]], view: View) -> str:
    created = "{{.CreatedSince}}" if view.human else "{{.CreatedAt}}"
    return f"table {{{{.ID}}}}\t{created}\t{{{{.CreatedBy}}}}\t{{{{.Size}}}}\t{{{{.Comment}}}}"


HISTORY = Noun(
    "image.historyContext",
    {
        "ID": ("IMAGE", _id),
        "CreatedSince": ("CREATED", _since),
        "CreatedAt": ("CREATED AT", lambda row, view: clock.rfc3339(row.get("Created") or 0, view.zone)),
        "CreatedBy": ("CREATED BY", _created_by),
        "Size": ("SIZE", lambda row, view: sizes.human(row.get("Size") or 0) if view.human else str(row.get("Size") or 0)),
        "Comment": ("COMMENT", lambda row, view: row.get("Comment") or ""),
    },
    _history_table,
)
