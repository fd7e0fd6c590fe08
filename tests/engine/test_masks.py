"""Masks against the exact shape, sampled at 16 x 16 points of each pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from planes import photo, photo_with_alpha, planes_of, vips_of

from image_processor.engine.operations.masks import ellipse, round_corners

Planes = NDArray[Any]

POINTS = 16

Radii = tuple[float, float, float, float]


def covered(inside: Planes) -> Planes:
    """The part of each pixel's points that are inside, as alpha."""
    height, width = (side // POINTS for side in inside.shape)
    return 255 * inside.reshape(height, POINTS, width, POINTS).mean(axis=(1, 3))


def points(width: int, height: int) -> tuple[Planes, Planes]:
    y, x = np.mgrid[: height * POINTS, : width * POINTS]
    return (x + 0.5) / POINTS, (y + 0.5) / POINTS


def rounded(width: int, height: int, radii: Radii) -> Planes:
    """Inside all corners; the radii must fit."""
    x, y = points(width, height)
    inside = np.ones(x.shape, dtype=bool)
    columns, rows = (x, width - x, width - x, x), (y, y, height - y, height - y)
    for radius, across, down in zip(radii, columns, rows, strict=True):
        beyond = (across < radius) & (down < radius)
        inside &= ~(beyond & (np.hypot(radius - across, radius - down) > radius))
    return covered(inside)


def alpha_of(width: int, height: int, radii: Radii) -> Planes:
    return planes_of(round_corners(vips_of(np.zeros((height, width, 3))), radii))[..., 3]


@pytest.mark.parametrize(
    ("size", "radii"),
    [
        ((40, 30), (10, 10, 10, 10)),
        ((40, 30), (15, 15, 15, 15)),
        ((41, 31), (12.3, 0, 7, 3.5)),
        ((41, 31), (0, 20, 0, 11)),
        ((30, 30), (15, 15, 15, 15)),
        ((31, 31), (15.5, 15.5, 15.5, 15.5)),
        ((40, 40), (40, 0, 40, 0)),  # a leaf: two large opposite corners
        ((25, 13), (1, 2, 3, 4)),
    ],
)
def test_round_corners_antialiases_by_coverage(size: tuple[int, int], radii: Radii) -> None:
    got, expected = alpha_of(*size, radii), rounded(*size, radii)
    assert np.abs(got - expected).max() <= 255 * 0.11
    assert np.abs(got - expected).mean() <= 0.6


@pytest.mark.parametrize(
    ("size", "radii", "fitting"),
    [
        # All are scaled by the most crowded side: 30 of 40, 20 of 30, 30 of 40, 9 of 20,000.
        ((30, 40), (20, 20, 20, 20), (15, 15, 15, 15)),
        ((40, 20), (30, 0, 0, 0), (20, 0, 0, 0)),
        ((40, 30), (10, 10, 30, 15), (7.5, 7.5, 22.5, 11.25)),
        ((9, 9), (10_000, 10_000, 10_000, 10_000), (4.5, 4.5, 4.5, 4.5)),
    ],
)
def test_radii_are_scaled_down_as_in_css(size: tuple[int, int], radii: Radii, fitting: Radii) -> None:
    assert np.array_equal(alpha_of(*size, radii), alpha_of(*size, fitting))
    assert np.abs(alpha_of(*size, radii) - rounded(*size, fitting)).max() <= 255 * 0.11


@pytest.mark.parametrize("index", range(4))
def test_only_the_corner_that_is_named_is_cut(index: int) -> None:
    """Rotated to the top left, every corner equals the first."""
    nine = [9.0 if index == corner else 0.0 for corner in range(4)]
    alpha = np.rot90(alpha_of(20, 20, (nine[0], nine[1], nine[2], nine[3])), index)
    assert np.array_equal(alpha, alpha_of(20, 20, (9, 0, 0, 0)))
    assert alpha[0, 0] == 0
    assert alpha[9:].min() == alpha[:, 9:].min() == 255


def test_without_radii_nothing_changes() -> None:
    picture = vips_of(photo())
    assert round_corners(picture, (0, 0, 0, 0)) is picture


@pytest.mark.parametrize("size", [(40, 40), (41, 41), (64, 20), (21, 90), (7, 6), (300, 11)])
def test_an_ellipse_antialiases_by_coverage(size: tuple[int, int]) -> None:
    width, height = size
    x, y = points(width, height)
    expected = covered(((2 * x / width - 1) ** 2 + (2 * y / height - 1) ** 2) <= 1)
    got = planes_of(ellipse(vips_of(np.zeros((height, width, 3)))))[..., 3]
    # Shapes of a few pixels are all edge, and at a sharp point the distance is less accurate.
    assert np.abs(got - expected).max() <= 255 * (0.22 if width > 20 * height else 0.11)
    assert np.abs(got - expected).mean() <= (3 if width * height < 100 else 1.5)
    assert got.sum() / 255 == pytest.approx(np.pi / 4 * width * height, rel=0.02)


@pytest.mark.parametrize("size", [(50, 50), (51, 33), (8, 9), (1, 1), (2, 1), (1, 30)])
def test_masks_are_symmetric(size: tuple[int, int]) -> None:
    width, height = size
    picture = vips_of(np.zeros((height, width, 3)))
    for alpha in (planes_of(ellipse(picture))[..., 3], alpha_of(width, height, (5, 5, 5, 5))):
        assert np.array_equal(alpha, alpha[::-1])
        assert np.array_equal(alpha, alpha[:, ::-1])
        assert alpha.max() > 127


def test_a_circle_equals_full_round_corners() -> None:
    circle = planes_of(ellipse(vips_of(photo()[:100, :100])))
    assert np.array_equal(circle[..., 3], alpha_of(100, 100, (50, 50, 50, 50)))


def test_masks_multiply_alpha_and_keep_colours() -> None:
    before = photo_with_alpha()
    mask = planes_of(ellipse(vips_of(photo())))
    assert np.array_equal(mask[..., :3], photo())
    got = planes_of(ellipse(vips_of(before)))
    assert np.array_equal(got[..., :3], before[..., :3])
    assert np.abs(got[..., 3] - before[..., 3] * mask[..., 3] / 255).max() <= 0.5
