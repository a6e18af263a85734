"""Who hears what: filters as Docker has them, memory, and listeners that do not read."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Mapping

import pytest

from tare.errors import Invalid
from tare.events.bus import BACKLOG, REMEMBERED, Bus
from tare.events.filters import compile_filters
from tare.model.event import Event

NOW = time.time_ns()


def event(type: str = "container", action: str = "start", id: str = "4a1b", at: int = NOW, **attributes: str) -> Event:
    return Event(type, action, id, at, attributes)


RUN = event(name="web", image="nginx:1.25", tier="front")


@pytest.mark.parametrize(
    ("filters", "heard"),
    [
        ({}, True),
        ({"type": ["container"]}, True),
        ({"type": ["network", "container"]}, True),
        ({"type": ["contain"]}, False),
        ({"event": ["start"]}, True),
        ({"event": ["star"]}, False),
        ({"container": ["web"]}, True),
        ({"container": ["we"]}, True),
        ({"container": ["/web"]}, True),
        ({"container": ["4a"]}, True),
        ({"container": ["eb"]}, False),
        ({"network": ["4a1b"]}, False),
        ({"image": ["nginx:1.25"]}, True),
        ({"image": ["nginx"]}, True),
        ({"image": ["ngin"]}, False),
        ({"label": ["tier"]}, True),
        ({"label": ["tier=front"]}, True),
        ({"label": ["tier=back"]}, False),
        ({"label": ["tier", "absent"]}, False),
        ({"scope": ["local"]}, True),
        ({"scope": ["swarm"]}, False),
        ({"volume": ["x"]}, False),
        ({"type": ["container"], "event": ["die"]}, False),
        ({"type": []}, True),
    ],
)
def test_filters(filters: Mapping[str, list[str]], heard: bool) -> None:
    assert compile_filters(filters)(RUN) is heard


def test_actions_with_more_behind_a_colon() -> None:
    wants = compile_filters({"event": ["exec_create"]})
    assert wants(event(action="exec_create: ls -l"))
    assert not wants(event(action="exec_start: ls"))
    assert not compile_filters({"event": ["exec"]})(event(action="exec_create: ls"))


def test_an_image_event_is_matched_by_its_own_name() -> None:
    wants = compile_filters({"image": ["localhost:5000/a"]})
    assert wants(event("image", "tag", "sha256:1", name="localhost:5000/a:1"))
    assert wants(event("image", "tag", "sha256:1", name="localhost:5000/a"))


def test_an_unknown_filter_is_refused() -> None:
    with pytest.raises(Invalid, match="invalid filter 'contaner'; did you mean container"):
        Bus().subscribe(filters={"contaner": ["x"]})


async def first(stream: object, count: int) -> list[Event]:
    """So many events, with a deadline."""
    heard = []
    async with asyncio.timeout(10):
        async for one in stream:  # type: ignore[attr-defined]
            heard.append(one)
            if len(heard) == count:
                break
    return heard


def test_only_what_comes_later_without_a_time() -> None:
    async def scene() -> None:
        bus = Bus()
        bus.publish(event(action="create"))
        listening = bus.subscribe()
        bus.publish(event(action="start"))
        assert [one.action for one in await first(listening, 1)] == ["start"]

    asyncio.run(scene())


def test_the_past_then_the_present() -> None:
    async def scene() -> None:
        bus = Bus()
        for number in range(REMEMBERED + 10):
            bus.publish(event(action=str(number), at=NOW + number))
        listening = bus.subscribe(since=1)
        waiting = asyncio.create_task(first(listening, REMEMBERED + 1))
        await asyncio.sleep(0)
        bus.publish(event(action="new"))
        actions = [one.action for one in await waiting]
        assert actions == [*(str(number) for number in range(10, REMEMBERED + 10)), "new"]
        assert len(await first(bus.subscribe(since=NOW + REMEMBERED, until=NOW + REMEMBERED + 4), 99)) == 5

    asyncio.run(scene())


def test_it_ends_at_its_time() -> None:
    async def scene() -> None:
        bus = Bus()
        listening = bus.subscribe(until=time.time_ns() + 50_000_000)
        bus.publish(event(at=time.time_ns()))
        assert len(await first(listening, 99)) == 1

    asyncio.run(scene())


def test_a_listener_that_does_not_read_delays_nobody_and_is_told() -> None:
    async def scene() -> None:
        bus = Bus()
        slow, quick = bus.subscribe(), bus.subscribe(filters={"event": ["last"]})
        for number in range(BACKLOG + 7):
            bus.publish(event(action=str(number)))
        bus.publish(event(action="last"))
        assert [one.action for one in await first(quick, 1)] == ["last"]
        heard = await first(slow, BACKLOG + 1)
        assert (heard[-1].type, heard[-1].action, heard[-1].attributes) == ("daemon", "dropped", {"count": "8"})
        bus.publish(event(action="after"))
        assert [one.action for one in await first(slow, 1)] == ["after"]

    asyncio.run(scene())


def test_who_lets_go_is_forgotten() -> None:
    async def scene() -> None:
        bus = Bus()
        listening = bus.subscribe()
        waiting = asyncio.create_task(first(listening, 1))
        await asyncio.sleep(0)
        assert bus.listeners == 1
        waiting.cancel()
        await asyncio.wait([waiting])
        del listening, waiting
        gc.collect()
        assert bus.listeners == 0

    asyncio.run(scene())


def test_closing_ends_the_iteration() -> None:
    async def scene() -> None:
        bus = Bus()
        listening = bus.subscribe()
        bus.publish(event())
        listening.close()
        bus.publish(event())
        assert len(await first(listening, 99)) == 1

    asyncio.run(scene())
