"""How a picture is turned: EXIF's orientation, quarter turns and mirroring are one value, so that
stored pixels are turned once. Pure arithmetic on boxes and sizes.
"""

from __future__ import annotations

from typing import Self

from msgspec import Struct

from image_processor.domain.geometry import Box, Size
from image_processor.domain.transformation import Flip

# EXIF 2.32, 4.6.4.A, tag 274: clockwise quarter turns, then whether left and right are swapped.
_EXIF = {1: (0, 0), 2: (0, 1), 3: (2, 0), 4: (2, 1), 5: (1, 1), 6: (1, 0), 7: (3, 1), 8: (3, 0)}


class Orientation(Struct, frozen=True):
    """``quarters`` (0-3) clockwise, then mirrored from left to right if ``mirrored``: each of the
    eight ways in which a rectangle can lie on itself, and each in one way only."""

    quarters: int = 0
    mirrored: bool = False

    @classmethod
    def from_exif(cls, orientation: int) -> Self:
        """For EXIF's 1-8, how the stored picture becomes upright."""
        quarters, mirrored = _EXIF[orientation]
        return cls(quarters, bool(mirrored))

    def rotated(self, quarters: int) -> Orientation:
        """This turn, and then so many quarters clockwise: counter-clockwise before a mirror."""
        sign = -1 if self.mirrored else 1
        return Orientation((self.quarters + sign * quarters) % 4, self.mirrored)

    def flipped(self, flip: Flip | None) -> Orientation:
        if flip is None:
            return self
        # To swap top and bottom is half a turn and to swap left and right.
        half = self.rotated(2) if flip is Flip.VERTICAL else self
        return Orientation(half.quarters, not half.mirrored)

    @property
    def sideways(self) -> bool:
        """Whether width and height change places."""
        return self.quarters % 2 == 1

    def apply(self, size: Size) -> Size:
        return size.turned() if self.sideways else size

    def stored_box(self, box: Box, stored: Size) -> Box:
        """The box of the stored picture, of size ``stored``, that comes to lie at ``box``."""
        turned = self.apply(stored)
        left, top, width, height = box.left, box.top, box.width, box.height
        if self.mirrored:
            left = turned.width - left - width
        for _ in range(self.quarters):
            # One quarter clockwise had put the point (x, y) of a picture h high at (h - y, x).
            left, top, width, height = top, turned.width - left - width, height, width
            turned = turned.turned()
        return Box(left, top, width, height)

    @property
    def inverse(self) -> Orientation:
        """What undoes this turn; a mirrored one undoes itself."""
        return self if self.mirrored else Orientation(-self.quarters % 4)
