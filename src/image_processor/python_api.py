"""The public Python API: transform, probe and describe images in a program, without a library or a server.

Like the REST API and the command line, it uses the engine's isolated renderer. The package exports its names:
`import image_processor; image_processor.transform(data, "w=640,fm=webp")`.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from msgspec import Struct
from msgspec.structs import replace

from image_processor.domain.models import (
    ExifField,
    IccPolicy,
    ImageMetadata,
    Limits,
    Rendered,
    RenderedImage,
    VisualSummary,
)
from image_processor.domain.transformation import Transformation, parse
from image_processor.engine.worker.isolation import IsolatedRenderer

Source = bytes | bytearray | memoryview | os.PathLike[str]
"""An image: its encoded bytes, or the path of a file."""

Overlays = Mapping[str, Source]
"""Images that `over=image:KEY` may name, by that key."""


class Description(Struct, frozen=True):
    """What an image is and looks like. ``exif`` holds the requested fields that the file has."""

    metadata: ImageMetadata
    summary: VisualSummary
    exif: dict[str, str]


class Engine:
    """Renders in child processes, which it keeps between calls. Thread-safe.

    ``limits`` apply to every input, before anything is decoded. ``icc`` says what happens to colour
    profiles. Each concurrent call has a child process of its own; `close` ends them, and so does the end
    of a `with` block or of the program.
    """

    def __init__(self, *, limits: Limits | None = None, icc: IccPolicy = IccPolicy.STRIP) -> None:
        self._limits = limits or Limits()
        self._icc = icc
        self._lock = Lock()
        self._idle: list[IsolatedRenderer] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def transform(
        self, image: Source, transformation: str | Transformation, *, overlays: Overlays | None = None
    ) -> RenderedImage:
        """One rendition of ``image``, such as `w=640,h=480,fit=contain,fm=webp`.

        The result has ``body`` (encoded bytes), ``metadata`` (width and height in pixels, format, frames,
        bytes, SHA-256) and ``transformation`` in canonical form.

        Raises InvalidTransformation if the text is invalid, Refused if the image is (its ``reason`` says
        why), Unavailable if no child process can be started.
        """
        (rendition,) = self.transform_all(image, [transformation], overlays=overlays)
        return rendition

    def transform_all(
        self,
        image: Source,
        transformations: Iterable[str | Transformation],
        *,
        overlays: Overlays | None = None,
    ) -> tuple[RenderedImage, ...]:
        """One rendition per transformation, in that order. The image is decoded once and resized in a
        pyramid, so this is much faster than one call each. Raises as `transform` does.
        """
        wanted = [parse(item) if isinstance(item, str) else item for item in transformations]
        return self._render(image, wanted, overlays=overlays).renditions

    def probe(self, image: Source) -> ImageMetadata:
        """Size, format and frames of ``image``, from its header; nothing is decoded. Raises Refused."""
        data = _read(image)
        metadata = self._render(data, []).original
        return replace(metadata, sha256=sha256(data).hexdigest())

    def describe(self, image: Source, *, exif: Collection[ExifField] = ()) -> Description:
        """Metadata, and a summary of what ``image`` looks like: dominant colour, palette, focus point,
        ThumbHash, BlurHash and perceptual hash. ``exif`` names EXIF fields to read. Raises Refused.
        """
        rendered = self._render(image, [], summary=True, exif=exif)
        assert rendered.summary is not None
        return Description(rendered.original, rendered.summary, dict(rendered.exif))

    def close(self) -> None:
        """End the child processes that are idle. A later call starts new ones."""
        with self._lock:
            idle, self._idle = self._idle, []
        for renderer in idle:
            renderer.close()

    def _render(
        self,
        image: Source,
        transformations: list[Transformation],
        *,
        summary: bool = False,
        exif: Collection[ExifField] = (),
        overlays: Overlays | None = None,
    ) -> Rendered:
        overlay_sources = {key: _read(source) for key, source in (overlays or {}).items()}
        with self._renderer() as renderer:
            return renderer.render(
                _read(image),
                transformations,
                self._limits,
                icc=self._icc,
                summary=summary,
                exif=exif,
                overlay_sources=overlay_sources,
            )

    @contextmanager
    def _renderer(self) -> Iterator[IsolatedRenderer]:
        with self._lock:
            renderer = self._idle.pop() if self._idle else IsolatedRenderer()
        try:
            yield renderer
        finally:
            with self._lock:
                self._idle.append(renderer)


def transform(
    image: Source, transformation: str | Transformation, *, overlays: Overlays | None = None
) -> RenderedImage:
    """`Engine.transform` with default limits, in a shared engine."""
    return _shared().transform(image, transformation, overlays=overlays)


def transform_all(
    image: Source, transformations: Iterable[str | Transformation], *, overlays: Overlays | None = None
) -> tuple[RenderedImage, ...]:
    """`Engine.transform_all` with default limits, in a shared engine: decodes once."""
    return _shared().transform_all(image, transformations, overlays=overlays)


def probe(image: Source) -> ImageMetadata:
    """`Engine.probe` with default limits, in a shared engine."""
    return _shared().probe(image)


def describe(image: Source, *, exif: Collection[ExifField] = ()) -> Description:
    """`Engine.describe` with default limits, in a shared engine."""
    return _shared().describe(image, exif=exif)


@cache
def _shared() -> Engine:
    return Engine()


def _read(source: Source) -> bytes:
    if isinstance(source, os.PathLike):
        return Path(source).read_bytes()
    return bytes(source)
