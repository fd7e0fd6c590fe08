"""The render pool: concurrent requests share a task, the queue is bounded, failures are not cached."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from image_processor.domain.errors import NotFound, Overloaded, Unavailable
from image_processor.standalone.activity import Activity
from image_processor.standalone.render_coordinator import MetadataPending, RenderCoordinator
from image_processor.standalone.render_pool import RenderPool
from support.waiting import wait_for

WAIT = 30


class GatedPool:
    """A pool whose tasks wait for a gate, and what a test may count."""

    def __init__(self, count=1, max_waiting=4):
        self.gate = threading.Event()
        self.pool = RenderPool(None, count, count + max_waiting)

    def task(self, result, rendered=None):
        def run(_):
            assert self.gate.wait(WAIT)
            if rendered is not None:
                rendered.append(result)
            if isinstance(result, Exception):
                raise result
            return result

        return run


@pytest.fixture
def gated():
    gated = GatedPool()
    yield gated
    gated.gate.set()
    gated.pool.close()


def test_concurrent_requests_share_one_render(gated):
    """Promise 41: 500 identical misses, one decode."""
    rendered, start = [], threading.Barrier(20)

    def request(number):
        if number < 20:
            start.wait(WAIT)
        return gated.pool.submit("a", gated.task("it", rendered))

    with ThreadPoolExecutor(20) as threads:
        futures = list(threads.map(request, range(500)))
    assert gated.pool.backlog() == 1
    gated.gate.set()
    assert {future.result(WAIT) for future in futures} == {"it"}
    assert rendered == ["it"]


def test_a_full_queue_rejects_at_once(gated):
    """At most four tasks wait and one runs; a request for one of them shares it."""
    futures = [gated.pool.submit(str(number), gated.task(number)) for number in range(5)]
    with pytest.raises(Overloaded, match="expected at most 5 renditions in the making, got more"):
        gated.pool.submit("one more", gated.task(0))
    assert gated.pool.submit("3", gated.task(None)) is futures[3]
    gated.gate.set()
    assert [future.result(WAIT) for future in futures] == list(range(5))
    wait(futures)
    assert gated.pool.submit("one more", gated.task(6)).result(WAIT) == 6


def test_a_failure_reaches_every_waiter_and_is_not_cached(gated):
    futures = [gated.pool.submit("a", gated.task(Unavailable("no"))) for _ in range(3)]
    gated.gate.set()
    for future in futures:
        with pytest.raises(Unavailable, match="no"):
            future.result(WAIT)
    assert gated.pool.submit("a", gated.task("it")).result(WAIT) == "it"


def test_close_finishes_running_tasks_and_cancels_waiting_ones(gated):
    begun = threading.Event()

    def run(_):
        begun.set()
        return gated.task("it")(None)

    running = gated.pool.submit("a", run)
    waiting = gated.pool.submit("b", gated.task("never"))
    assert begun.wait(WAIT)
    closing = threading.Thread(target=gated.pool.close)
    closing.start()
    wait_for(waiting.cancelled, "the waiting task is cancelled")
    gated.gate.set()
    closing.join(WAIT)
    assert (running.result(), waiting.cancelled()) == ("it", True)
    with pytest.raises(Unavailable, match="stopping"):
        gated.pool.submit("c", gated.task("late"))


def test_metadata_is_read_without_blocking_a_thread(gated):
    """A request gets the future to wait for; the header is read once and then remembered."""
    read = []

    class Renderer:
        def read_metadata(self, key, version):
            assert gated.gate.wait(WAIT)
            read.append((key, version))
            if key == "bad":
                raise NotFound(key)
            return f"metadata of {key}"

    pool = RenderPool(Renderer(), 1, 10)
    coordinator = RenderCoordinator(None, pool, None, None, Activity())
    pending = []
    for key in ("cat", "cat", "bad", "bad"):
        with pytest.raises(MetadataPending) as caught:
            coordinator.metadata_of(key, "v1")
        pending.append(caught.value.future)
    assert len(set(pending)) == 2
    gated.gate.set()
    assert pending[0].result(WAIT) is None
    assert coordinator.metadata_of("cat", "v1") == "metadata of cat"
    with pytest.raises(NotFound):
        pending[2].result(WAIT)
    for key, version in (("cat", "v2"), ("bad", "v1")):
        with pytest.raises(MetadataPending):
            coordinator.metadata_of(key, version)
    pool.close()
    assert read[:2] == [("cat", "v1"), ("bad", "v1")]
