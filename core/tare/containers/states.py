"""The states of a container and the transitions between them: this table is all there is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tare.errors import Internal
from tare.model.container import ContainerState

PERMITTED: dict[str, frozenset[str]] = {
    "created": frozenset({"running", "exited", "removing"}),
    "running": frozenset({"paused", "exited", "created"}),
    "paused": frozenset({"running", "exited"}),
    "exited": frozenset({"running", "removing"}),
    "removing": frozenset({"dead", "created", "exited"}),
    "dead": frozenset({"removing"}),
}
"""``running → created`` is a first start that failed before the process ran; ``removing → …`` is a removal that failed."""


def move(state: ContainerState, status: str, **changes: Any) -> ContainerState:
    """The state after a transition. Raises Internal for one that the table does not permit."""
    if status != state.status and status not in PERMITTED[state.status]:
        raise Internal(f"a container cannot go from {state.status} to {status}")
    return replace(state, status=status, **changes)
