"""The queue of uploads: clients take turns, and the items of each come in their order."""

from __future__ import annotations

from image_processor.standalone.fair_queue import FairQueue, acting_for


def queue_of(**clients: str) -> FairQueue[str]:
    queue: FairQueue[str] = FairQueue()
    for client, keys in clients.items():
        with acting_for(client):
            for key in keys:
                queue.add(key, key.upper())
    return queue


def drain(queue: FairQueue[str], *, unready: str = "") -> str:
    taken = ""
    while (item := queue.take(lambda key, _: key not in unready)) is not None:
        taken += item
    return taken


def test_clients_take_turns() -> None:
    queue = queue_of(greedy="abcdef", modest="x", third="yz")
    assert len(queue) == 9
    assert drain(queue) == "AXYBZCDEF"
    assert len(queue) == 0


def test_a_client_that_comes_later_waits_for_one_of_each() -> None:
    queue = queue_of(greedy="abcdef")
    assert queue.take(lambda *_: True) == "A"
    queue.add("s", "of the server")
    with acting_for("modest"):
        queue.add("x", "X")
    assert [queue.take(lambda *_: True) for _ in range(4)] == ["B", "of the server", "X", "C"]


def test_what_is_not_ready_holds_nothing_back() -> None:
    queue = queue_of(greedy="abc", modest="x")
    assert drain(queue, unready="ax") == "BC"
    assert sorted(queue.items()) == [("a", "A"), ("x", "X")]
    assert drain(queue) == "XA"  # greedy was served last


def test_an_item_is_found_and_removed_by_its_key() -> None:
    queue = queue_of(greedy="ab", modest="x")
    assert (queue.get("x"), queue.get("none")) == ("X", None)
    assert (queue.pop("x"), queue.pop("x"), queue.get("x")) == ("X", None, None)
    with acting_for("modest"):
        queue.add("b", "again")  # another one has submitted the key since
    assert queue.get("b") == "again"
    assert len(queue) == 2
    assert sorted(drain(queue)) == sorted("Aagain")
