"""What the supervisor and its companions write to their log, which is their stderr."""

from __future__ import annotations

import sys
import time


def note(text: str) -> None:
    """One line to the supervisor's log, which is its stderr."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    sys.stderr.write(f"{stamp} {text}\n")
    sys.stderr.flush()


def report() -> None:
    """The exception being handled, with its traceback, to the supervisor's log."""
    note("unexpected error:")
    # The interpreter's own printer: the module traceback would bring in re.
    sys.__excepthook__(*sys.exc_info())
