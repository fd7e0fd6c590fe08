"""The kitchen: one decode for a herd, a bounded queue, failures that are told and forgotten."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext

import pytest

from image_processor.domain.errors import NotFound, Overloaded, Unavailable
from image_processor.standalone.render_coordinator import Orders, Pending
from image_processor.standalone.render_pool import Kitchen
from support.waiting import wait_for

PATIENCE = 30


class Pass:
    """A kitchen whose cooks wait at a gate, and what a test may count."""

    def __init__(self, count=1, most=4):
        self.gate, self.opened, self.closed = threading.Event(), [], []
        self.kitchen = Kitchen(self._desk, count, most)

    @contextmanager
    def _desk(self):
        self.opened.append(threading.current_thread().name)
        yield f"desk {len(self.opened)}"
        self.closed.append(threading.current_thread().name)

    def cook(self, result, made=None):
        def work(_):
            assert self.gate.wait(PATIENCE)
            if made is not None:
                made.append(result)
            if isinstance(result, Exception):
                raise result
            return result

        return work


@pytest.fixture
def counter():
    counter = Pass()
    yield counter
    counter.gate.set()
    counter.kitchen.close()


def test_a_herd_has_it_made_once(counter):
    """Promise 41: 500 identical misses, one decode."""
    made, start = [], threading.Barrier(20)

    def ask(first):
        if first < 20:
            start.wait(PATIENCE)
        return counter.kitchen.order("a", counter.cook("it", made))

    with ThreadPoolExecutor(20) as crowd:
        orders = list(crowd.map(ask, range(500)))
    assert counter.kitchen.waiting() == 1
    counter.gate.set()
    assert {order.result(PATIENCE) for order in orders} == {"it"}
    assert made == ["it"]


def test_too_much_is_sent_away_at_once(counter):
    """At most four that wait, and one in work; who asks for one of them is welcome."""
    orders = [counter.kitchen.order(str(number), counter.cook(number)) for number in range(5)]
    with pytest.raises(Overloaded, match="expected at most 5 renditions in the making, got more"):
        counter.kitchen.order("one more", counter.cook(0))
    assert counter.kitchen.order("3", counter.cook(None)) is orders[3]
    counter.gate.set()
    assert [order.result(PATIENCE) for order in orders] == list(range(5))
    wait(orders)
    assert counter.kitchen.order("one more", counter.cook(6)).result(PATIENCE) == 6


def test_a_failure_is_told_to_all_who_wait_and_not_remembered(counter):
    orders = [counter.kitchen.order("a", counter.cook(Unavailable("no"))) for _ in range(3)]
    counter.gate.set()
    for order in orders:
        with pytest.raises(Unavailable, match="no"):
            order.result(PATIENCE)
    assert counter.kitchen.order("a", counter.cook("it")).result(PATIENCE) == "it"


def test_each_cook_has_a_desk_of_its_own_and_opens_it_when_needed():
    counter = Pass(count=2)
    assert counter.opened == []
    both = threading.Barrier(2)
    for name in "abab":
        orders = [counter.kitchen.order(name + side, lambda desk: (both.wait(9), desk)) for side in "lr"]
        assert {order.result(PATIENCE)[1] for order in orders} == {"desk 1", "desk 2"}
    assert len(set(counter.opened)) == len(counter.opened) == 2
    counter.kitchen.close()
    assert len(counter.closed) == 2


def test_a_desk_that_takes_long_to_open_holds_up_nobody_who_orders():
    opening, go_on = threading.Event(), threading.Event()

    @contextmanager
    def desk():
        opening.set()
        assert go_on.wait(PATIENCE)
        yield "desk"

    kitchen = Kitchen(desk, 1, 1)
    first = kitchen.order("a", lambda maker: maker)
    assert opening.wait(PATIENCE)
    with ThreadPoolExecutor(1) as other:
        asked = [other.submit(kitchen.waiting), other.submit(kitchen.order, "b", lambda maker: maker)]
        done, _ = wait(asked, 5)
        overloaded = other.submit(kitchen.order, "c", lambda maker: maker)
        wait([overloaded], 5)
        go_on.set()
    assert len(done) == 2
    assert isinstance(overloaded.exception(PATIENCE), Overloaded)
    assert first.result(PATIENCE) == "desk"
    kitchen.close()


def test_a_desk_that_does_not_open_is_tried_again():
    errors = [Unavailable("no renderer starts")]

    @contextmanager
    def desk():
        if errors:
            raise errors.pop()
        yield "desk"

    kitchen = Kitchen(desk, 1, 1)
    with pytest.raises(Unavailable, match="no renderer starts"):
        kitchen.order("a", lambda maker: maker).result(PATIENCE)
    assert kitchen.order("a", lambda maker: maker).result(PATIENCE) == "desk"
    kitchen.close()


def test_at_the_end_what_is_in_work_is_finished_and_what_waits_is_given_up(counter):
    begun = threading.Event()

    def work(_):
        begun.set()
        return counter.cook("it")(None)

    at_work = counter.kitchen.order("a", work)
    waiting = counter.kitchen.order("b", counter.cook("never"))
    assert begun.wait(PATIENCE)
    closing = threading.Thread(target=counter.kitchen.close)
    closing.start()
    wait_for(waiting.cancelled, "what waits is given up")
    counter.gate.set()
    closing.join(PATIENCE)
    assert (at_work.result(), waiting.cancelled()) == ("it", True)
    assert len(counter.closed) == 1
    with pytest.raises(Unavailable, match="stopping"):
        counter.kitchen.order("c", counter.cook("late"))


def test_a_header_is_asked_for_without_a_thread_that_waits(counter):
    """Who needs one is told what to wait for; it is read once, and remembered when it was read."""
    read = []

    class Desk:
        def facts(self, key, version):
            assert counter.gate.wait(PATIENCE)
            read.append((key, version))
            if key == "bad":
                raise NotFound(key)
            return f"facts of {key}"

    kitchen = Kitchen(lambda: nullcontext(Desk()), 1, 9)
    orders = Orders(None, kitchen, None, None)
    pending = []
    for key in ("cat", "cat", "bad", "bad"):
        with pytest.raises(Pending) as told:
            orders.facts_of(key, "v1")
        pending.append(told.value.order)
    assert len(set(pending)) == 2
    counter.gate.set()
    assert pending[0].result(PATIENCE) is None
    assert orders.facts_of("cat", "v1") == "facts of cat"
    with pytest.raises(NotFound):
        pending[2].result(PATIENCE)
    for key, version in (("cat", "v2"), ("bad", "v1")):
        with pytest.raises(Pending):
            orders.facts_of(key, version)
    kitchen.close()
    assert read[:2] == [("cat", "v1"), ("bad", "v1")]
