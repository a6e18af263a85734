"""logs: reading back what the logger wrote, and following it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from tare.engine.values import LogRecord
from tare.errors import Unsupported
from tare.model.container import LogOptions

if TYPE_CHECKING:
    from tare.engine.engine import Engine


async def logs(engine: Engine, ref: str, options: LogOptions) -> AsyncIterator[LogRecord]:
    """Raises NotFound, and Unsupported for the log driver ``none``; then the records."""
    raise NotImplementedError
