"""The broadcaster: which events readers get, in which order, and how missed events are marked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_processor.standalone.progress import Event, EventType, Position, Progress


def event(name: str = "a") -> Event:
    return Event(EventType.QUEUED, f"id-{name}", name)


async def take(items: AsyncIterator[Event | Position], count: int) -> list[Event | Position]:
    return [await anext(items) for _ in range(count)]


async def rest(items: AsyncIterator[Event | Position]) -> list[Event | Position]:
    return [item async for item in items]


def test_publishing_numbers_events_from_one() -> None:
    progress = Progress()
    assert [progress.publish(event()).sequence for _ in range(3)] == [1, 2, 3]


def test_every_reader_gets_every_event_after_its_start() -> None:
    async def scene() -> None:
        progress = Progress()
        early = progress.follow()
        assert await anext(early) == Position(0)
        first = progress.publish(event("a"))
        late = progress.follow()
        assert await anext(late) == Position(1)
        second = progress.publish(event("b"))
        progress.close()
        assert await rest(early) == [first, second]
        assert await rest(late) == [second]

    asyncio.run(scene())


def test_a_waiting_reader_is_woken_from_another_thread() -> None:
    async def scene() -> None:
        progress = Progress()
        reader = progress.follow()
        await anext(reader)
        waiting = asyncio.ensure_future(anext(reader))
        await asyncio.sleep(0)  # let it begin to wait
        assert not waiting.done()
        thread = threading.Thread(target=progress.publish, args=(event(),))
        thread.start()
        item = await asyncio.wait_for(waiting, 10)
        thread.join()
        assert isinstance(item, Event)
        assert item.key == "a"

    asyncio.run(scene())


def test_a_reader_continues_after_its_cursor() -> None:
    async def scene() -> None:
        progress = Progress()
        seen, *unseen = [progress.publish(event(name)) for name in "abc"]
        reader = progress.follow(progress.cursor(seen))
        assert await take(reader, 3) == [Position(1), *unseen]

    asyncio.run(scene())


def test_a_cursor_just_before_the_history_misses_nothing() -> None:
    async def scene() -> None:
        progress = Progress(history=3)
        seen, *unseen = [progress.publish(event()) for _ in range(4)]
        assert await take(progress.follow(progress.cursor(seen)), 4) == [Position(1), *unseen]

    asyncio.run(scene())


def test_a_cursor_of_the_newest_event_misses_nothing() -> None:
    async def scene() -> None:
        progress = Progress(history=1)
        newest = [progress.publish(event()) for _ in range(5)][-1]
        assert await anext(progress.follow(progress.cursor(newest))) == Position(5)

    asyncio.run(scene())


@pytest.mark.parametrize(
    "forged", ["", "-", "5", "x-1", "{run}-", "{run}-99", "{run}--1", "{run}-٣", "{run}-" + "9" * 5000]
)
def test_an_unknown_cursor_is_marked_missed(forged: str) -> None:
    async def scene() -> None:
        progress = Progress()
        run = progress.cursor(progress.publish(event())).partition("-")[0]
        reader = progress.follow(forged.replace("{run}", run))
        assert await anext(reader) == Position(1, missed=True)

    asyncio.run(scene())


def test_a_cursor_of_an_earlier_run_is_unknown() -> None:
    async def scene() -> None:
        earlier = Progress()
        cursor = earlier.cursor(earlier.publish(event()))
        later = Progress()
        later.publish(event())
        assert await anext(later.follow(cursor)) == Position(1, missed=True)

    asyncio.run(scene())


def test_a_reader_that_fell_behind_is_marked_missed_once_and_continues_from_the_newest() -> None:
    async def scene() -> None:
        progress = Progress(history=3)
        reader = progress.follow()
        await anext(reader)
        for _ in range(4):
            progress.publish(event())
        assert await anext(reader) == Position(4, missed=True)
        last = progress.publish(event("last"))
        progress.close()
        assert await rest(reader) == [last]

    asyncio.run(scene())


def test_a_reader_exactly_at_the_edge_of_the_history_misses_nothing() -> None:
    async def scene() -> None:
        progress = Progress(history=3)
        reader = progress.follow()
        await anext(reader)
        events = [progress.publish(event()) for _ in range(3)]
        assert await take(reader, 3) == events

    asyncio.run(scene())


def test_a_reader_of_a_closed_broadcaster_ends() -> None:
    async def scene() -> None:
        progress = Progress()
        progress.close()
        assert await rest(progress.follow()) == [Position(0)]

    asyncio.run(scene())


def test_closing_ends_a_reader_that_waits() -> None:
    async def scene() -> None:
        progress = Progress()
        reader = progress.follow()
        await anext(reader)
        waiting = asyncio.ensure_future(rest(reader))
        await asyncio.sleep(0)
        progress.close()
        assert await asyncio.wait_for(waiting, 10) == []

    asyncio.run(scene())


def test_publishing_survives_a_reader_whose_loop_has_ended() -> None:
    progress = Progress()

    async def abandon() -> AsyncIterator[Event | Position]:
        reader = progress.follow()
        await anext(reader)
        return reader

    loop = asyncio.new_event_loop()
    reader = loop.run_until_complete(abandon())
    loop.close()
    assert progress.publish(event()).sequence == 1
    assert progress.publish(event()).sequence == 2
    del reader


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 8))
def test_a_reader_gets_events_in_order_and_complete_or_marked_missed(
    publish: list[bool], history: int
) -> None:
    """Publishing and reading interleaved: each item continues where the previous one ended."""

    async def scene() -> None:
        progress = Progress(history)
        reader = progress.follow()
        seen = [await anext(reader)]
        published = 0
        for is_event in publish:
            if is_event:
                progress.publish(event())
                published += 1
            elif seen[-1].sequence < published:
                seen.append(await anext(reader))
        progress.close()
        seen += await rest(reader)
        assert seen[-1].sequence == published
        for before, item in pairwise(seen):
            if isinstance(item, Event):
                assert item.sequence == before.sequence + 1
            else:
                assert item.missed
                assert item.sequence > before.sequence + history

    asyncio.run(scene())


def test_events_of_many_threads_have_unique_sequences() -> None:
    async def scene() -> None:
        progress = Progress()
        reader = progress.follow()
        await anext(reader)
        threads = [
            threading.Thread(target=lambda: [progress.publish(event()) for _ in range(50)]) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        seen = await asyncio.wait_for(take(reader, 400), 30)
        for thread in threads:
            thread.join()
        assert [item.sequence for item in seen] == list(range(1, 401))

    asyncio.run(scene())
