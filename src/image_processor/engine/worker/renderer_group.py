"""All isolated renderers of a program: a program that stops can end them, whatever their children do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from image_processor.domain.errors import Unavailable
from image_processor.domain.models import SandboxPolicy

from .decoded_files import DecodedFiles
from .isolation import IsolatedRenderer


class RendererGroup:
    """Opens isolated renderers and can abort them. Methods may be called from any thread. ``sandbox`` is
    that of all renderers. ``started`` is one whose child has been started. With ``keeps_idle`` the next
    renderer uses the child of `try_start`, which waits until then."""

    def __init__(
        self,
        sandbox: SandboxPolicy = SandboxPolicy.AUTO,
        started: IsolatedRenderer | None = None,
        *,
        keeps_idle: bool = True,
    ) -> None:
        self._sandbox = sandbox
        self._keeps_idle = keeps_idle
        self._lock = threading.Lock()
        self._open: set[IsolatedRenderer] = set()
        self._tried = [started] if started else []
        self._aborted = False

    def try_start(self) -> tuple[str, ...]:
        """Start a child, to see that renderers work here: alone where it fails with those of `start_idle`.
        Returns the gaps of its sandbox. Raises as `IsolatedRenderer.warm`."""
        try:
            return self._try_start()
        except Unavailable:
            if not self._tried:
                raise
            self.close_unused()
            return self._try_start()

    def _try_start(self) -> tuple[str, ...]:
        renderer = self._tried.pop() if self._tried else IsolatedRenderer(sandbox=self._sandbox)
        renderer.warm()
        gaps = renderer.sandbox_gaps
        if self._keeps_idle:
            self._tried.append(renderer)
        else:
            renderer.close()
        return gaps

    def start_idle(self, count: int) -> None:
        """Start ``count`` more children for the next renderers, and do not wait for them. Where the system
        has no room for one, that renderer starts its own when it is needed."""
        for _ in range(count):
            renderer = IsolatedRenderer(sandbox=self._sandbox)
            try:
                renderer.start()
            except Unavailable:
                return
            self._tried.insert(0, renderer)  # what was started first is ready first

    def close_unused(self) -> None:
        """End the children that `try_start` and `start_idle` started and no renderer uses."""
        with self._lock:
            tried, self._tried = self._tried, []
        for renderer in tried:
            renderer.close()

    @contextmanager
    def renderer(self, decoded: DecodedFiles | None = None) -> Iterator[IsolatedRenderer]:
        """A renderer for one thread. With ``decoded`` it shares the pixels of originals with others."""
        with self._lock:
            tried = self._tried.pop() if self._tried else None
        with tried or IsolatedRenderer(sandbox=self._sandbox) as renderer:
            renderer.decoded = decoded
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
