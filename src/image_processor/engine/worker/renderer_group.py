"""All isolated renderers of a program: a program that stops can end them, whatever their children do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from image_processor.domain.models import SandboxPolicy

from .isolation import IsolatedRenderer


class RendererGroup:
    """Opens isolated renderers and can abort them. Methods may be called from any thread. ``sandbox`` is
    that of all renderers."""

    def __init__(self, sandbox: SandboxPolicy = SandboxPolicy.AUTO) -> None:
        self._sandbox = sandbox
        self._lock = threading.Lock()
        self._open: set[IsolatedRenderer] = set()
        self._tried: list[IsolatedRenderer] = []
        self._aborted = False

    def try_start(self) -> tuple[str, ...]:
        """Start a child, which the next renderer uses. Returns the gaps of its sandbox. Raises as
        `IsolatedRenderer.warm`."""
        renderer = IsolatedRenderer(sandbox=self._sandbox)
        renderer.warm()
        self._tried.append(renderer)
        return renderer.sandbox_gaps

    def close_unused(self) -> None:
        """End the child that `try_start` started, if no renderer uses it."""
        with self._lock:
            tried, self._tried = self._tried, []
        for renderer in tried:
            renderer.close()

    @contextmanager
    def renderer(self) -> Iterator[IsolatedRenderer]:
        """A renderer for one thread."""
        with self._lock:
            tried = self._tried.pop() if self._tried else None
        with tried or IsolatedRenderer(sandbox=self._sandbox) as renderer:
            with self._lock:
                self._open.add(renderer)
                if self._aborted:
                    renderer.abort()
            try:
                yield renderer
            finally:
                with self._lock:
                    self._open.discard(renderer)

    def abort(self) -> None:
        """Abort all renderers, and those that are opened later."""
        with self._lock:
            self._aborted = True
            for renderer in self._open:
                renderer.abort()

    @contextmanager
    def abort_after(self, seconds: float) -> Iterator[None]:
        """Abort if the context has not ended after ``seconds``."""
        timer = threading.Timer(seconds, self.abort)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
