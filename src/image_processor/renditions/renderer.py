"""The engine's one function as ingest and delivery call it: in this process, or in an isolated one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from image_processor.domain.models import ExifField, IccPolicy, Limits, Rendered, RenderedImage
from image_processor.domain.transformation import Transformation


class Renderer(Protocol):
    """Renders one original. `engine.render.render` has this signature, as have its isolated forms."""

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
    ) -> Rendered:
        """Decode ``data`` once and render all ``transformations``, in their order.

        ``overlay_sources`` are the bytes of the overlay images by key. ``on_rendition`` gets each rendition
        as soon as it is encoded, in any order and on any thread. Without ``summary`` the visual
        summary is not computed. Raises Refused for input that cannot or may not be decoded,
        MissingExtra for an encoder that is not installed, and Unavailable.
        """
        ...
