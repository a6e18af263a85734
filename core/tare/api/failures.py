"""Errors on their way out: the kind of a TareError becomes a status, anything else a 500 with a number to look for."""

from __future__ import annotations

import json
import logging
import secrets
from errno import EDQUOT, EMFILE, ENFILE, ENOSPC

from tare.api.answer import Answer
from tare.errors import Exhausted, Internal, TareError

log = logging.getLogger("tare.api")

FULL = {ENOSPC, EDQUOT, EMFILE, ENFILE}


class Refused(Exception):
    """A request that never reached the engine: ``status`` is HTTP's, the text goes to the client as it is."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def translate(error: BaseException, asked: str) -> TareError | Refused:
    """What the client is told about ``error``. ``asked`` is method and path, for the log alone."""
    if isinstance(error, TareError | Refused):
        return error
    if isinstance(error, OSError) and error.errno in FULL:
        log.warning("%s: %s", asked, error)
        place = f": {error.filename}" if error.filename else ""
        return Exhausted(f"{str(error.strerror).lower()}{place}", hint="free some space or raise the limit, then try again")
    number = secrets.token_hex(4)
    log.error("%s failed, error %s", asked, number, exc_info=error)
    return Internal(f"{type(error).__name__} in the daemon", hint=f"its log tells more under error {number}")


def answer(error: TareError | Refused) -> Answer:
    """``{"message": …}`` as Docker sends it. What tare knows beyond that lies beside it for clients that ask."""
    if error.status in (204, 304):
        return Answer(error.status)
    body: dict[str, object] = {"message": str(error)}
    if isinstance(error, TareError):
        body |= {"kind": error.kind, "text": error.message, "subject": error.subject, "hint": error.hint}
        body["exitCode"] = error.exit_code
    return Answer(error.status, json.dumps(body).encode() + b"\n", "application/json")
