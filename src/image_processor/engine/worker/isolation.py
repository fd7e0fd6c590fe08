"""Runs `render` in a child process, so that a decoder that loops, crashes or exhausts memory ends only the
child.

The child is a new process and no fork, since one that has used libvips hangs after fork(). It replies in
JSON and raw bytes, never pickle: an image that takes over the child must not make the parent run code.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

from image_processor.domain.errors import ImageProcessorError, MissingExtra, Reason, Refused, Unavailable
from image_processor.domain.models import ExifField, IccPolicy, Limits, Rendered, RenderedImage, SandboxPolicy
from image_processor.domain.ports import OriginalFile
from image_processor.domain.transformation import Transformation

from . import messages
from .child_environment import hide_memory
from .child_process import ChildLost, ChildProcess, Message
from .decoded_files import DecodedFiles, KeptPixels
from .resource_limits import cpu_seconds_of

_MEMORY_SHARE = 8
"""Pixels that are kept take memory in addition to decoding: at most an eighth of `Limits.max_memory`."""


class IsolatedRenderer:
    """Renders in a child process that may die. Each thread needs its own: only `abort` is thread-safe.

    ``timeout_factor`` bounds wall-clock time: seconds of waiting for each second of ``limits.cpu_seconds``.
    It only matters where a child gets little CPU time. ``until``, in seconds of time.monotonic(), is a
    deadline for every reply, for a caller that will be stopped then. A missed one is a refusal, or with
    ``late_is_unavailable`` Unavailable, for a caller that has less time than others for the same image.
    ``sandbox`` says whether the child enters a sandbox. ``decoded`` keeps the pixels of originals that are
    files on this machine.
    """

    _program = "from image_processor.engine.worker.child import main; main()"

    def __init__(
        self,
        *,
        timeout_factor: float = 10.0,
        until: float = math.inf,
        late_is_unavailable: bool = False,
        sandbox: SandboxPolicy = SandboxPolicy.AUTO,
        decoded: DecodedFiles | None = None,
    ) -> None:
        self.until = until
        self.decoded = decoded
        self._timeout_factor = timeout_factor
        self._late_is_unavailable = late_is_unavailable
        self._sandbox = sandbox
        self._child: ChildProcess | None = None
        self._aborted = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def warm(self) -> None:
        """Start the child now instead of with the first render.

        Raises UnsafeRuntime where libvips cannot be made safe, or a required sandbox is not complete;
        Unavailable where no child starts in time.
        """
        self.start()
        assert self._child is not None
        try:
            self._child.wait_until_ready(self.until)
        except BaseException:
            self.close()
            raise

    @property
    def sandbox_gaps(self) -> tuple[str, ...]:
        """What of the sandbox the child does not have, as sentences. Call `warm` first."""
        assert self._child is not None
        return self._child.sandbox_gaps

    @property
    def cpu_seconds(self) -> float:
        """The CPU time that the child has used, in hundredths of a second; 0 where it is not known. Call
        `warm` first."""
        assert self._child is not None
        return cpu_seconds_of(self._child.pid) or 0.0

    def start(self) -> None:
        """Start the child and return at once: it loads libvips while the caller reads the original. Raises
        Unavailable."""
        self._check_not_aborted()
        if self._child is None:
            hide_memory()
            self._child = ChildProcess(self._program, self._sandbox)
            self._check_not_aborted()  # `abort` may not have seen the new child

    def close(self) -> None:
        """End the child. A later render starts another one."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def abort(self) -> None:
        """End the child for good: a running render and all later ones raise Unavailable. May be called from
        any thread, and does not wait."""
        self._aborted = True
        child = self._child
        if child is not None:
            child.kill()

    def render(  # noqa: PLR0913 - the parameters of engine.render.render
        self,
        data: bytes | OriginalFile,
        transformations: Sequence[Transformation],
        limits: Limits,
        *,
        icc: IccPolicy = IccPolicy.STRIP,
        threads: int = 2,
        summary: bool = True,
        exif: Collection[ExifField] = (),
        overlay_sources: Mapping[str, bytes] | None = None,
        on_rendition: Callable[[RenderedImage], None] = lambda _: None,
    ) -> Rendered:
        """As `engine.render.render`, and enforces ``limits.cpu_seconds``. ``on_rendition`` is called in the
        calling thread.

        Also raises Refused(TOO_SLOW), Refused(DECODER_CRASHED) if two children died of it, and Unavailable
        if no child takes it or the renderer was aborted.
        """
        overlays = overlay_sources or {}
        kept = None
        if self.decoded is not None and isinstance(data, OriginalFile) and transformations:
            kept = self.decoded.of(data)
        request = messages.Request(
            tuple(map(str, transformations)),
            limits,
            icc,
            threads,
            summary,
            tuple(exif),
            tuple(overlays),
            len(data) if isinstance(data, OriginalFile) else None,
            tuple(kept.files) if kept else (),
            min(kept.max_bytes, limits.max_memory // _MEMORY_SHARE) if kept else 0,
        )
        bodies = [data, *overlays.values()]
        images: dict[int, RenderedImage] = {}

        def attempt() -> messages.Reply:
            for message, body in self._ask(request, bodies, kept):
                if not isinstance(message, messages.Made):
                    reply = message  # the last message, but `_ask` must come to its end
                # A child that was lost may have made it before.
                elif message.number not in images:
                    image = RenderedImage(transformations[message.number], body, message.metadata)
                    images[message.number] = image
                    on_rendition(image)
            return reply

        try:
            reply = attempt()
        except ChildLost:
            try:
                reply = attempt()
            except ChildLost as second:
                raise second.error from None
        return _rendered(reply, [images[number] for number in sorted(images)])

    def _ask(
        self, request: messages.Request, bodies: Sequence[bytes | OriginalFile], kept: KeptPixels | None
    ) -> Iterator[Message]:
        """As `ChildProcess.ask`. Raises ChildLost, Refused(TOO_SLOW), Unavailable, UnsafeRuntime."""
        try:
            self.warm()
            assert self._child is not None
            wall_seconds = self._wall_seconds(request.limits)
            try:
                yield from self._child.ask(request, bodies, wall_seconds, kept)
            except TimeoutError:
                raise self._late(wall_seconds) from None
        except BaseException:
            # A reply may still arrive later, so this child is never used again.
            self.close()
            self._check_not_aborted()
            raise

    def _wall_seconds(self, limits: Limits) -> float:
        return max(0, min(self._timeout_factor * limits.cpu_seconds, self.until - time.monotonic()))

    def _late(self, wall_seconds: float) -> ImageProcessorError:
        message = f"expected a reply within {wall_seconds:.3g} s, got none"
        if self._late_is_unavailable and time.monotonic() >= self.until:
            return Unavailable(message)
        return Refused(Reason.TOO_SLOW, message)

    def _check_not_aborted(self) -> None:
        if self._aborted:
            self.close()
            raise Unavailable("the program is stopping")


def _rendered(reply: messages.Reply, renditions: Sequence[RenderedImage]) -> Rendered:
    """The value of a reply; raises the error of the child's render."""
    match reply:
        case messages.Refusal(reason, message):
            raise Refused(reason, message)
        case messages.Missing(message):
            raise MissingExtra(message)
        case messages.Exhausted():
            raise Refused(
                Reason.TOO_MANY_PIXELS,
                "expected an image that is rendered within the memory allowed, got a larger one",
            )
        case messages.Failed(traceback):
            # A bug of this program: a retry would fail again, so it is a refusal. A fixed version tries
            # again, because RENDERING_VERSION is part of the plan's fingerprint.
            import logging  # noqa: PLC0415 - 4 ms of a cold start

            logging.getLogger(__name__).error("rendering failed: %s", traceback)
            raise Refused(
                Reason.ENGINE_FAILED, "expected a rendition, got an error of the program; see its log"
            )
        case messages.Done(original, summary, exif, timings):
            return Rendered(original, summary, tuple(renditions), exif, timings)
