"""Delivery: which requests a deployment allows, as one frozen value built from the settings."""

from __future__ import annotations

from msgspec import Struct, field

from image_processor.domain.errors import InvalidRequest, SignatureMissing, SizeNotAllowed
from image_processor.domain.transformation import Transformation
from image_processor.renditions.originals import overlay_keys

from .dialects import Dialect
from .url.signing import Keyring


class Policy(Struct, frozen=True):
    """Which requests are allowed.

    ``sizes``: the sides that undeclared renditions may have; empty allows all.
    ``overlays``: the prefix of keys that overlays may use; None allows no image overlay.
    ``allow_unsigned``: unsigned requests may ask for every rendition.
    ``hints``: client hints are enabled. ``hint_widths``: hinted widths are rounded up to one of these.
    ``dialects``: the enabled dialects, in the order in which they are tried.
    ``dialect_auto``: their URLs without a format get the best one for the client.
    ``fallback``: the key of the original that is shown in place of one that is missing or refused.
    ``cors_origin``: the origin that may read renditions, `*`, or None.
    ``renditions_per_original``: how many undeclared renditions of one original are kept.
    """

    keyring: Keyring = field(default_factory=Keyring)
    allow_unsigned: bool = False
    sizes: frozenset[int] = frozenset()
    overlays: str | None = None
    hints: bool = False
    hint_widths: tuple[int, ...] = (160, 320, 480, 640, 960, 1280, 1920, 2560, 3840)
    dialects: tuple[Dialect, ...] = ()
    dialect_auto: bool = False
    fallback: str | None = None
    cors_origin: str | None = None
    renditions_per_original: int = 200

    def check(self, transformation: Transformation, *, signed: bool) -> None:
        """Return if a request for a rendition that no public preset declares is allowed.

        Raises SignatureMissing, SizeNotAllowed, InvalidRequest.
        """
        if not (signed or self.allow_unsigned):
            raise SignatureMissing("expected a signature for what no public preset declares, got none")
        if self.sizes:
            self._check_sizes(transformation)
        self.check_overlay_sources(transformation)

    def _check_sizes(self, transformation: Transformation) -> None:
        allowed = ", ".join(map(str, sorted(self.sizes)))
        for name in ("width", "height", "min_width", "min_height"):
            side = getattr(transformation, name)
            if side is not None and side not in self.sizes:
                raise SizeNotAllowed(f"expected one of {allowed} for {name}, got {side}")
        for step in transformation.steps:
            for side in step.new_sides:
                if side not in self.sizes:
                    raise SizeNotAllowed(f"expected one of {allowed} for a side of then={step}, got {side}")
        if transformation.zoom != 1:
            raise SizeNotAllowed(f"expected a width or height of {allowed}, got zoom {transformation.zoom}")

    def check_overlay_sources(self, transformation: Transformation) -> None:
        """Return if the transformation may use the images of its overlays. Raises InvalidRequest."""
        for key in overlay_keys([transformation]):
            if not self.overlays or not key.startswith(self.overlays):
                expected = f"a key that begins with {self.overlays!r}" if self.overlays else "no image"
                raise InvalidRequest.one("over", expected, key)
