"""Delivery: what a deployment allows URLs to ask for, as one frozen value that wiring fills."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct, field

from image_processor.domain.errors import InvalidRequest, SignatureMissing, SizeNotAllowed
from image_processor.domain.transformation import Transformation
from image_processor.renditions.originals import overlay_keys

from .request import RenditionRequest
from .url.signing import Keyring


class Dialect(Protocol):
    """A grammar of another product. ``path`` is as it arrived, without its first slash."""

    @property
    def name(self) -> str: ...

    def reads(self, path: str, query: str) -> bool:
        """Whether a URL is meant for it."""
        ...

    def ask(self, path: str, query: str, *, now: float) -> RenditionRequest:
        """What the URL asks for. Raises InvalidRequest, Forbidden."""
        ...

    def told(self, status: int, code: str, message: str) -> tuple[str, str] | None:
        """Media type and text of an error as the product's clients know it; None for ours."""
        ...


class Policy(Struct, frozen=True):
    """``sizes`` are the sides that undeclared renditions may have, all where it is empty.
    ``overlays`` is what the keys of pictures begin with that may be laid on others, None for none.
    ``unsigned`` lets everybody ask for everything. ``fallback`` is the key of an original that is shown
    where one is missing or refused. ``ladder`` are the widths that client hints are rounded up to.
    ``most`` bounds the undeclared renditions of one original. ``cors`` is an origin, `*`, or None.
    """

    keyring: Keyring = field(default_factory=Keyring)
    unsigned: bool = False
    sizes: frozenset[int] = frozenset()
    overlays: str | None = None
    hints: bool = False
    ladder: tuple[int, ...] = (160, 320, 480, 640, 960, 1280, 1920, 2560, 3840)
    dialects: tuple[Dialect, ...] = ()
    fallback: str | None = None
    cors: str | None = None
    most: int = 200

    def check(self, transformation: Transformation, *, signed: bool) -> None:
        """Return if a rendition that no public preset declares may be asked for.

        Raises SignatureMissing, SizeNotAllowed, InvalidRequest.
        """
        if not (signed or self.unsigned):
            raise SignatureMissing("expected a signature for what no public preset declares, got none")
        if self.sizes:
            self._check_sizes(transformation)
        self.check_marks(transformation)

    def _check_sizes(self, transformation: Transformation) -> None:
        allowed = ", ".join(map(str, sorted(self.sizes)))
        for name in ("width", "height", "min_width", "min_height"):
            side = getattr(transformation, name)
            if side is not None and side not in self.sizes:
                raise SizeNotAllowed(f"expected one of {allowed} for {name}, got {side}")
        if transformation.zoom != 1:
            raise SizeNotAllowed(f"expected a width or height of {allowed}, got zoom {transformation.zoom}")

    def check_marks(self, transformation: Transformation) -> None:
        """Return if the pictures that its overlays name may be laid on others. Raises InvalidRequest."""
        for mark in overlay_keys([transformation]):
            if not self.overlays or not mark.startswith(self.overlays):
                expected = f"a key that begins with {self.overlays!r}" if self.overlays else "no picture"
                raise InvalidRequest.one("over", expected, mark)


Headers = Mapping[str, str]
"""A request's headers by lower-case name."""

Clock = Callable[[], float]
"""Unix time in seconds."""
