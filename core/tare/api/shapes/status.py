"""``Up 3 minutes``, ``Exited (0) 2 hours ago``: a container's state in Docker's words."""

from __future__ import annotations

from tare.model.container import ContainerState
from tare.model.times import seconds_exactly
from tare.present.durations import human


def status(state: ContainerState, now: float) -> str:
    """``now`` is in seconds since the epoch."""
    if state.status in ("running", "paused", "restarting"):
        if state.status == "restarting":
            return f"Restarting ({state.exit_code}) {human(now - seconds_exactly(state.finished_at))} ago"
        up = f"Up {human(now - seconds_exactly(state.started_at))}"
        return f"{up} (Paused)" if state.status == "paused" else up
    if state.status == "removing":
        return "Removal In Progress"
    if state.status == "dead":
        return "Dead"
    if not state.started_at:
        return "Created"
    if not state.finished_at:
        return ""
    return f"Exited ({state.exit_code}) {human(now - seconds_exactly(state.finished_at))} ago"
