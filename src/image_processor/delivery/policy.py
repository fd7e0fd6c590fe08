"""Delivery: which requests a deployment allows, as one frozen value built from the settings."""

from __future__ import annotations

from msgspec import Struct, field

from image_processor.domain.errors import InvalidRequest, SignatureMissing, SizeNotAllowed
from image_processor.domain.transformation import Transformation
from image_processor.renditions.originals import overlay_keys

from .dialects import Dialect
from .url.signing import Keyring

NO_PUBLIC_PRESET = "expected a signature, because no public preset declares this rendition, got none"


class Policy(Struct, frozen=True):
    """Which requests are allowed."""

    keyring: Keyring = field(default_factory=Keyring)
    """The keys of signed URLs."""
    allow_unsigned: bool = False
    """Whether unsigned requests may ask for every rendition."""
    sizes: frozenset[int] = frozenset()
    """The sides that undeclared renditions may have; empty allows all."""
    overlays: str | None = None
    """The prefix of the keys that overlays may show; None allows no image overlay."""
    hints: bool = False
    """Whether client hints are used."""
    hint_widths: tuple[int, ...] = (160, 320, 480, 640, 960, 1280, 1920, 2560, 3840)
    """Widths of client hints are rounded up to one of these."""
    dialects: tuple[Dialect, ...] = ()
    """The enabled dialects, in the order in which they are tried."""
    dialect_auto: bool = False
    """Whether URLs of dialects that name no format get the best one for the client."""
    fallback: str | None = None
    """The key of the original that is shown in place of one that is missing or refused."""
    cors_origin: str | None = None
    """The origin whose pages may read renditions, `*`, or None."""
    renditions_per_original: int = 200
    """How many undeclared renditions of one original are kept."""

    def check(self, transformation: Transformation, *, signed: bool) -> None:
        """Return if a request for a rendition that no public preset declares is allowed.

        Raises SignatureMissing, SizeNotAllowed, InvalidRequest.
        """
        if not (signed or self.allow_unsigned):
            raise SignatureMissing(NO_PUBLIC_PRESET)
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
