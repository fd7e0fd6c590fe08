"""The engine's one function as ingest and delivery call it, in this process or in an isolated one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from image_processor.domain.models import ExifField, IccPolicy, Limits, Rendered, RenderedImage
from image_processor.domain.transformation import Transformation


class Renderer(Protocol):
    """engine.render.render, without what only programs choose."""

    def __call__(  # noqa: PLR0913 - as the engine's own
        self,
        data: bytes,
        transformations: Sequence[Transformation],
        limits: Limits,
        *,
        icc: IccPolicy,
        summary: bool = True,
        exif: Collection[ExifField] = (),
        overlay_sources: Mapping[str, bytes],
        on_rendition: Callable[[RenderedImage], None] = ...,
    ) -> Rendered: ...
