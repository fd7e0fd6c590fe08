"""Composes rendering for the Lambda functions that hold signing keys, `deliver` and `api`: in a child process
without secrets, which an image may crash or take over.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from image_processor.aws.retries import Deadline
from image_processor.domain.models import Limits, Rendered, SandboxPolicy
from image_processor.domain.ports import OriginalFile
from image_processor.domain.transformation import Transformation

if TYPE_CHECKING:
    from image_processor.engine.worker.isolation import IsolatedRenderer

_RESERVE_SECONDS = 2.0
"""What is left of an invocation's time when a rendering is abandoned."""


class IsolatedRendering:
    """Renders in one child process, which lives as long as the function's environment.

    A rendering that does not end before ``deadline`` raises Unavailable, because other functions have more
    time for it.
    """

    def __init__(self, deadline: Deadline, sandbox: SandboxPolicy = SandboxPolicy.AUTO) -> None:
        self._deadline = deadline
        self._sandbox = sandbox
        self._renderer: IsolatedRenderer | None = None
        self._has_reported = False

    def start(self) -> None:
        """Start the child, which loads libvips while the caller waits for S3. Raises Unavailable."""
        self._open().start()

    def render(
        self,
        data: bytes | OriginalFile,
        transformations: Sequence[Transformation],
        limits: Limits,
        **options: Any,
    ) -> Rendered:
        """As `engine.render.render`, within the deadline. Raises what `IsolatedRenderer.render` raises."""
        renderer = self._open()
        renderer.until = time.monotonic() + self._deadline.remaining - _RESERVE_SECONDS
        rendered = renderer.render(data, transformations, limits, **options)
        self._report_gaps(renderer.sandbox_gaps)
        return rendered

    def _report_gaps(self, gaps: Sequence[str]) -> None:
        """Log once what of the sandbox this kernel does not have."""
        if not gaps or self._has_reported:
            return
        import logging  # noqa: PLC0415 - 4 ms, after the first rendition

        self._has_reported = True
        logging.getLogger(__name__).warning("renderers are not fully sandboxed: %s", "; ".join(gaps))

    def _open(self) -> IsolatedRenderer:
        if self._renderer is None:
            from image_processor.engine.worker.isolation import IsolatedRenderer  # noqa: PLC0415 - a stored rendition does not need it

            self._renderer = IsolatedRenderer(late_is_unavailable=True, sandbox=self._sandbox)
        return self._renderer
