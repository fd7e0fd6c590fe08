"""Every filter against SciPy, Pillow or NumPy, with and without alpha."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from planes import PHOTOS, from_light, luma, photo, photo_with_alpha, planes_of, to_light, vips_of
from scipy import ndimage

from image_processor.domain.geometry import Size
from image_processor.engine.operations import filters
from image_processor.engine.operations.pixels import resize, resize_linear

Planes = NDArray[Any]

SMALL_SIGMAS = (0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.7, 2.5, 3, 4, 5.9, 9.5, 19.9)
LARGE_SIGMAS = (20, 31.4, 80, 250)


def gaussian(planes: Planes, sigma: float) -> Planes:
    """Every band by itself; beyond the borders the pixels of the edge are repeated."""
    bands = [
        ndimage.gaussian_filter(planes[..., band], sigma, mode="nearest") for band in range(planes.shape[2])
    ]
    return np.dstack(bands)


def weighted(planes: Planes) -> Planes:
    return np.dstack([planes[..., :3] * planes[..., 3:] / 255, planes[..., 3]])


@pytest.mark.parametrize("sigma", [*SMALL_SIGMAS, *LARGE_SIGMAS])
def test_blur_is_the_gaussian(sigma: float) -> None:
    off = planes_of(filters.blur(vips_of(photo()), sigma)) - gaussian(photo(), sigma)
    assert np.abs(off).max() <= (1 if sigma >= 3 else 4)
    assert np.abs(off).mean() <= 0.4
    assert abs(off.mean()) <= 0.1


@pytest.mark.parametrize("sigma", [0.5, 3, 9.5, 40])
def test_blur_weights_colours_by_alpha(sigma: float) -> None:
    """Compared on black and on white, where faint colours count less."""
    expected = gaussian(weighted(photo_with_alpha()), sigma)
    got = weighted(planes_of(filters.blur(vips_of(photo_with_alpha()), sigma)))
    for ground in (0, 255):
        one, other = (seen[..., :3] + ground * (1 - seen[..., 3:] / 255) for seen in (got, expected))
        assert np.abs(one - other).max() <= 4
        assert np.abs(one - other).mean() <= 0.7
    assert np.abs(got[..., 3] - expected[..., 3]).max() <= 2


@pytest.mark.parametrize("value", [0, 1, 127, 254, 255])
def test_blur_leaves_a_flat_area_as_it_is(value: int) -> None:
    """libvips' own gaussblur turns 255 into 251 with some sigmas, so many sigmas are tried."""
    flat = np.full((5, 7, 3), value)
    for sigma in [*np.geomspace(0.3, 20, 150), *LARGE_SIGMAS]:
        assert np.array_equal(planes_of(filters.blur(vips_of(flat), float(sigma))), flat), sigma


@pytest.mark.parametrize("kind", PHOTOS)
@pytest.mark.parametrize(("sigma", "amount"), [(0.1, 10), (0.5, 1), (1.5, 0.6), (3, 2.5), (8, 1)])
def test_sharpen_is_unsharp_masking_of_luma(sigma: float, amount: float, kind: str) -> None:
    before = PHOTOS[kind]()
    bright = luma(before)[..., None]
    alpha = before[..., 3:] if kind == "alpha" else np.ones_like(bright)
    soft = gaussian(bright * alpha, sigma) / np.maximum(gaussian(alpha, sigma), 1e-9)
    expected = np.clip(before[..., :3] + amount * (bright - soft), 0, 255)
    after = planes_of(filters.sharpen(vips_of(before), sigma, amount))
    seen = alpha[..., 0] > 0
    # SciPy's mask ends at 4 sigma, ours at 3; large sigmas are computed on a smaller image.
    assert np.abs(after[..., :3] - expected)[seen].max() <= 0.6 + 0.6 * amount
    assert np.abs(after[..., :3] - expected)[seen].mean() <= 0.25 + 0.1 * amount
    assert np.array_equal(after[..., 3:], before[..., 3:])


def test_sharpen_moves_red_green_and_blue_alike() -> None:
    before = np.round(photo() / 2 + 64)
    moved = planes_of(filters.sharpen(vips_of(before), 2, 0.5)) - before
    assert np.ptp(moved, axis=2).max() == 0
    assert np.abs(moved).max() > 10


