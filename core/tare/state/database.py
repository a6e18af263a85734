"""What must survive: the only owner of SQLite in tare.

A write is either *durable* (it is on the disk when the call returns: survives a power cut) or not (it survives the death of
the daemon, because it has reached the kernel, and reaches the disk with the next durable write or checkpoint). In WAL mode
the first is one fsync of the log, the second none (sqlite.org/pragma.html#pragma_synchronous). Checkpoints run in a
thread with a connection of its own, so that no write pays for one.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tare.errors import Conflict, Exhausted, Internal, TareError, Unavailable, Unsupported
from tare.state.lock import Lock
from tare.state.reserve import Reserve
from tare.state.schema import MIGRATIONS, VERSION
from tare.state.tables import Documents, Images, Meta

log = logging.getLogger(__name__)

CHECKPOINT_EVERY = 1000


class State:
    """The open database ``data-root/state.db`` and the lock on its data-root.

    Methods may be called from any thread; each write is one transaction. The tables are ``containers`` and ``networks``
    (Documents), ``images`` (Images), ``meta`` (Meta).
    """

    def __init__(self, data_root: Path) -> None:
        """Take the data-root, open or make the database. Raises InUse (another daemon has it), Unavailable (damaged,
        unreadable), Unsupported (written by a newer tare)."""
        self.path = data_root / "state.db"
        self._held = Lock(data_root)
        self._lock = threading.RLock()
        self._writes = 0
        self._checkpointer: threading.Thread | None = None
        self._durable = False
        self._reserve = Reserve(data_root / "reserve")
        self._reserve.give_up()
        with contextlib.ExitStack() as undo, self._translated():
            undo.callback(self._held.close)
            self._connection = self._connect()
            undo.callback(self._connection.close)
            self._open()
            undo.pop_all()
        self._reserve.keep()
        self.containers = Documents(self, "containers")
        self.networks = Documents(self, "networks")
        self.images = Images(self)
        self.meta = Meta(self)

    def _connect(self) -> sqlite3.Connection:
        if not self.path.exists():
            os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        return sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=10)

    def _open(self) -> None:
        ask = self._connection.execute
        version = int(ask("PRAGMA user_version").fetchone()[0])
        if version > VERSION:
            raise Unsupported(
                f"{self.path} was written by a newer tare (schema {version}, this one knows {VERSION})",
                subject=str(self.path),
                hint="use that tare, or another data-root",
            )
        ask("PRAGMA journal_mode = WAL")
        ask("PRAGMA wal_autocheckpoint = 0")
        ask("PRAGMA foreign_keys = ON")
        ask("PRAGMA synchronous = NORMAL")
        found = ask("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(str(found))
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            with self.transaction(durable=True):
                for statement in script.split(";"):
                    ask(statement)
                ask(f"PRAGMA user_version = {number}")
        ask("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextlib.contextmanager
    def transaction(self, *, durable: bool) -> Iterator[None]:
        """Several writes that happen together or not at all. May be nested; then the outermost decides."""
        with self._lock, self._translated():
            if self._connection.in_transaction:
                yield
                return
            self._set_durable(durable)
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            self._count()

    def write(self, statement: str, values: Sequence[Any], *, durable: bool) -> int:
        """One writing statement; the number of rows that it changed. Raises Conflict for a name that is taken."""
        with self._lock, self._translated():
            if not self._connection.in_transaction:
                self._set_durable(durable)
            changed = self._connection.execute(statement, values).rowcount
            if not self._connection.in_transaction:
                self._count()
            return changed

    def make_room(self) -> None:
        """Called before what removes something: with a full disk the room that was put aside is for that."""
        self._reserve.give_up()

    def read(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of a query."""
        with self._lock, self._translated():
            return self._connection.execute(statement, values).fetchall()

    def close(self) -> None:
        """Bring everything to the disk and let go. Safe twice."""
        if self._checkpointer is not None:
            self._checkpointer.join()
        with self._lock:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.close()
        self._held.close()

    def _set_durable(self, durable: bool) -> None:
        if durable != self._durable:
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._durable = durable

    def _count(self) -> None:
        self._writes += 1
        self._reserve.keep()
        if self._writes >= CHECKPOINT_EVERY and (self._checkpointer is None or not self._checkpointer.is_alive()):
            self._writes = 0
            self._checkpointer = threading.Thread(target=self._checkpoint, name="state-checkpoint")
            self._checkpointer.start()

    def _checkpoint(self) -> None:
        try:
            with contextlib.closing(self._connect()) as connection:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            log.warning("%s: checkpoint failed: %s", self.path, error)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """The one border where SQLite's errors become tare's."""
        try:
            yield
        except sqlite3.IntegrityError as error:
            raise Conflict(f"{self.path}: {error}", subject=str(self.path)) from error
        except sqlite3.ProgrammingError as error:
            raise Internal(f"{self.path}: {error}", subject=str(self.path)) from error
        except (sqlite3.Error, OSError) as error:
            raise self._failure(error) from error

    def _failure(self, error: sqlite3.Error | OSError) -> TareError:
        subject = str(self.path)
        name = getattr(error, "sqlite_errorname", "")
        if name == "SQLITE_FULL" or getattr(error, "errno", 0) == errno.ENOSPC:
            return Exhausted(f"no space left for {subject}", subject=subject, hint="free some space under data-root")
        if isinstance(error, OSError):
            return Unavailable(f"cannot open {subject}: {error.strerror}", subject=subject)
        if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_IOERR", "SQLITE_BUSY", "SQLITE_LOCKED")):
            return Unavailable(f"cannot use {subject}: {error}", subject=subject)
        return Unavailable(
            f"{subject} is damaged: {error}",
            subject=subject,
            hint=f"restore it from a copy, or move {subject} away to begin with no containers and no image names",
        )
