"""The contract of every pixel operation, on which the next one relies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from planes import planes_of, vips_of

from image_processor.domain.geometry import Size
from image_processor.domain.transformation import Colour
from image_processor.engine.operations import filters, masks, pixels, tone

Step = Callable[[pyvips.Image], pyvips.Image]

NAVY, CREAM = Colour(10, 20, 60), Colour(250, 240, 200)

TONE: dict[str, Step] = {
    "brightness": lambda p: tone.brightness(p, 40),
    "contrast": lambda p: tone.contrast(p, -33.3),
    "saturation": lambda p: tone.saturation(p, 70),
    "hue": lambda p: tone.hue(p, 77),
    "gamma": lambda p: tone.gamma(p, 0.6),
    "grey": tone.grey,
    "sepia": lambda p: tone.sepia(p, 60),
    "duotone": lambda p: tone.duotone(p, NAVY, CREAM),
    "tint": lambda p: tone.tint(p, CREAM),
    "negate": tone.negate,
    "normalise": lambda p: tone.normalise([p])[0],
    "equalise": lambda p: tone.equalise([p])[0],
}
# Operations on neighbourhoods that change alpha.
MIXING: dict[str, Step] = {
    "blur": lambda p: filters.blur(p, 1.4),
    "a large blur": lambda p: filters.blur(p, 30),
    "pixelate": lambda p: filters.pixelate(p, 4),
    "median": lambda p: filters.median(p, 3),
    "resize to its size": lambda p: pixels.resize(p, Size(p.width, p.height)),
    "resize_linear to its size": lambda p: pixels.resize_linear(p, Size(p.width, p.height)),
}
# Operations on neighbourhoods that keep alpha.
DETAIL: dict[str, Step] = {
    "sharpen": lambda p: filters.sharpen(p, 1.1, 2),
    "sharpen widely": lambda p: filters.sharpen(p, 9, 1),
    "convolve 9": lambda p: filters.convolve(p, (1, 2, 1, 2, 4, 2, 1, 2, 1)),
    "convolve 25": lambda p: filters.convolve(p, tuple(range(-12, 13))),
}
OUTLINE: dict[str, Step] = {
    "opacity": lambda p: tone.opacity(p, 60),
    "round_corners": lambda p: masks.round_corners(p, (3, 5, 0.5, 900)),
    "ellipse": masks.ellipse,
}
ALL = {**TONE, **MIXING, **DETAIL, **OUTLINE}

sides = st.integers(1, 23)
seeds = st.integers(0, 2**32 - 1)


def noise(seed: int, width: int, height: int, bands: int) -> np.ndarray:
    """Any pixels; alpha is often 0 or 255."""
    random = np.random.default_rng(seed)
    planes = random.integers(0, 256, (height, width, bands))
    if bands == 4:
        planes[..., 3] = np.clip(random.integers(-200, 456, (height, width)), 0, 255)
    return planes


@pytest.mark.parametrize("name", ALL)
@given(seed=seeds, width=sides, height=sides, bands=st.sampled_from([3, 4]))
@settings(max_examples=12, deadline=None)
def test_every_operation_returns_a_valid_image(
    name: str, seed: int, width: int, height: int, bands: int
) -> None:
    before = noise(seed, width, height, bands)
    picture = vips_of(before)
    after = ALL[name](picture)
    assert (after.width, after.height) == (width, height)
    assert (after.format, after.interpretation) == ("uchar", "srgb")
    assert after.bands == (4 if name in OUTLINE else bands)
    assert after.hasalpha() == (after.bands == 4)
    assert after.get_fields() == picture.get_fields()
    assert np.array_equal(planes_of(ALL[name](picture)), planes_of(after)), "not the same twice"
    assert np.array_equal(planes_of(picture), before), "its own picture is changed"


@pytest.mark.parametrize("name", {**TONE, **DETAIL})
@given(seed=seeds, width=sides, height=sides)
@settings(max_examples=8, deadline=None)
def test_colour_operations_keep_alpha(name: str, seed: int, width: int, height: int) -> None:
    before = noise(seed, width, height, 4)
    assert np.array_equal(planes_of(ALL[name](vips_of(before)))[..., 3], before[..., 3])


@pytest.mark.parametrize("name", OUTLINE)
@given(seed=seeds, width=sides, height=sides, bands=st.sampled_from([3, 4]))
@settings(max_examples=8, deadline=None)
def test_masks_keep_colours_and_reduce_alpha(
    name: str, seed: int, width: int, height: int, bands: int
) -> None:
    before = noise(seed, width, height, bands)
    after = planes_of(ALL[name](vips_of(before)))
    assert np.array_equal(after[..., :3], before[..., :3])
    assert (after[..., 3] <= (before[..., 3] if bands == 4 else 255)).all()


@pytest.mark.parametrize("name", ALL)
@given(seed=seeds, width=sides, height=sides)
@settings(max_examples=12, deadline=None)
def test_colours_of_transparent_pixels_never_show(name: str, seed: int, width: int, height: int) -> None:
    """Changing the colours under alpha 0 changes nothing visible."""
    one = noise(seed, width, height, 4)
    other = np.where(one[..., 3:] == 0, noise(seed + 1, width, height, 4), one)
    other[..., 3] = one[..., 3]
    first, second = (planes_of(ALL[name](vips_of(planes))) for planes in (one, other))
    assert np.array_equal(first[..., 3], second[..., 3])
    seen = first[..., 3] > 0
    assert np.array_equal(first[seen], second[seen])


@pytest.mark.parametrize("name", {**TONE, **MIXING, **DETAIL})
@given(seed=seeds, width=sides, height=sides)
@settings(max_examples=8, deadline=None)
def test_opaque_alpha_equals_no_alpha(name: str, seed: int, width: int, height: int) -> None:
    before = noise(seed, width, height, 3)
    opaque = np.dstack([before, np.full((height, width), 255)])
    with_alpha = planes_of(ALL[name](vips_of(opaque)))
    assert np.abs(with_alpha[..., :3] - planes_of(ALL[name](vips_of(before)))).max() <= 1
    assert (with_alpha[..., 3] == 255).all()
