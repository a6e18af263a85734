"""Writing containers through to the state database, and news to whoever listens."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from tare.containers.container import Container
from tare.errors import Internal, TareError
from tare.model.event import Event
from tare.state.documents import from_document, to_document

if TYPE_CHECKING:
    from tare.engine.engine import Engine

log = logging.getLogger(__name__)

T = TypeVar("T")


def save(engine: Engine, container: Container, *, durable: bool) -> None:
    """Record a container. A container with ``--rm`` never waits for the disk: it is not meant to survive a power cut."""
    document = to_document(container)
    document.pop("execs", None)
    engine.state.containers.save(
        container.id, container.name, document, durable=durable and not container.config.auto_remove
    )


def checked(value: T, who: Sequence[str]) -> T:
    """A value that plugins have changed, if it can be recorded and read again. Raises Internal, naming ``who`` of Adjusted."""
    kind: type[T] = type(value)
    try:
        return from_document(kind, to_document(value))
    except (TareError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise Internal(f"plugin {'; '.join(who)}: what it made of the {kind.__name__} cannot be used: {error}") from error


def record(engine: Engine, container: Container, *, durable: bool) -> bool:
    """Record what has happened already: with a full disk the news goes on all the same. False: it is known in memory alone."""
    try:
        save(engine, container, durable=durable)
    except TareError as error:
        log.error("container %s: its state cannot be recorded: %s", container.name, error)
        return False
    return True


def announce(engine: Engine, container: Container, action: str, **attributes: str) -> None:
    """Publish a container event with the attributes that Docker gives it."""
    publish(
        engine,
        "container",
        action,
        container.id,
        {**container.labels, "image": container.config.image, "name": container.name, **attributes},
    )


def publish(engine: Engine, type: str, action: str, id: str, attributes: dict[str, Any]) -> None:
    event = Event(type, action, id, time.time_ns(), attributes)
    engine.bus.publish(event)
    engine.plugins.after("tare_after_event", event=event)
