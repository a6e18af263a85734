"""Every error that tare raises on purpose.

    TareError
    ├── Invalid       the request cannot mean anything            HTTP 400  exit 125
    ├── NotFound      the named thing does not exist              HTTP 404  exit 125
    ├── Conflict      the thing exists, its state forbids this    HTTP 409  exit 125
    ├── InUse         something else still needs the thing        HTTP 409  exit 125
    ├── Denied        a plugin, policy or the kernel says no      HTTP 403  exit 125
    ├── Unsupported   tare (or this host) cannot do it            HTTP 501  exit 125
    ├── Exhausted     no addresses, space or descriptors left     HTTP 507  exit 125
    ├── Unavailable   a driver or process does not answer         HTTP 503  exit 125
    ├── NotModified   the thing already is as asked               HTTP 304  exit 0
    └── Internal      a defect in tare or in a plugin             HTTP 500  exit 125

Text is lower case, has no full stop and names the thing as the user typed it; the hint names the cure.
"""

from __future__ import annotations


class TareError(Exception):
    """An error with a kind, the subject as the user typed it, what happened and how to cure it."""

    kind = "internal"
    status = 500

    def __init__(self, message: str, *, subject: str = "", hint: str = "", exit_code: int = 125) -> None:
        super().__init__(message)
        self.message = message
        self.subject = subject
        self.hint = hint
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class Invalid(TareError):
    kind = "invalid"
    status = 400


class NotFound(TareError):
    kind = "not_found"
    status = 404


class Conflict(TareError):
    kind = "conflict"
    status = 409


class InUse(TareError):
    kind = "in_use"
    status = 409


class Denied(TareError):
    kind = "denied"
    status = 403


class Unsupported(TareError):
    kind = "unsupported"
    status = 501


class Exhausted(TareError):
    kind = "exhausted"
    status = 507


class Unavailable(TareError):
    kind = "unavailable"
    status = 503


class NotModified(TareError):
    kind = "not_modified"
    status = 304


class Internal(TareError):
    kind = "internal"
    status = 500


KINDS: dict[str, type[TareError]] = {
    cls.kind: cls
    for cls in (
        Invalid,
        NotFound,
        Conflict,
        InUse,
        Denied,
        Unsupported,
        Exhausted,
        Unavailable,
        NotModified,
        Internal,
    )
}


def from_fields(kind: str, message: str, subject: str = "", hint: str = "", exit_code: int = 125) -> TareError:
    """Rebuild an error that another process sent as plain fields."""
    return KINDS.get(kind, Internal)(message, subject=subject, hint=hint, exit_code=exit_code)
