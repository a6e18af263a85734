"""Streams leave whole and in order, however the producer pauses and the reader reads."""

from __future__ import annotations

import asyncio
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tare.api.outbox import Outbox


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.sampled_from([0, 1, 7, 8192, 70_000, 300_000]), st.integers(0, 4)), max_size=8), st.integers(0, 4))
def test_everything_arrives_in_order(pieces: list[tuple[int, int]], last: int) -> None:
    """Each piece is followed by so many turns of the loop: the end of a flush may fall anywhere between two pieces."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        expected = b"".join(bytes([index + 1]) * size for index, (size, _turns) in enumerate(pieces))

        async def send(loop: asyncio.AbstractEventLoop) -> None:
            out = Outbox(ours, loop)
            for index, (size, turns) in enumerate(pieces):
                await out.write(bytes([index + 1]) * size)
                for _ in range(turns):
                    await asyncio.sleep(0)
            await out.drain()
            for _ in range(last):
                await asyncio.sleep(0)
            await out.drain()
            await out.close()
            ours.shutdown(socket.SHUT_WR)

        async def both() -> bytes:
            loop = asyncio.get_running_loop()
            sending = asyncio.ensure_future(send(loop))
            got = b""
            while piece := await loop.sock_recv(theirs, 50_000):
                got += piece
            await sending
            return got

        assert asyncio.run(asyncio.wait_for(both(), 20)) == expected


def test_a_producer_learns_that_the_client_is_gone() -> None:
    async def talk() -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        out = Outbox(ours, asyncio.get_running_loop())
        theirs.close()
        with ours, pytest.raises(OSError):
            for _ in range(10):
                await out.write(b"x")
                await asyncio.sleep(0)
                await asyncio.sleep(0)

    asyncio.run(talk())
