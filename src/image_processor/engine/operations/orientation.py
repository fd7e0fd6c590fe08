"""Orientation as one value: EXIF's orientation, quarter turns and mirroring are combined, so that stored
pixels are reoriented once. Pure arithmetic on boxes and sizes.
"""

from __future__ import annotations

from typing import Self

from msgspec import Struct

from image_processor.domain.geometry import Box, Size
from image_processor.domain.transformation import Flip

# EXIF 2.32, 4.6.4.A, tag 274: clockwise quarter turns, then whether left and right are swapped.
_EXIF = {1: (0, 0), 2: (0, 1), 3: (2, 0), 4: (2, 1), 5: (1, 1), 6: (1, 0), 7: (3, 1), 8: (3, 0)}


class Orientation(Struct, frozen=True):
    """``quarters`` (0-3) clockwise, then mirrored horizontally if ``mirrored``: each of the eight symmetries
    of a rectangle has exactly one value."""

    quarters: int = 0
    mirrored: bool = False

    @classmethod
    def from_exif(cls, orientation: int) -> Self:
        """For EXIF's 1-8, what makes the stored image upright."""
        quarters, mirrored = _EXIF[orientation]
        return cls(quarters, bool(mirrored))

    def rotated(self, quarters: int) -> Orientation:
        """This orientation followed by clockwise quarter turns, which are counter-clockwise before a
        mirror."""
        direction = -1 if self.mirrored else 1
        return Orientation((self.quarters + direction * quarters) % 4, self.mirrored)

    def flipped(self, flip: Flip | None) -> Orientation:
        """This orientation followed by ``flip``."""
        if flip is None:
            return self
        # A vertical flip is half a turn followed by a horizontal flip.
        rotated = self.rotated(2) if flip is Flip.VERTICAL else self
        return Orientation(rotated.quarters, not rotated.mirrored)

    @property
    def swaps_sides(self) -> bool:
        """Whether width and height are exchanged."""
        return self.quarters % 2 == 1

    def apply(self, size: Size) -> Size:
        return size.turned() if self.swaps_sides else size

    def stored_box(self, box: Box, stored: Size) -> Box:
        """The box of the stored image, of size ``stored``, that becomes ``box`` in this orientation."""
        oriented = self.apply(stored)
        left, top, width, height = box.left, box.top, box.width, box.height
        if self.mirrored:
            left = oriented.width - left - width
        for _ in range(self.quarters):
            # A clockwise quarter turn moves the point (x, y) of an image of height h to (h - y, x).
            left, top, width, height = top, oriented.width - left - width, height, width
            oriented = oriented.turned()
        return Box(left, top, width, height)

    @property
    def inverse(self) -> Orientation:
        """What undoes this orientation; a mirrored one undoes itself."""
        return self if self.mirrored else Orientation(-self.quarters % 4)
