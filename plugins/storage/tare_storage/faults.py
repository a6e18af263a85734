"""The border where the kernel's errors become tare's."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from tare.errors import Exhausted, Internal, Invalid, TareError, Unavailable

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EMLINK, errno.EMFILE, errno.ENFILE)
_BROKEN = (errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENXIO, errno.ESTALE)


@contextmanager
def translated(doing: str, subject: str = "") -> Iterator[None]:
    """Turn an OSError within into Exhausted, Unavailable or Internal (ST-68, ST-76); ``doing`` begins the text."""
    try:
        yield
    except TareError:
        raise
    except RecursionError:
        raise Invalid(f"{doing}: its directories are nested too deep", subject=subject) from None
    except OSError as error:
        where = f" at {error.filename}" if error.filename else ""
        text = f"{doing}: {(error.strerror or str(error)).lower()}{where}"
        if error.errno in _FULL:
            raise Exhausted(text, subject=subject, hint="free some space, for example with 'tare image prune'") from error
        if error.errno in _BROKEN:
            raise Unavailable(text, subject=subject, hint="look at the disk and the kernel's log") from error
        raise Internal(text, subject=subject) from error
