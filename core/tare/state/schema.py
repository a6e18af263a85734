"""The tables of state.db, and the steps that lead to them.

    meta(key, value)                     what the daemon knows of itself (its id …)
    containers(id, name, document)       one row a container; document is JSON (tare.state.documents)
    networks(id, name, document)         one row a network that a user made
    images(id, manifest, created)        id: digest of the configuration; manifest: digest of the manifest blob
    image_names(name, image)             repository:tag → images.id; goes with its image

``PRAGMA user_version`` counts the steps that have been made. A step is never changed once released: add another.
"""

from __future__ import annotations

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE containers (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, document TEXT NOT NULL);
    CREATE TABLE networks (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, document TEXT NOT NULL);
    CREATE TABLE images (id TEXT PRIMARY KEY, manifest TEXT NOT NULL, created TEXT NOT NULL);
    CREATE TABLE image_names (
        name TEXT PRIMARY KEY,
        image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE
    );
    CREATE INDEX image_names_by_image ON image_names (image);
    """,
)

VERSION = len(MIGRATIONS)
