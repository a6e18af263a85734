"""The marker that plugins put on their hook implementations. Everything else of this room is the core's business."""

from __future__ import annotations

from tare.hooks.specs import hookimpl

__all__ = ["hookimpl"]
