"""Every step against a formula in NumPy or Pillow, and the order of steps."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import pyvips
from numpy.typing import NDArray
from PIL import Image, ImageOps
from planes import from_light, luma, photo, photo_with_alpha, planes_of, to_light, vips_of
from skimage import color

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.models import Limits
from image_processor.domain.transformation import STEP_KINDS, parse, parse_step
from image_processor.engine.operations.steps import STEP_OPERATIONS, apply_steps
from image_processor.engine.render import render

Planes = NDArray[Any]
ROUNDING = 0.5 + 1e-4
"""Of 255: what 8 bits take away, and 32-bit floats."""


def after(before: Planes, *texts: str) -> Planes:
    (frame,) = apply_steps([vips_of(before)], [parse_step(text) for text in texts], {})
    return planes_of(frame)


def hsp(colours: Planes) -> Planes:
    bright = np.sqrt(colours**2 @ [0.299, 0.587, 0.114])[..., None]
    return bright + (colours - bright) * 1.8


def vibrant(colours: Planes) -> Planes:
    bright = luma(colours)[..., None]
    spread = (colours.max(-1) - colours.min(-1))[..., None] / 255
    return bright + (colours - bright) * (1 + 0.8 * (1 - spread))


def tone_of(colours: Planes, lift: float, gain: float) -> Planes:
    share = colours / 255
    lifted = share + lift * share * (1 - share) ** 3
    return 255 * (lifted + gain * lifted**3 * (1 - lifted))


def toned(colours: Planes) -> Planes:
    share = colours / 255
    lifted = share + 0.8 * 3 * share * (1 - share) ** 3
    return 255 * (lifted - 0.6 * 3 * lifted**3 * (1 - lifted))


# A step and its formula on colours (0-255) in floats, without clipping.
FORMULAS: dict[str, Callable[[Planes], Planes]] = {
    "linear:1.4:-40": lambda c: c * 1.4 - 40,
    "linear:1:0.5:2:10:0:-200": lambda c: c * [1, 0.5, 2] + [10, 0, -200],
    "matrix:0:1:0:1:0:0:0.5:0:0.5": lambda c: c @ np.array([[0, 1, 0.5], [1, 0, 0], [0, 0, 0.5]]),
    "matrix:1:0:0:0:1:0:0:0:1:5:-6:7": lambda c: c + np.array([5, -6, 7]),
    "saturate:1.8": hsp,
    "neg:1": lambda c: 255 - c,
    "vibrance:80": vibrant,
    "tones:80:-60": toned,
    "tones:-100:100": lambda c: tone_of(c, -1, 1),
}


@pytest.mark.parametrize("text", FORMULAS)
def test_colour_steps_equal_their_rounded_formula(text: str) -> None:
    for before in (photo(), photo_with_alpha()):
        got = after(before, text)
        expected = np.clip(FORMULAS[text](before[..., :3].astype(float)), 0, 255)
        assert np.abs(got[..., :3] - expected).max() <= ROUNDING
        assert np.array_equal(got[..., 3:], before[..., 3:])


def test_lch_is_that_of_scikit_image() -> None:
    before = photo()
    lch = color.lab2lch(color.rgb2lab(before / 255))
    lch[..., 0] = lch[..., 0] * 0.9 + 4
    lch[..., 1] *= 0.5
    lch[..., 2] += np.radians(40)
    expected = color.lab2rgb(color.lch2lab(lch)) * 255
    assert np.abs(after(before, "lch:0.9:0.5:40:4") - expected).mean() < 1


def test_equal_is_that_of_pillow() -> None:
    before = photo()
    expected = np.asarray(ImageOps.equalize(Image.fromarray(before.astype(np.uint8))), dtype=float)
    assert np.abs(after(before, "equal:1") - expected).mean() < 1.5


def percentile(lightness: Planes, percent: float) -> int:
    """As libvips finds it among whole numbers, and so sharp: the first value whose rank, on a scale as long
    as the histogram, exceeds the percentage."""
    counts = np.bincount(lightness.astype(int).ravel())
    ranks = np.cumsum(counts) * (counts.size - 1) // counts.sum()
    above = np.flatnonzero(ranks > percent / 100 * counts.size)
    return int(above[0]) if above.size else counts.size


@pytest.mark.parametrize("limits", [(1, 99), (0, 100), (10, 80)])
def test_norm_stretches_lightness_between_its_percentiles(limits: tuple[int, int]) -> None:
    pale = photo() * 0.3 + 90
    before = color.rgb2lab(pale / 255)[..., 0]
    lightness = color.rgb2lab(after(pale, f"norm:{limits[0]}:{limits[1]}") / 255)[..., 0]
    low = percentile(before, limits[0]) if limits[0] else int(before.min())
    high = percentile(before, limits[1]) if limits[1] < 100 else int(before.max())
    expected = np.clip((before - low) * 100 / (high - low), 0, 100)
    assert np.abs(lightness - expected).mean() < 2


def test_threshold_leaves_black_and_white() -> None:
    got = after(photo(), "threshold:128")
    assert set(np.unique(got)) == {0, 255}
    grey = from_light(luma(to_light(photo())))
    assert np.mean((got[..., 0] > 0) == (grey >= 128)) > 0.97


def test_noise_is_uniform_grey_and_repeatable() -> None:
    flat = np.full((200, 300, 3), 128.0)
    got = after(flat, "noise:60:1") - 128
    assert np.array_equal(got, after(flat, "noise:60:1") - 128)
    assert not np.array_equal(got, after(flat, "noise:60:2") - 128)
    assert np.ptp(got, axis=2).max() == 0
    assert abs(got.mean()) < 0.5
    assert abs(got.std() - 60 / 12**0.5) < 0.5
    assert np.abs(got).max() <= 30


@pytest.mark.parametrize(
    ("degrees", "first", "last"),
    [
        (0, (0, 150), (199, 150)),
        (90, (100, 299), (100, 0)),
        (180, (199, 150), (0, 150)),
        (270, (100, 0), (100, 299)),
    ],
)
def test_a_gradient_fades_in_its_direction(
    degrees: int, first: tuple[int, int], last: tuple[int, int]
) -> None:
    got = after(np.full((200, 300, 3), 200.0), f"gradient:0.5:000000:{degrees}:0:1")
    assert abs(got[first][0] - 200) <= 1
    assert abs(got[last][0] - 100) <= 1


def test_a_convolution_correlates_rows_and_columns() -> None:
    before = photo()
    got = after(before, "conv:3:1:0:0:1")
    expected = np.concatenate([before[:, 1:], before[:, -1:]], axis=1)
    assert np.array_equal(got, expected)
    assert np.abs(after(before, "conv:3:0:0:0.5:0") - before / 2).max() <= ROUNDING


def test_geometry_moves_pixels_exactly() -> None:
    before = photo()
    height, width = before.shape[:2]
    assert np.array_equal(after(before, "crop:10:20:30:40"), before[20:60, 10:40])
    assert np.array_equal(after(before, "flip:h"), before[:, ::-1])
    assert np.array_equal(after(before, "flip:v"), before[::-1])
    assert np.array_equal(after(before, "rotate:90"), np.rot90(before, -1))
    framed = after(before, f"canvas:{width + 7}:{height - 5}:3:-2:0a141e")
    assert np.array_equal(framed[:, 3 : width + 3], before[2 : height - 3])
    assert np.array_equal(framed[:, :3], np.broadcast_to([10, 20, 30], (height - 5, 3, 3)))
    clear = after(before, f"canvas:{width + 1}:{height}:0:0")
    assert clear.shape[2] == 4
    assert clear[0, -1, 3] == 0


def test_smart_keeps_the_striking_part_in_all_frames() -> None:
    dull = np.full((100, 200, 3), 90.0)
    striking = dull.copy()
    striking[20:80, 140:190] = photo()[:60, :50]
    frames = apply_steps([vips_of(striking), vips_of(dull)], [parse_step("smart:100:100:attention")], {})
    assert [(frame.width, frame.height) for frame in frames] == [(100, 100)] * 2
    assert np.ptp(planes_of(frames[0])[:, 60:]) > 100
    assert np.ptp(planes_of(frames[1])) == 0


def test_an_ellipse_keeps_its_inside() -> None:
    alpha = after(np.zeros((100, 200, 3)), "ellipse:60:50:40:20")[..., 3]
    assert alpha[50, 60] == 255
    assert alpha[50, 25] == 255
    assert alpha[50, 15] == 0
    assert alpha[75, 60] == 0
    assert abs(alpha.sum() / 255 - np.pi * 40 * 20) < 15


def test_steps_run_in_their_order() -> None:
    before = photo()
    cropped = after(before, "rotate:90", "crop:0:0:20:10")
    assert np.array_equal(cropped, np.rot90(before, -1)[:10, :20])
    assert not np.array_equal(cropped, after(before, "crop:0:0:10:20", "rotate:90"))


def test_every_kind_has_an_operation() -> None:
    assert {*STEP_OPERATIONS, "smart"} == set(STEP_KINDS)


def source() -> bytes:
    body: bytes = pyvips.Image.black(200, 100, bands=3).copy(interpretation="srgb").write_to_buffer(".png")
    return body


def rendered(text: str) -> Image.Image:
    result = render(source(), [parse(text)], Limits(), summary=False).renditions[0]
    return Image.open(io.BytesIO(result.body))


def test_a_rendition_goes_through_its_steps_after_the_resize() -> None:
    image = rendered("w=100,then=crop:0:0:60:40,then=canvas:80:80:10:20:ff0000,fm=png")
    assert image.size == (80, 80)
    assert image.convert("RGB").getpixel((0, 0)) == (255, 0, 0)
    assert image.convert("RGB").getpixel((30, 30)) == (0, 0, 0)


def test_a_format_without_alpha_is_flattened_after_the_steps() -> None:
    image = rendered("w=100,then=canvas:120:50:0:0,bg=00ff00,fm=jpeg")
    assert image.mode == "RGB"
    assert np.abs(np.asarray(image)[25, 115].astype(int) - [0, 255, 0]).max() < 8


def test_a_crop_outside_is_refused_before_decoding() -> None:
    with pytest.raises(Refused, match="expected a crop within 100 x 50 pixels") as caught:
        rendered("w=100,then=blur:1,then=crop:100:0:5:5,fm=png")
    assert caught.value.reason is Reason.REGION_OUTSIDE


def test_the_size_after_any_step_counts_for_the_limit() -> None:
    text = "w=100,then=canvas:2000:1000:0:0,then=crop:0:0:5:5,fm=png"
    with pytest.raises(Refused) as caught:
        render(source(), [parse(text)], Limits(max_output_pixels=1_999_999), summary=False)
    assert caught.value.reason is Reason.OUTPUT_TOO_LARGE


def test_a_backdrop_is_the_mean_colour_or_the_blurred_image() -> None:
    before = photo()
    height, width = before.shape[:2]
    mean = after(before, f"backdrop:{width + 10}:{height}:5:0:mean")
    assert np.array_equal(mean[:, 5:-5], before)
    assert np.abs(mean[0, 0] - before.mean(axis=(0, 1))).max() <= 1
    blurred = after(before, f"backdrop:{width}:{height * 2}:0:{height // 2}:blurred")
    assert blurred.shape == (height * 2, width, 3)
    assert np.array_equal(blurred[height // 2 : height // 2 + height], before)
    assert np.ptp(blurred[0]) < np.ptp(before)


def test_corners_are_quarters_of_an_ellipse() -> None:
    alpha = after(np.zeros((100, 200, 3)), "corners:60:20")[..., 3]
    assert alpha[0, 0] == alpha[-1, -1] == 0
    assert alpha[0, 62] == alpha[22, 0] == alpha[50, 100] == 255
    assert abs((255 - alpha).sum() / 255 - (4 - np.pi) * 60 * 20) < 20


def test_a_colour_is_blended_over_the_image() -> None:
    before = photo()
    multiplied = before * (np.array([0x22, 0x66, 0xCC]) / 255)
    expected = before * 0.2 + multiplied * 0.8
    assert np.abs(after(before, "colour:2266cc:80:multiply") - expected).max() <= 1
    # The colour lies behind the transparency of the image, too.
    assert (after(photo_with_alpha(), "colour:2266cc:100:over")[..., 3] == 255).all()


def test_a_border_lies_over_the_edge() -> None:
    before = photo()
    height, width = before.shape[:2]
    got = after(before, "border:3:5:7:9:ffcc00:100")
    assert np.array_equal(got[3 : height - 7, 9 : width - 5], before[3 : height - 7, 9 : width - 5])
    outside = np.ones((height, width), bool)
    outside[3 : height - 7, 9 : width - 5] = False
    assert (got[outside] == [255, 204, 0]).all()
    half = after(before, "border:3:3:3:3:000000:50")
    assert np.abs(half[:3] - before[:3] / 2).max() <= 1
    rounded = after(before, "border:3:3:3:3:ffcc00:100:20:0:0:0")
    assert (rounded[4, 4] == [255, 204, 0]).all()
    assert np.array_equal(rounded[height - 4, width - 4], before[height - 4, width - 4])


def test_patterns_lie_behind_transparent_pixels_only() -> None:
    clear = np.zeros((40, 60, 4))
    clear[10:20, 10:20] = 255
    rows, columns = np.mgrid[:40, :60]
    grid = after(clear, "bg-grid:8:000000:ffffff")
    assert (grid[10:20, 10:20] == 255).all()
    squares = np.where((columns // 8 + rows // 8) % 2, 255, 0)
    empty = clear[..., 3] == 0
    assert np.array_equal(grid[empty][:, 0], squares[empty])
    linear = after(clear, "bg-linear:0:000000:ff0000")
    assert np.abs(linear[empty][:, 0] - ((rows + 0.5) / 40 * 255)[empty]).max() <= 0.51
    radial = after(clear, "bg-radial:0.5:0.5:0.25:0.5:000000:0000ff")
    distance = np.hypot(columns + 0.5 - 30, rows + 0.5 - 20) / 40
    expected = np.clip((distance - 0.25) / 0.25, 0, 1) * 255
    assert np.abs(radial[empty][:, 2] - expected[empty]).max() <= 0.51
    assert np.array_equal(after(photo(), "bg-grid:8:000000:ffffff"), photo())


def test_padding_as_a_step_surrounds_the_image() -> None:
    before = photo()
    height, width = before.shape[:2]
    got = after(before, "pad:1:2:3:4:223355")
    assert got.shape == (height + 4, width + 6, 3)
    assert np.array_equal(got[1 : height + 1, 4 : width + 4], before)
    assert (got[0] == [0x22, 0x33, 0x55]).all()
    assert not after(before, "pad:1:2:3:4")[0, :, 3].any()


def test_a_translucent_colour_behind_the_image() -> None:
    clear = np.zeros((4, 4, 4))
    clear[1, 1] = [10, 20, 30, 255]
    got = after(clear, "behind:ffcc00:50")
    assert np.abs(got[0, 0] - [255, 204, 0, 128]).max() <= 1
    assert np.array_equal(got[1, 1], [10, 20, 30, 255])
    assert np.array_equal(after(photo(), "behind:ffcc00:50"), photo())
