"""Every tone operation against a formula in NumPy, Pillow or scikit-image, exact at the ends of its scale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import pyvips
from numpy.typing import NDArray
from PIL import Image, ImageOps
from planes import PHOTOS, luma, photo, photo_with_alpha, planes_of, vips_of
from skimage import color

from image_processor.domain.transformation import Colour
from image_processor.engine.operations import tone

ROUNDING = 0.5 + 1e-6
"""Of 255: what 8 bits must take away from an exact result."""

Planes = NDArray[Any]

NAVY, CREAM, BROWN = Colour(10, 20, 60), Colour(250, 240, 200), Colour(160, 110, 60)

# The published matrices of W3C Filter Effects Module Level 1, 8.3 and 8.4.
SEPIA = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]])
_HUE = (
    np.array([[0.213, 0.715, 0.072]] * 3),
    np.array([[0.787, -0.715, -0.072], [-0.213, 0.285, -0.072], [-0.213, -0.715, 0.928]]),
    np.array([[-0.213, -0.715, 0.928], [0.143, 0.140, -0.283], [-0.787, 0.715, 0.072]]),
)


def hue_matrix(degrees: float) -> Planes:
    angle = np.radians(degrees)
    return _HUE[0] + np.cos(angle) * _HUE[1] + np.sin(angle) * _HUE[2]


def away_from_luma(colours: Planes, factor: float) -> Planes:
    bright = luma(colours)[..., None]
    return bright + factor * (colours - bright)


# The operation, and its formula on colours (0-255) in floats, without clipping.
FORMULAS: dict[str, tuple[Callable[[pyvips.Image], pyvips.Image], Callable[[Planes], Planes]]] = {
    "brightness 30": (lambda p: tone.brightness(p, 30), lambda c: c * 0.7 + 255 * 0.3),
    "brightness -40": (lambda p: tone.brightness(p, -40), lambda c: c * 0.6),
    "contrast 50": (lambda p: tone.contrast(p, 50), lambda c: (c - 127.5) * 1.5 + 127.5),
    "contrast -70.5": (lambda p: tone.contrast(p, -70.5), lambda c: (c - 127.5) * 0.295 + 127.5),
    "gamma 2.2": (lambda p: tone.gamma(p, 2.2), lambda c: 255 * (c / 255) ** (1 / 2.2)),
    "gamma 0.1": (lambda p: tone.gamma(p, 0.1), lambda c: 255 * (c / 255) ** 10),
    "negate": (tone.negate, lambda c: 255 - c),
    "saturation 100": (lambda p: tone.saturation(p, 100), lambda c: away_from_luma(c, 2)),
    "saturation -60": (lambda p: tone.saturation(p, -60), lambda c: away_from_luma(c, 0.4)),
    "grey": (tone.grey, lambda c: away_from_luma(c, 0)),
    "sepia 100": (lambda p: tone.sepia(p, 100), lambda c: c @ SEPIA.T),
    "sepia 40": (lambda p: tone.sepia(p, 40), lambda c: 0.6 * c + 0.4 * (c @ SEPIA.T)),
}


@pytest.mark.parametrize("kind", PHOTOS)
@pytest.mark.parametrize("name", FORMULAS)
def test_operations_equal_their_rounded_formula(name: str, kind: str) -> None:
    step, formula = FORMULAS[name]
    before = PHOTOS[kind]()
    after = planes_of(step(vips_of(before)))
    expected = np.clip(formula(before[..., :3]), 0, 255)
    assert np.abs(after[..., :3] - expected).max() <= ROUNDING
    assert np.array_equal(after[..., 3:], before[..., 3:])


@pytest.mark.parametrize("degrees", [45, 120, 200, 330])
def test_hue_is_the_published_matrix(degrees: float) -> None:
    """Its weights have three digits and ours four: a difference of at most 0.3 of 255, plus rounding."""
    got = planes_of(tone.hue(vips_of(photo()), degrees))
    assert np.abs(got - np.clip(photo() @ hue_matrix(degrees).T, 0, 255)).max() <= 0.8


def test_hue_keeps_luma_and_rotations_add_up() -> None:
    muted = away_from_luma(photo() / 2 + 64, 0.5)
    once, first = tone.hue(vips_of(muted), 260), tone.hue(vips_of(muted), 100)
    assert np.abs(luma(planes_of(once)) - luma(np.floor(muted))).max() <= 1
    assert np.abs(planes_of(tone.hue(first, 160)) - planes_of(once)).max() <= 2


def test_hue_turns_red_towards_green() -> None:
    red, green, blue = planes_of(tone.hue(vips_of(np.array([[[200, 60, 60]]])), 120))[0, 0]
    assert green > max(red, blue)


UNCHANGED: dict[str, Callable[[pyvips.Image], pyvips.Image]] = {
    "brightness": lambda p: tone.brightness(p, 0),
    "contrast": lambda p: tone.contrast(p, 0),
    "saturation": lambda p: tone.saturation(p, 0),
    "hue 0": lambda p: tone.hue(p, 0),
    "hue 360": lambda p: tone.hue(p, 360),
    "gamma": lambda p: tone.gamma(p, 1),
    "sepia": lambda p: tone.sepia(p, 0),
    "negate twice": lambda p: tone.negate(tone.negate(p)),
    "opacity": lambda p: tone.opacity(p, 100),
}


@pytest.mark.parametrize("kind", PHOTOS)
@pytest.mark.parametrize("name", UNCHANGED)
def test_neutral_values_change_nothing(name: str, kind: str) -> None:
    before = PHOTOS[kind]()
    assert np.array_equal(planes_of(UNCHANGED[name](vips_of(before))), before)


@pytest.mark.parametrize(
    ("step", "value"),
    [
        (lambda p: tone.brightness(p, -100), 0),
        (lambda p: tone.brightness(p, 100), 255),
        (lambda p: tone.contrast(p, -100), 128),
    ],
)
def test_the_ends_of_the_scale_are_flat(step: Callable[[pyvips.Image], pyvips.Image], value: int) -> None:
    assert np.unique(planes_of(step(vips_of(photo())))).tolist() == [value]


def test_brightening_is_darkening_the_negative() -> None:
    before = vips_of(photo())
    mirrored = tone.negate(tone.brightness(tone.negate(before), -35))
    assert np.abs(planes_of(tone.brightness(before, 35)) - planes_of(mirrored)).max() <= 1


def test_grey_equals_saturation_of_minus_100() -> None:
    before = vips_of(photo_with_alpha())
    assert np.array_equal(planes_of(tone.grey(before)), planes_of(tone.saturation(before, -100)))


@pytest.mark.parametrize("kind", PHOTOS)
def test_duotone_is_a_gradient_by_luma(kind: str) -> None:
    before = PHOTOS[kind]()
    got = planes_of(tone.duotone(vips_of(before), NAVY, CREAM))
    for band, ends in enumerate([(10, 250), (20, 240), (60, 200)]):
        expected = np.interp(luma(before), [0, 255], ends)
        assert np.abs(got[..., band] - expected).max() <= 1  # luma and result are rounded
    assert np.array_equal(got[..., 3:], before[..., 3:])


def test_duotone_ends_exactly_in_its_colours() -> None:
    got = planes_of(tone.duotone(vips_of(np.array([[[0] * 3, [255] * 3]])), NAVY, CREAM))
    assert got.tolist() == [[[10, 20, 60], [250, 240, 200]]]


@pytest.mark.parametrize("kind", PHOTOS)
def test_tint_takes_chroma_and_keeps_lightness(kind: str) -> None:
    before = PHOTOS[kind]()
    got = planes_of(tone.tint(vips_of(before), BROWN))
    lightness = color.rgb2lab(before[..., :3] / 255)[..., 0]
    chroma = color.rgb2lab(np.array([160, 110, 60]) / 255)[1:]
    ingest = 1 - (lightness / 50 - 1) ** 2
    expected = np.dstack([lightness, ingest * chroma[0], ingest * chroma[1]])
    assert np.abs(got[..., :3] - 255 * color.lab2rgb(expected)).max() <= 2
    assert np.abs(color.rgb2lab(got[..., :3] / 255)[..., 0] - lightness).max() <= 1
    assert np.array_equal(got[..., 3:], before[..., 3:])


def test_opacity_multiplies_alpha_and_adds_it() -> None:
    assert np.array_equal(
        planes_of(tone.opacity(vips_of(photo()), 50)), np.dstack([photo(), np.full((123, 181), 128)])
    )
    before = photo_with_alpha()
    got = planes_of(tone.opacity(vips_of(before), 30))
    assert np.array_equal(got[..., :3], before[..., :3])
    assert np.abs(got[..., 3] - before[..., 3] * 0.3).max() <= ROUNDING


def pale(planes: Planes) -> Planes:
    """Low contrast, between 90 and 150."""
    return np.round(planes * (60 / 255) + 90)


def test_normalise_stretches_the_percentiles_of_luma() -> None:
    before = pale(photo())
    (got,) = tone.normalise([vips_of(before)])
    low, high = np.percentile(np.round(luma(before)), [1, 99], method="inverted_cdf")
    expected = np.clip((before - low) * 255 / (high - low), 0, 255)
    assert np.abs(planes_of(got) - expected).max() <= ROUNDING


def test_normalise_of_grey_equals_pillow_autocontrast() -> None:
    """One step of the input is 4 of 255 here: the two may disagree on where the percentile is."""
    before = np.repeat(np.round(luma(pale(photo())))[..., None], 3, axis=2)
    (got,) = tone.normalise([vips_of(before)])
    expected = ImageOps.autocontrast(Image.fromarray(before[..., 0].astype("uint8")), cutoff=1)
    assert np.abs(planes_of(got)[..., 0] - np.asarray(expected, dtype=float)).max() <= 6


def test_equalise_of_grey_equals_pillow_equalize() -> None:
    before = np.repeat(np.round(luma(photo()))[..., None], 3, axis=2)
    (got,) = tone.equalise([vips_of(before)])
    expected = np.asarray(ImageOps.equalize(Image.fromarray(before[..., 0].astype("uint8"))), dtype=float)
    # Pillow counts half of each value's own pixels, we count all of them.
    assert np.abs(planes_of(got)[..., 0] - expected).mean() <= 2
    assert (planes_of(got).min(), planes_of(got).max()) == (0, 255)


def test_equalise_spreads_luma_evenly_and_keeps_chroma() -> None:
    muted = np.round(away_from_luma(pale(photo()), 0.3))
    (got,) = tone.equalise([vips_of(muted)])
    after = planes_of(got)
    shares = np.quantile(luma(after), np.linspace(0, 1, 11)) / 255
    assert np.abs(shares - np.linspace(0, 1, 11)).max() <= 0.05
    unclipped = ((after > 0) & (after < 255)).all(axis=2)
    moved = (after - muted)[unclipped]
    assert np.array_equal(moved[:, 0], moved[:, 1])
    assert np.array_equal(moved[:, 0], moved[:, 2])


STRETCHES = pytest.mark.parametrize("stretch", [tone.normalise, tone.equalise])


@STRETCHES
def test_frames_share_one_stretch(stretch: Callable[..., list[pyvips.Image]]) -> None:
    """Equal pixels of two frames stay equal, however the rest differs."""
    one, other = pale(photo()), pale(photo()) - 60
    other[:40] = one[:40]
    first, second = (planes_of(frame) for frame in stretch([vips_of(one), vips_of(other)]))
    assert np.array_equal(first[:40], second[:40])
    assert first[40:].mean() > second[40:].mean() + 60
    assert not np.array_equal(first, planes_of(stretch([vips_of(one)])[0]))


@STRETCHES
def test_a_pixel_counts_by_its_alpha(stretch: Callable[..., list[pyvips.Image]]) -> None:
    """One pixel a value, where alpha 255 and 51 weigh 5 : 1."""
    values = np.arange(60, 160)
    weights = np.where(values < 80, 5, np.where(values < 140, 1, 0))
    weighted = np.stack([values, values, values, weights * 51], axis=1)[None]
    repeated = np.repeat(np.stack([values] * 3, axis=1), weights, axis=0)[None]
    got = planes_of(stretch([vips_of(weighted)])[0])[0, weights > 0, :3]
    expected = planes_of(stretch([vips_of(repeated)])[0])[0]
    assert np.array_equal(np.repeat(got, weights[weights > 0], axis=0), expected)


@STRETCHES
@pytest.mark.parametrize("pixel", [(7, 7, 7), (200, 40, 90), (1, 2, 3, 0)])
def test_normalise_of_one_value_changes_nothing(
    stretch: Callable[..., list[pyvips.Image]], pixel: tuple[int, ...]
) -> None:
    before = np.full((5, 4, len(pixel)), pixel)
    assert np.array_equal(planes_of(stretch([vips_of(before)])[0]), before)
    assert stretch([]) == []
