"""Content by its digest, as an OCI image layout keeps it, and what is on its way there.

content/
  oci-layout  index.json      OCI image spec, image-layout.md
  blobs/sha256/HEX
  ingest/TOKEN/HEX            a session of one worker, locked by it; moved into blobs when its image is recorded
  sizes.json                  digest of a plain layer → bytes of the files in it
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from tare.errors import Internal, Invalid
from tare.linux.filesystems import sync

log = logging.getLogger(__name__)

LOAD_AGAIN = "load the image again"
DOCUMENT_MAX = 8 << 20
"""Longest manifest, index or configuration that is read, in bytes."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def damaged(digest: str) -> Internal:
    return Internal(f"the content store holds a damaged {digest}", subject=digest, hint=LOAD_AGAIN)


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def checked(digest: object, what: str = "") -> str:
    """``digest`` if it is one that can be kept. Raises Invalid, naming ``what`` it is of."""
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        place = f" of {what}" if what else ""
        shown = ascii(digest)[:100]
        raise Invalid(f"invalid digest{place}: {shown}", subject=shown, hint="only sha256 is supported")
    return digest


def hexadecimal(digest: str) -> str:
    return digest.partition(":")[2]


class Blobs:
    """The blobs of one content directory."""

    def __init__(self, root: Path) -> None:
        self.root = os.fspath(root)
        self.directory = f"{self.root}/blobs/sha256"
        self.ingest = f"{self.root}/ingest"

    def make(self) -> None:
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        os.makedirs(self.ingest, mode=0o700, exist_ok=True)

    def path(self, digest: str) -> str:
        return f"{self.directory}/{hexadecimal(checked(digest))}"

    def has(self, digest: str) -> bool:
        return os.path.exists(self.path(digest))

    def size(self, digest: str) -> int:
        return os.stat(self.path(digest)).st_size

    def read(self, digest: str) -> bytes:
        """A small blob, verified. Raises Internal when it is missing or damaged."""
        with self.open(digest) as file:
            content = file.read(DOCUMENT_MAX)
        if digest_of(content) != digest:
            raise damaged(digest)
        return content

    def open(self, digest: str) -> FileIO:
        """A blob for reading, not verified. Raises Internal when it is missing."""
        try:
            return FileIO(self.path(digest))
        except FileNotFoundError:
            raise Internal(f"the content store has lost {digest}", subject=digest, hint=LOAD_AGAIN) from None
        except OSError as error:
            reason = f"the content store cannot read {digest}: {error.strerror}"
            raise Internal(reason, subject=digest, hint=LOAD_AGAIN) from None

    def write(self, content: bytes) -> None:
        """Keep a small blob, durably; a damaged one is replaced."""
        digest = digest_of(content)
        try:
            self.read(digest)
        except Internal:
            write_whole(self.path(digest), content)

    def adopt(self, session: str, digests: Iterable[str]) -> None:
        """Move what a worker has written (and synced) to its place, over what may be damaged there. Raises Internal when
        something is in neither."""
        for digest in digests:
            try:
                os.rename(f"{session}/{hexadecimal(digest)}", self.path(digest))
            except FileNotFoundError:
                if not self.has(digest):
                    raise Internal(f"the content store has lost {digest}", subject=digest, hint="try again") from None
        sync_directory(self.directory)

    def collect(self, keep: Iterable[str]) -> None:
        """Delete every blob that is not in ``keep``."""
        names = {hexadecimal(digest) for digest in keep}
        for name in os.listdir(self.directory):
            if name not in names:
                try:
                    os.unlink(f"{self.directory}/{name}")
                except OSError as error:
                    log.warning("%s/%s: %s", self.directory, name, error.strerror)

    def clear_sessions(self) -> None:
        """Delete what workers left that are no more."""
        with self.sessions(fcntl.LOCK_EX):
            for name in os.listdir(self.ingest):
                path = f"{self.ingest}/{name}"
                try:
                    lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                except FileNotFoundError:
                    continue
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                finally:
                    os.close(lock)
                shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def sessions(self, how: int) -> Iterator[None]:
        """Hold the lock of ``ingest`` itself: shared while a session is made and locked, exclusive while abandoned ones are
        looked for, so that none is found between the two."""
        directory = os.open(self.ingest, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(directory, how)
            yield
        finally:
            os.close(directory)


class Session:
    """A worker's own directory in ``ingest``. Whoever made it, or the next start of the daemon, deletes it."""

    def __init__(self, blobs: Blobs) -> None:
        self.blobs = blobs
        self.path = f"{blobs.ingest}/{secrets.token_hex(8)}"
        with blobs.sessions(fcntl.LOCK_SH):
            os.mkdir(self.path, 0o700)
            self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(self._lock, fcntl.LOCK_EX)

    def write(self, content: bytes) -> None:
        with open(f"{self.path}/{hexadecimal(digest_of(content))}", "wb") as file:
            file.write(content)

    def keep(self, temporary: str, digest: str) -> None:
        """A finished file of this session is the blob ``digest``. That there is one already is no reason to trust it: it may
        be damaged, or collected before the image is recorded."""
        os.rename(temporary, f"{self.path}/{hexadecimal(digest)}")

    def sync(self) -> None:
        sync(self._lock)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def write_whole(path: str, content: bytes) -> None:
    """Replace a file so that a crash leaves the old one or the new one, on the disk."""
    temporary = f"{path}.{secrets.token_hex(4)}"
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        _quietly(os.unlink, temporary)
        raise
    sync_directory(os.path.dirname(path))


def sync_directory(path: str) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _quietly(function: Callable[[str], None], path: str) -> None:
    try:
        function(path)
    except OSError:
        return
