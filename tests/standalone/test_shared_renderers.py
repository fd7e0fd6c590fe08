"""Shared renderers: one is borrowed for a rendering only, and never by two threads at a time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import skimage

from image_processor.bootstrap.standalone import open_server_context
from image_processor.config.settings import Settings
from image_processor.delivery.request import HttpRequest
from image_processor.domain.errors import Unavailable
from image_processor.domain.ports import Attributes
from image_processor.renditions.freshness import is_on_demand
from image_processor.standalone.render_pool import RenderPool
from image_processor.standalone.shared_renderers import SharedRenderers
from image_processor.storage.directory import DirectoryStore

COFFEE = (Path(skimage.__file__).parent / "data" / "coffee.png").read_bytes()
WAIT = 60


class Opened:
    """Renderers that return their number and the call, and what a test may count."""

    def __init__(self, *errors):
        self.errors, self.opened, self.closed = list(errors), [], []
        self.in_use, self.most_in_use = set(), 0
        self.meet = lambda: None

    @contextmanager
    def __call__(self):
        if self.errors:
            raise self.errors.pop()
        number = len(self.opened)
        self.opened.append(number)

        def render(*args, **options):
            assert number not in self.in_use
            self.in_use.add(number)
            self.most_in_use = max(self.most_in_use, len(self.in_use))
            self.meet()
            self.in_use.discard(number)
            return number, args, options

        yield render
        self.closed.append(number)


def test_a_renderer_opens_when_it_is_needed_and_is_used_again():
    opened = Opened()
    renderers = SharedRenderers(opened, 2)
    assert opened.opened == []
    assert [renderers.render("a", icc="strip") for _ in range(3)] == [(0, ("a",), {"icc": "strip"})] * 3
    renderers.close()
    assert (opened.opened, opened.closed) == ([0], [0])


def test_no_more_threads_render_than_there_are_renderers():
    opened = Opened()
    both = threading.Barrier(2)
    opened.meet = lambda: both.wait(WAIT)
    renderers = SharedRenderers(opened, 2)
    with ThreadPoolExecutor(8) as threads:
        used = {result[0] for result in threads.map(renderers.render, range(40))}
    renderers.close()
    assert (used, opened.most_in_use, sorted(opened.closed)) == ({0, 1}, 2, [0, 1])


def test_while_one_thread_stores_another_one_renders_with_the_same_renderer():
    """One renderer and two threads: the first task returns only after the second one has rendered."""
    renderers = SharedRenderers(Opened(), 1)
    pool = RenderPool(renderers, 2, 2)
    rendered = threading.Event()

    def store_late(shared):
        shared.render()
        return rendered.wait(WAIT)

    def render_only(shared):
        shared.render()
        rendered.set()

    first = pool.submit("a", store_late)
    pool.submit("b", render_only).result(WAIT)
    assert first.result(WAIT) is True
    pool.close()
    renderers.close()


def test_one_that_does_not_open_and_one_that_fails_are_free_again():
    opened = Opened(Unavailable("no renderer starts"))
    renderers = SharedRenderers(opened, 1)
    with pytest.raises(Unavailable, match="no renderer starts"):
        renderers.render()
    opened.meet = lambda: opened.in_use.clear() or 1 / 0
    with pytest.raises(ZeroDivisionError):
        renderers.render()
    opened.meet = lambda: None
    assert renderers.render() == (0, (), {})
    renderers.close()
    assert (opened.opened, opened.closed) == ([0], [0])


def test_the_server_renders_one_rendition_while_it_stores_another(tmp_path, monkeypatch):
    """With one renderer: what is stored first waits until the second rendition is about to be stored."""
    settings = Settings(data=tmp_path, workers=1, allow_unsigned=True)
    both = threading.Barrier(2)
    put = DirectoryStore.put

    def put_together(store, key, *args, **options):
        if is_on_demand(key):
            both.wait(WAIT)
        return put(store, key, *args, **options)

    monkeypatch.setattr(DirectoryStore, "put", put_together)
    with open_server_context(settings) as context:
        context.uploads.put("cat.png", COFFEE, Attributes("image/png"))
        requests = [HttpRequest("GET", "cat.png", f"w={width}&fm=jpeg", {}) for width in (32, 48)]
        refs = [context.delivery.find(request).ref for request in requests]
        results = [context.render_coordinator.request(ref) for ref in refs]
        assert [result.result(WAIT).is_stored for result in results] == [True, True]
