"""One repository a noun: the statements that read and write the tables of tare.state.schema."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode
_decode = json.JSONDecoder().decode


class Row(NamedTuple):
    """One record. ``damage`` says why the document cannot be read; then it is empty."""

    id: str
    name: str
    document: dict[str, Any]
    damage: str = ""


class Database(Protocol):
    """What a repository needs of tare.state.database.State."""

    def transaction(self, *, durable: bool) -> AbstractContextManager[None]: ...
    def write(self, statement: str, values: Sequence[Any], *, durable: bool) -> int: ...
    def read(self, statement: str, values: Sequence[Any] = ()) -> list[Any]: ...
    def make_room(self) -> None: ...


class Documents:
    """Things with an id, a name of their own and a document (a dict of JSON types): containers, networks."""

    def __init__(self, database: Database, table: str) -> None:
        self._database = database
        self._save = (
            f"INSERT INTO {table} (id, name, document) VALUES (?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET name = excluded.name, document = excluded.document"
        )
        self._remove = f"DELETE FROM {table} WHERE id = ?"
        self._remove_named = f"DELETE FROM {table} WHERE name = ?"
        # As bytes: of text that is none SQLite's module would refuse the whole answer.
        columns = ", ".join(f"CAST({name} AS BLOB)" for name in ("id", "name", "document"))
        self._load = f"SELECT {columns} FROM {table} ORDER BY rowid"

    def save(self, id: str, name: str, document: Mapping[str, Any], *, durable: bool) -> None:
        """Write one, new or known. Raises Conflict when another has the name."""
        self._database.write(self._save, (id, name, _encode(document)), durable=durable)

    def remove(self, id: str, *, durable: bool) -> None:
        """Remove one, also with a full disk; missing: nothing happens."""
        self._database.make_room()
        self._database.write(self._remove, (id,), durable=durable)

    def remove_named(self, name: str) -> None:
        """Remove the one of this name, whatever its id is; durable. Missing: nothing happens."""
        self._database.make_room()
        self._database.write(self._remove_named, (name,), durable=True)

    def load(self) -> list[Row]:
        """All of them, oldest first, also those that are damaged."""
        return [_row(*raw) for raw in self._database.read(self._load)]


def _row(id: bytes, name: bytes, text: bytes) -> Row:
    document: Any = {}
    damage = ""
    try:
        document = _decode(text.decode())
        if not isinstance(document, dict):
            document, damage = {}, "it is no object"
    except (ValueError, RecursionError) as error:
        damage = str(error) or "it is nested too deeply"
    return Row(id.decode(errors="replace"), name.decode(errors="replace"), document, damage)


class Images:
    """Which images there are and what they are called. Every write is durable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def transaction(self) -> AbstractContextManager[None]:
        """Several of the calls below, together or not at all."""
        return self._database.transaction(durable=True)

    def images(self) -> dict[str, str]:
        """Id → digest of the manifest, oldest first."""
        return self._pairs("SELECT CAST(id AS BLOB), CAST(manifest AS BLOB) FROM images ORDER BY rowid")

    def add(self, id: str, manifest: str, created: str) -> None:
        """Write an image, new or known. ``created`` is RFC 3339."""
        self._database.write(
            "INSERT INTO images (id, manifest, created) VALUES (?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET manifest = excluded.manifest, created = excluded.created",
            (id, manifest, created),
            durable=True,
        )

    def remove(self, id: str) -> None:
        """Remove an image and its names, also with a full disk; missing: nothing happens."""
        self._database.make_room()
        self._database.write("DELETE FROM images WHERE id = ?", (id,), durable=True)

    def references(self) -> dict[str, str]:
        """Name → image id."""
        return self._pairs("SELECT CAST(name AS BLOB), CAST(image AS BLOB) FROM image_names ORDER BY name")

    def _pairs(self, statement: str) -> dict[str, str]:
        rows: list[tuple[bytes, bytes]] = self._database.read(statement)
        return {key.decode(errors="replace"): value.decode(errors="replace") for key, value in rows}

    def set_reference(self, name: str, id: str) -> None:
        """Let a name mean an image that was added. Raises Conflict for one that was not."""
        self._database.write(
            "INSERT INTO image_names (name, image) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET image = excluded.image",
            (name, id),
            durable=True,
        )

    def remove_reference(self, name: str) -> None:
        """Forget a name, also with a full disk; missing: nothing happens."""
        self._database.make_room()
        self._database.write("DELETE FROM image_names WHERE name = ?", (name,), durable=True)


class Meta:
    """What the daemon knows of itself."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, key: str, default: str = "") -> str:
        rows = self._database.read("SELECT value FROM meta WHERE key = ?", (key,))
        return str(rows[0][0]) if rows else default

    def set(self, key: str, value: str) -> None:
        """Durable."""
        self._database.write(
            "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (key, value),
            durable=True,
        )