def block_means(planes: Planes, block: int) -> Planes:
    result = np.empty_like(planes)
    for top in range(0, planes.shape[0], block):
        for left in range(0, planes.shape[1], block):
            square = (slice(top, top + block), slice(left, left + block))
            result[square] = planes[square].mean(axis=(0, 1))
    return result


@pytest.mark.parametrize("block", [2, 7, 50, 123, 1000])
def test_pixelate_is_the_mean_of_each_square(block: int) -> None:
    got = planes_of(filters.pixelate(vips_of(photo()), block))
    assert np.abs(got - block_means(photo(), block)).max() <= 1
    again = block_means(got, block)
    assert np.array_equal(got, again), "not one colour in each square"


def test_pixelate_weights_colours_by_alpha() -> None:
    got = planes_of(filters.pixelate(vips_of(photo_with_alpha()), 20))
    expected = block_means(weighted(photo_with_alpha()), 20)
    assert np.abs(weighted(got) - expected).max() <= 1.5


@pytest.mark.parametrize("size", [3, 5, 9, 15])
def test_median_equals_pillow_and_scipy(size: int) -> None:
    got = planes_of(filters.median(vips_of(photo()), size))
    bands = [ndimage.median_filter(photo()[..., band], size, mode="nearest") for band in range(3)]
    assert np.array_equal(got, np.dstack(bands))
    pillow = Image.fromarray(photo().astype("uint8")).filter(ImageFilter.MedianFilter(size))
    assert np.array_equal(got[size:-size, size:-size], np.asarray(pillow)[size:-size, size:-size])


def test_median_ignores_transparent_colours() -> None:
    got = weighted(planes_of(filters.median(vips_of(photo_with_alpha()), 5)))
    premultiplied = np.round(weighted(photo_with_alpha()))
    bands = [ndimage.median_filter(premultiplied[..., band], 5, mode="nearest") for band in range(4)]
    assert np.abs(got - np.dstack(bands)).max() <= 0.5


KERNELS: dict[str, tuple[float, ...]] = {
    "identity": (0, 0, 0, 0, 1, 0, 0, 0, 0),
    "sharper": (0, -1, 0, -1, 5, -1, 0, -1, 0),
    "edges, sum 0": (-1, -2, -1, 0, 0, 0, 1, 2, 1),
    "one-sided": (0, 0, 0, 0, 1, 2, 0, 0, 0),
    "a sum below 0": (0, 0, 0, 1, -4, 1, 0, 0, 0),
    "fractions that are meant to be 0": (0.1, 0.2, -0.3, 0, 0, 0, 0, 0, 0),
    "mean of 25": (1,) * 25,
    "emboss of 25": tuple(float(x) for x in range(-12, 13)),
}


def correlated(planes: Planes, kernel: tuple[float, ...]) -> Planes:
    side = 3 if len(kernel) == 9 else 5
    rows = np.reshape(kernel, (side, side))
    bands = [ndimage.correlate(planes[..., band], rows, mode="nearest") for band in range(planes.shape[2])]
    return np.dstack(bands)


def scale_of(kernel: tuple[float, ...]) -> float:
    return 1 if abs(sum(kernel)) < 1e-6 else sum(kernel)


@pytest.mark.parametrize("name", KERNELS)
def test_convolve_equals_scipy(name: str) -> None:
    kernel = KERNELS[name]
    expected = np.clip(correlated(photo(), kernel) / scale_of(kernel), 0, 255)
    got = planes_of(filters.convolve(vips_of(photo()), kernel))
    assert np.abs(got - expected).max() <= 0.5 + 1e-3


def test_convolve_equals_pillow() -> None:
    kernel = KERNELS["emboss of 25"]
    mirrored = np.reshape(kernel, (5, 5))[::-1].ravel()  # Pillow reads rows from the bottom up
    pillow = Image.fromarray(photo().astype("uint8")).filter(ImageFilter.Kernel((5, 5), mirrored, 1))
    got = planes_of(filters.convolve(vips_of(photo()), kernel))
    assert np.abs(got - np.asarray(pillow, dtype=float))[2:-2, 2:-2].max() <= 1


@pytest.mark.parametrize("name", KERNELS)
def test_convolve_sees_no_edge_of_visibility(name: str) -> None:
    """A neighbour counts as a mix of its colour and the pixel's own, by its alpha."""
    kernel, before = KERNELS[name], photo_with_alpha()
    alpha = before[..., 3:] / 255
    neighbours = correlated(before[..., :3] * alpha, kernel)
    own = before[..., :3] * (sum(kernel) - correlated(alpha, kernel))
    got = planes_of(filters.convolve(vips_of(before), kernel))
    expected = np.clip((neighbours + own) / scale_of(kernel), 0, 255)
    assert np.abs(got[..., :3] - expected).max() <= 0.5 + 1e-2
    assert np.array_equal(got[..., 3], before[..., 3])


