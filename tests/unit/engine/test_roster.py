"""Drivers are opened when first used, once each."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tare.drivers.registration import Driver, DriverContext
from tare.engine.roster import Handle
from tare.errors import Unavailable
from tare.model.probe import Probe

made: list[Counted] = []


class Counted:
    """A driver that knows how often it was made, and works from the second time on if its options say so."""

    def __init__(self, context: DriverContext) -> None:
        made.append(self)
        self.broken = bool(context.options.get("broken")) and len(made) == 1

    def probe(self) -> Probe:
        return Probe("error", "not yet") if self.broken else Probe("ok", "")

    def close(self) -> None:
        pass


def handle(base: Path, **options: object) -> Handle:
    made.clear()
    driver = Driver("storage", "counted", f"{__name__}:Counted")
    context = DriverContext(base / "root", base / "run", "", options, print)
    return Handle(driver, context, lambda *_: None)


def test_who_opens_at_once_shares_one_driver(tmp_path: Path) -> None:
    async def main() -> None:
        one = handle(tmp_path)
        await asyncio.gather(*(one.open() for _ in range(5)))
        assert one.instance is made[0]
        await one.close()

    asyncio.run(main())
    assert len(made) == 1


def test_a_driver_that_does_not_work_is_tried_again(tmp_path: Path) -> None:
    async def main() -> None:
        one = handle(tmp_path, broken=True)
        with pytest.raises(Unavailable, match="not yet"):
            await one.open()
        await one.open()
        assert one.instance is made[1]
        await one.close()

    asyncio.run(main())
