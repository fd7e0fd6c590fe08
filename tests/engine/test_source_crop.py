"""A single cropped rendition: the source is cropped first, at the right position, also where shrink-on-load
does not divide the sides.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from drawing import as_floats, encoded, made, opened
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from image_processor.domain.geometry import Anchor, Box, Size, offset, place
from image_processor.domain.models import Limits
from image_processor.domain.transformation import Gravity, Transformation, parse
from image_processor.domain.transformation.values import SMART
from image_processor.engine.codecs.probe import ImageHeader
from image_processor.engine.operations.decode_plan import DecodePlan
from image_processor.engine.operations.orientation import Orientation
from image_processor.engine.operations.source_crop import crop_source
from image_processor.engine.render import render

PLAIN = sorted(set(Gravity) - SMART)
SIDES = st.integers(1, 5000)


def source_for(
    width: int, height: int, orientation: int = 1, *, format_: str = "jpeg", frames: int = 1
) -> DecodePlan:
    header = ImageHeader(width, height, format_, frames, alpha=False, orientation=orientation)
    stored = header.stored
    turn = Orientation.from_exif(orientation)
    return DecodePlan(
        header, Box(0, 0, stored.width, stored.height), turn, 0, Size(width, height), 0, frames, False
    )


@given(SIDES, SIDES, st.integers(1, 8), st.integers(1, 800), st.integers(1, 800), st.sampled_from(PLAIN))
def test_a_source_crop_equals_the_crop_after_resizing(
    width: int, height: int, orientation: int, across: int, down: int, gravity: Gravity
) -> None:
    source, expected = (
        source_for(width, height, orientation),
        Transformation(width=across, height=down, gravity=gravity),
    )
    part = crop_source(source, expected)
    assume(part != source)
    before, after = place(source.size, expected), place(part.size, expected)
    assert after.output == before.output
    assert part.size == source.orientation.apply(part.box.size)
    shown = source.orientation.inverse.stored_box(part.box, source.size)
    inside = shown.left + shown.width <= width and shown.top + shown.height <= height
    assert inside
    assert min(shown.left, shown.top) >= 0
    # Twice the centre, in the rendition's pixels, of the source crop and of the crop after resizing.
    scale = max(Fraction(before.output.width, width), Fraction(before.output.height, height))
    left, top = offset(before.level, before.output, Anchor(gravity))
    now = (2 * shown.left + shown.width, 2 * shown.top + shown.height)
    then = (2 * left + before.output.width, 2 * top + before.output.height)
    assert all(abs(one * scale - other) <= 4 for one, other in zip(now, then, strict=True))


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("w=100,h=100,g=attention,fm=jpeg", source_for(1000, 500)),
        ("w=100,h=100,g=west,gx=5,fm=jpeg", source_for(1000, 500)),
        ("w=100,h=50,fm=jpeg", source_for(1000, 500)),
        ("w=100,fm=jpeg", source_for(1000, 500)),
        ("w=300,h=300,fm=jpeg", source_for(1000, 500)),
        ("w=100,h=100,fit=contain,fm=jpeg", source_for(1000, 500)),
        ("w=100,h=100,fm=webp", source_for(1000, 500, format_="gif", frames=2)),
    ],
)
def test_sources_that_are_not_cropped(text: str, source: DecodePlan) -> None:
    assert crop_source(source, parse(text)) is source


def test_a_focal_point_is_in_the_middle() -> None:
    part = crop_source(source_for(4000, 1000), parse("w=100,h=100,fp=0.25:0.5,fm=jpeg"))
    assert part.box == Box(500, 0, 1000, 1000)


@pytest.mark.parametrize(("width", "height"), [(4032, 2721), (2721, 4032), (2725, 2225), (3001, 2001)])
def test_no_distortion_where_shrinking_does_not_divide(width: int, height: int) -> None:
    part = crop_source(source_for(width, height), parse("w=300,h=300,fm=jpeg"))
    assert part.box.width == part.box.height


def ramp(width: int, height: int, start: int, stop: int) -> Image.Image:
    """From black at column ``start`` to white at ``stop``."""
    values = (np.arange(width) - start) * 255 / (stop - start)
    rows = np.broadcast_to(values.clip(0, 255).round().astype(np.uint8), (height, width))
    return Image.fromarray(np.ascontiguousarray(rows))


def test_a_centred_crop_is_centred_in_the_original() -> None:
    """602 columns are 150.5 of the rendition's, of which 50 stay: the crop begins inside one of them."""
    picture = ramp(602, 200, 176, 426)
    row = as_floats(opened(made(encoded(picture), "w=50,h=50,fm=png").body))[25, :, 0]
    expected = 301 + (np.arange(50) - 24.5) * 4 - 0.5
    shown = row * 250 / 255 + 176
    assert abs((shown - expected).mean()) < 0.7


def test_columns_that_no_shrunk_pixel_has_are_not_stretched_over() -> None:
    """815 columns are 203.75 of the decoder's, which drops the last three quarters."""
    picture = ramp(815, 400, 0, 815)
    data = encoded(picture, "jpeg", quality=98)
    row = as_floats(opened(made(data, "w=200,fm=png").body))[50, :, 0]
    expected = (np.arange(200) + 0.5) * 815 / 200 - 0.5
    assert np.abs(row * 815 / 255 - expected)[185:195].mean() < 1.6


@pytest.mark.parametrize("width", range(812, 820))
def test_nothing_moves_by_more_than_a_quarter_of_what_the_decoder_makes_a_pixel(width: int) -> None:
    """Of 4 columns, it drops up to 3 at the right, or none."""
    data = encoded(ramp(width, 400, 0, width), "jpeg", quality=98)
    row = as_floats(opened(made(data, "w=200,fm=png").body))[50, :, 0]
    moved = row * width / 255 - ((np.arange(200) + 0.5) * width / 200 - 0.5)
    assert max(abs(moved[:40].mean()), abs(moved[-40:].mean())) < 1.2


def test_what_shares_its_decode_is_not_narrowed() -> None:
    data = encoded(ramp(602, 200, 176, 426))
    expected = [parse("w=50,h=50,fm=png"), parse("w=40,h=50,fm=png")]
    together = render(data, expected, Limits(), summary=False).renditions[0]
    assert together.body != made(data, "w=50,h=50,fm=png").body
