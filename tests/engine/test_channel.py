"""Messages between a process and its child: whole, whatever the pipes take at once, and in time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest

from image_processor.engine.worker.channel import Channel, _without

LARGE = bytes(range(256)) * 12_000


@pytest.fixture
def channels() -> Iterator[tuple[Channel, Channel]]:
    """Both ends."""
    first_read, second_write = os.pipe()
    second_read, first_write = os.pipe()
    first, second = Channel(first_read, first_write), Channel(second_read, second_write)
    yield first, second
    first.close()
    second.close()


def soon() -> float:
    return time.monotonic() + 0.05


@pytest.mark.parametrize(
    "message", [b"", b"1", LARGE, memoryview(LARGE)], ids=["empty", "1", "large", "view"]
)
def test_a_message_arrives_whole(channels: tuple[Channel, Channel], message: bytes) -> None:
    sender, receiver = channels
    thread = threading.Thread(target=sender.send, args=[message])
    thread.start()
    assert receiver.receive() == bytes(message)
    thread.join()


def test_a_small_message_is_one_write(
    channels: tuple[Channel, Channel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two would wake the other side twice."""
    writes, writev = [], os.writev
    monkeypatch.setattr(os, "writev", lambda *args: writes.append(args) or writev(*args))
    channels[0].send(b"message")
    assert len(writes) == 1
    assert channels[1].receive() == b"message"


def test_a_side_that_does_not_answer_is_given_up(channels: tuple[Channel, Channel]) -> None:
    sender, receiver = channels
    with pytest.raises(TimeoutError):
        receiver.receive(soon())
    with pytest.raises(TimeoutError):
        sender.send(LARGE, soon())


def test_the_rest_of_parts() -> None:
    parts = [memoryview(b"abc"), memoryview(b""), memoryview(b"de")]
    rests = [b"".join(_without(parts, count)) for count in range(6)]
    assert rests == [b"abcde"[count:] for count in range(6)]
    assert _without(parts, 5) == []
