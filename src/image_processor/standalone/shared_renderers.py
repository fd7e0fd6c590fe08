"""The renderers of what URLs ask for. A thread of the render pool borrows one only while it renders: another
thread's rendition is made while this one reads its original's state, or stores.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from image_processor.domain.models import Rendered
from image_processor.domain.ports import Renderer

RendererContext = Callable[[], AbstractContextManager[Renderer]]
"""Opens a renderer that one thread at a time may use."""


class SharedRenderers:
    """At most ``count`` renderers, each opened when it is first needed. Methods may be called from any
    thread."""

    def __init__(self, open_renderer: RendererContext, count: int) -> None:
        self._open_renderer = open_renderer
        self._free = threading.BoundedSemaphore(count)
        self._lock = threading.Lock()
        self._idle: list[Renderer] = []
        self._open_contexts = ExitStack()

    def render(self, *args: Any, **options: Any) -> Rendered:
        """As `engine.render.render`, with a renderer that nobody else uses. Waits for one."""
        with self._borrowed() as render:
            return render(*args, **options)

    def close(self) -> None:
        """End all renderers. Nobody may be using one."""
        self._open_contexts.close()

    @contextmanager
    def _borrowed(self) -> Iterator[Renderer]:
        with self._free:
            with self._lock:
                render = self._idle.pop() if self._idle else None
            render = render or self._open()
            try:
                yield render
            finally:
                with self._lock:
                    self._idle.append(render)

    def _open(self) -> Renderer:
        context = self._open_renderer()
        render = context.__enter__()
        with self._lock:
            self._open_contexts.push(context)
        return render
