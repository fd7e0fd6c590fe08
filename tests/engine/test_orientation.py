"""Orientation as one value, against Pillow for every combination; boxes there and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps
from planes import planes_of, vips_of

from image_processor.domain.geometry import Box, Size
from image_processor.domain.transformation import Flip
from image_processor.engine.operations import pixels
from image_processor.engine.operations.orientation import Orientation

EXIF_ORIENTATION = 0x0112

orientations = st.integers(1, 8)
turns = st.builds(Orientation, st.integers(0, 3), st.booleans())


def numbered(width: int, height: int) -> NDArray[np.uint8]:
    """An image with distinct pixels."""
    places = np.arange(width * height)
    high, low = np.divmod(places.reshape(height, width), 256)
    return np.dstack([high, low, np.zeros_like(low)]).astype("uint8")


def turned(planes: NDArray[np.uint8], turn: Orientation) -> NDArray[np.uint8]:
    """The definition of Orientation: quarter turns clockwise, then a mirror."""
    rotated = np.rot90(planes, -turn.quarters)
    return rotated[:, ::-1] if turn.mirrored else rotated


def upright(planes: NDArray[np.uint8], orientation: int) -> Image.Image:
    picture = Image.fromarray(planes)
    picture.getexif()[EXIF_ORIENTATION] = orientation
    return ImageOps.exif_transpose(picture)


def flipped(picture: Image.Image, flip: Flip | None) -> Image.Image:
    if flip in {Flip.HORIZONTAL, Flip.BOTH}:
        picture = ImageOps.mirror(picture)
    return ImageOps.flip(picture) if flip in {Flip.VERTICAL, Flip.BOTH} else picture


@pytest.mark.parametrize("flip", [None, Flip.HORIZONTAL, Flip.VERTICAL])
@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_equals_pillow(orientation: int, quarters: int, flip: Flip | None) -> None:
    planes = numbered(5, 3)
    turn = Orientation.from_exif(orientation).rotated(quarters).flipped(flip)
    expected = flipped(upright(planes, orientation).rotate(-90 * quarters, expand=True), flip)
    assert np.array_equal(turned(planes, turn), np.asarray(expected))
    assert np.array_equal(planes_of(pixels.orient(vips_of(planes), turn)), np.asarray(expected))
    assert turn.apply(Size(5, 3)) == Size(*expected.size)


@given(turns, st.integers(-9, 9), st.sampled_from([None, *list(Flip)[:2]]))
def test_orientations_combine(turn: Orientation, quarters: int, flip: Flip | None) -> None:
    planes = numbered(4, 3)
    step_by_step = np.rot90(turned(planes, turn), -quarters)
    if flip is Flip.HORIZONTAL:
        step_by_step = step_by_step[:, ::-1]
    if flip is Flip.VERTICAL:
        step_by_step = step_by_step[::-1]
    assert np.array_equal(turned(planes, turn.rotated(quarters).flipped(flip)), step_by_step)


@given(turns)
def test_the_inverse_undoes_an_orientation(turn: Orientation) -> None:
    planes = numbered(4, 3)
    assert np.array_equal(turned(turned(planes, turn), turn.inverse), planes)


@given(turns, st.data())
def test_cropping_then_orienting_equals_orienting_then_cropping(
    turn: Orientation, data: st.DataObject
) -> None:
    stored = Size(data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9)))
    planes = numbered(stored.width, stored.height)
    seen = turn.apply(stored)
    left, top = data.draw(st.integers(0, seen.width - 1)), data.draw(st.integers(0, seen.height - 1))
    width = data.draw(st.integers(1, seen.width - left))
    height = data.draw(st.integers(1, seen.height - top))
    box = turn.stored_box(Box(left, top, width, height), stored)
    cut = planes[box.top : box.top + box.height, box.left : box.left + box.width]
    expected = turned(planes, turn)[top : top + height, left : left + width]
    assert np.array_equal(turned(cut, turn), expected)