def test_an_edge_kernel_finds_nothing_at_the_rim_of_a_flat_shape() -> None:
    shape = np.zeros((20, 20, 4))
    shape[5:15, 5:15] = (200, 100, 50, 255)
    got = planes_of(filters.convolve(vips_of(shape), KERNELS["edges, sum 0"]))
    assert got[5:15, 5:15, :3].max() == 0


def pillow_scaled(plane: Planes, size: tuple[int, int]) -> Planes:
    picture = Image.fromarray(plane.astype("float32"))
    kernel = Image.Resampling.LANCZOS if size[0] < picture.width else Image.Resampling.BICUBIC
    return np.asarray(picture.resize(size, kernel), dtype=float)


@pytest.mark.parametrize("size", [(60, 41), (150, 102), (300, 200)])
def test_linear_resizing_equals_pillow_on_light(size: tuple[int, int]) -> None:
    light = to_light(photo())
    expected = from_light(np.dstack([pillow_scaled(light[..., band], size) for band in range(3)]))
    got = planes_of(resize_linear(vips_of(photo()), Size(*size)))
    inner = (slice(4, -4), slice(4, -4))  # the two extend borders differently
    assert np.abs(got - expected)[inner].mean() <= 0.5
    assert np.abs(got - expected)[inner].max() <= 12


@pytest.mark.parametrize("size", [(182, 124), (300, 200), (362, 246), (1000, 123)])
def test_enlarging_moves_nothing(size: tuple[int, int]) -> None:
    """libvips' own resize shifts by half a pixel; Pillow does not."""
    expected = np.dstack([pillow_scaled(photo()[..., band], size) for band in range(3)])
    got = planes_of(resize(vips_of(photo()), Size(*size)))
    assert np.abs(got - np.clip(expected, 0, 255)).mean() <= 0.5


def test_enlarging_interpolates_between_pixel_centres() -> None:
    ramp = np.repeat(np.arange(0, 200, 40)[None, :, None], 3, axis=2)
    got = planes_of(resize(vips_of(ramp), Size(10, 1)))[0, :, 0]
    assert got[3:7].tolist() == [50, 70, 90, 110]


def test_linear_resizing_weights_light_by_alpha() -> None:
    size = (60, 41)
    before = photo_with_alpha()
    alpha = before[..., 3] / 255
    light = to_light(before[..., :3]) * alpha[..., None]
    small_alpha = pillow_scaled(alpha, size)
    small = np.dstack([pillow_scaled(light[..., band], size) for band in range(3)])
    got = planes_of(resize_linear(vips_of(before), Size(*size)))
    seen = small_alpha > 0.1
    expected = from_light(small / np.maximum(small_alpha, 1e-6)[..., None])
    assert np.abs(got[..., :3] - expected)[seen].mean() <= 1
    assert np.abs(got[..., 3] / 255 - small_alpha).mean() <= 0.005


def test_fine_lines_keep_their_light_only_in_linear_resizing() -> None:
    """Half black, half white is half the light: 188 of 255 in sRGB, but 128 as a plain mean."""
    lines = np.zeros((64, 64, 3))
    lines[:, ::2] = 255
    inner = (slice(4, -4), slice(4, -4))
    assert np.abs(planes_of(resize_linear(vips_of(lines), Size(16, 16)))[inner] - 188).max() <= 2
    assert np.abs(planes_of(resize(vips_of(lines), Size(16, 16)))[inner] - 128).max() <= 2


@pytest.mark.parametrize("kind", PHOTOS)
def test_linear_resizing_keeps_every_value(kind: str) -> None:
    """All values in flat images; at the same size nothing changes."""
    for value in range(256):
        pixel = [value, 255 - value, 255, *([200] if kind == "alpha" else [])]
        flat = np.full((4, 4, len(pixel)), pixel)
        assert np.array_equal(planes_of(resize_linear(vips_of(flat), Size(2, 2))), flat[:2, :2])
    picture = vips_of(PHOTOS[kind]())
    assert resize_linear(picture, Size(picture.width, picture.height)) is picture
