"""Slots that clients share: alone one has half of them, and a newcomer is never kept out for long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from image_processor.api.fair_slots import FairSlots
from image_processor.domain.errors import Overloaded, ShareExceeded

LONG = 60.0


def running(test: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(test(), LONG)

    asyncio.run(limited())


async def count_held(slots: FairSlots, client: str) -> int:
    """How many more slots a client gets at once."""
    count = 0
    try:
        while True:
            await slots.acquire(client)
            count += 1
    except Overloaded:
        return count


def test_each_client_leaves_room_for_the_next_one() -> None:
    async def test() -> None:
        slots = FairSlots("uploads", 16)
        assert [await count_held(slots, name) for name in "abcdef"] == [8, 4, 2, 1, 1, 0]

    running(test)


def test_errors_say_whose_limit_it_is() -> None:
    async def test() -> None:
        slots = FairSlots("uploads", 2)
        await slots.acquire("a")
        with pytest.raises(ShareExceeded, match=r"got more than 1 of 2; wait for some to end"):
            await slots.acquire("a")
        await slots.acquire("b")
        with pytest.raises(Overloaded, match="at most 2 uploads at the same time") as full:
            await slots.acquire("c")
        assert not isinstance(full.value, ShareExceeded)

    running(test)


def test_who_has_fewest_is_next_and_then_clients_take_turns() -> None:
    async def test() -> None:
        slots, order = FairSlots("dry runs", 1), []

        async def run(client: str, name: str) -> None:
            async with slots.take(client, LONG):
                order.append(name)
                await asyncio.sleep(0)

        await slots.acquire("a")
        tasks = [asyncio.create_task(run(name[0], name)) for name in ("a1", "a2", "b1", "c1")]
        await asyncio.sleep(0)
        slots.release("a")
        await asyncio.gather(*tasks)
        assert order == ["a1", "b1", "c1", "a2"]

        three = FairSlots("uploads", 3)
        await three.acquire("a")
        await three.acquire("b")
        await three.acquire("c")
        order.clear()

        async def wait(client: str) -> None:
            await three.acquire(client, LONG)
            order.append(client)

        tasks = [asyncio.create_task(wait(client)) for client in "ad"]
        await asyncio.sleep(0)
        three.release("b")
        await asyncio.sleep(0.01)
        assert order == ["d"]
        tasks[0].cancel()

    running(test)


def test_a_request_that_gives_up_waiting_takes_no_slot() -> None:
    async def test() -> None:
        slots = FairSlots("dry runs", 1)
        await slots.acquire("a")
        with pytest.raises(Overloaded):
            await slots.acquire("b", 0.01)
        task = asyncio.create_task(slots.acquire("b", LONG))
        await asyncio.sleep(0)
        task.cancel()
        slots.release("a")
        await asyncio.sleep(0)
        await slots.acquire("c")

    running(test)


def test_a_request_that_is_cancelled_when_its_turn_comes_passes_it_on() -> None:
    async def test() -> None:
        slots = FairSlots("dry runs", 1)
        await slots.acquire("a")
        first, second = (asyncio.create_task(slots.acquire(name, LONG)) for name in "bc")
        await asyncio.sleep(0)
        slots.release("a")  # the turn of b has come, before b runs
        first.cancel()
        await second
        assert first.cancelled()

    running(test)
