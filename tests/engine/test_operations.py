"""Every parameter end to end: rendered from its text, compared with an independent computation.

The formulas are NumPy's, SciPy's, Pillow's and scikit-image's; a tolerance is the largest mean difference
and, for all but the most extreme thousandth of the pixels, the largest one, of 255.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache, reduce

import numpy as np
import pytest
from drawing import Pixels, encoded, made, opened, photograph, picture_of
from PIL import Image
from planes import LUMA, from_light, luma, to_light
from scipy import ndimage
from skimage import color

from image_processor.domain.models import Limits
from image_processor.domain.transformation import PARAMETERS, parse
from image_processor.engine.render import render

Do = Callable[[Pixels], Pixels]
WIDTH, HEIGHT = 448, 300

SEPIA = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]])
# The quarter turn of W3C Filter Effects' hue-rotate, next to luma.
HUE = np.array([[-0.213, -0.715, 0.928], [0.143, 0.140, -0.283], [-0.787, 0.715, 0.072]])


@cache
def whole() -> Image.Image:
    return photograph().crop((0, 0, WIDTH, HEIGHT))


@cache
def original() -> bytes:
    return encoded(whole(), compress_level=1)


def chain(*steps: Do) -> Do:
    return lambda planes: reduce(lambda so_far, step: step(so_far), steps, planes)


def rounded(step: Do) -> Do:
    return lambda planes: np.clip(np.round(step(planes)), 0, 255)


def resized(width: int, height: int) -> Do:
    def step(planes: Pixels) -> Pixels:
        bands = [Image.fromarray(planes[..., band].astype("float32")) for band in range(planes.shape[2])]
        scaled = [band.resize((width, height), Image.Resampling.LANCZOS) for band in bands]
        return np.dstack([np.asarray(band, dtype=float) for band in scaled])

    return rounded(step)


def enlarged(width: int, height: int) -> Do:
    def step(planes: Pixels) -> Pixels:
        picture = Image.fromarray(planes.astype("uint8"))
        return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC), dtype=float)

    return step


def in_light(step: Do) -> Do:
    return lambda planes: from_light(step(to_light(planes) * 255) / 255)


def light_resized(width: int, height: int) -> Do:
    def step(planes: Pixels) -> Pixels:
        light = to_light(planes)
        bands = [Image.fromarray(light[..., band].astype("float32")) for band in range(3)]
        scaled = [np.asarray(band.resize((width, height), Image.Resampling.LANCZOS), float) for band in bands]
        return from_light(np.dstack(scaled))

    return rounded(step)


def cut(left: int, top: int, width: int, height: int) -> Do:
    return lambda planes: planes[top : top + height, left : left + width]


def grey(planes: Pixels) -> Pixels:
    return np.repeat(np.round(luma(planes))[..., None], 3, axis=2)


def saturated(factor: float) -> Do:
    return rounded(lambda planes: luma(planes)[..., None] + factor * (planes - luma(planes)[..., None]))


def hue(degrees: float) -> Do:
    angle = np.radians(degrees)
    weights = np.array([LUMA] * 3)
    matrix = weights + np.cos(angle) * (np.eye(3) - weights) + np.sin(angle) * HUE
    return rounded(lambda planes: planes @ matrix.T)


def sepia(share: float) -> Do:
    return rounded(lambda planes: (1 - share) * planes + share * planes @ SEPIA.T)


def tint(red: int, green: int, blue: int) -> Do:
    def step(planes: Pixels) -> Pixels:
        lightness = color.rgb2lab(planes / 255)[..., 0]
        chroma = color.rgb2lab(np.array([red, green, blue]) / 255)[1:]
        ingest = 1 - (lightness / 50 - 1) ** 2
        return 255 * color.lab2rgb(np.dstack([lightness, ingest * chroma[0], ingest * chroma[1]]))

    return rounded(step)


def duotone(dark: tuple[int, ...], light: tuple[int, ...]) -> Do:
    return rounded(
        lambda planes: np.dstack(
            [np.interp(luma(planes), [0, 255], ends) for ends in zip(dark, light, strict=True)]
        )
    )


def normalised(planes: Pixels) -> Pixels:
    low, high = np.percentile(np.round(luma(planes)), [1, 99], method="inverted_cdf")
    return np.clip(np.round((planes - low) * 255 / (high - low)), 0, 255)


def equalised(planes: Pixels) -> Pixels:
    bright = np.round(luma(planes)).astype(int)
    counts = np.bincount(bright.ravel(), minlength=256)
    below, darkest = np.cumsum(counts), counts[counts > 0][0]
    spread = np.round(255 * np.clip(below - darkest, 0, None) / (bright.size - darkest))
    return np.clip(planes + (spread[bright] - bright)[..., None], 0, 255)


def per_band(step: Callable[[Pixels], Pixels]) -> Do:
    return rounded(lambda planes: np.dstack([step(planes[..., band]) for band in range(planes.shape[2])]))


def blurred(sigma: float) -> Do:
    return per_band(lambda plane: ndimage.gaussian_filter(plane, sigma, mode="nearest"))


def sharpened(sigma: float, amount: float) -> Do:
    def step(planes: Pixels) -> Pixels:
        bright = luma(planes)
        return planes + amount * (bright - ndimage.gaussian_filter(bright, sigma, mode="nearest"))[..., None]

    return rounded(step)


def convolved(*numbers: float) -> Do:
    side = int(len(numbers) ** 0.5)
    scale = sum(numbers) or 1
    kernel = np.reshape(numbers, (side, side)) / scale
    return per_band(lambda plane: ndimage.correlate(plane, kernel, mode="nearest"))


def median(size: int) -> Do:
    return per_band(lambda plane: ndimage.median_filter(plane, size, mode="nearest"))


def pixelated(block: int) -> Do:
    def step(planes: Pixels) -> Pixels:
        result = np.empty_like(planes)
        for top in range(0, planes.shape[0], block):
            for left in range(0, planes.shape[1], block):
                square = (slice(top, top + block), slice(left, left + block))
                result[square] = planes[square].mean(axis=(0, 1))
        return result

    return rounded(step)


def bars(top: int, right: int, bottom: int, left: int, ink: tuple[int, ...]) -> Do:
    def step(planes: Pixels) -> Pixels:
        height, width, bands = planes.shape
        around = np.empty((height + top + bottom, width + left + right, bands))
        around[:] = ink[:bands]
        around[top : top + height, left : left + width] = planes
        return around

    return step


def padded(width: int, mode: str) -> Do:
    return lambda planes: np.pad(planes, ((width, width), (width, width), (0, 0)), mode=mode)  # type: ignore[call-overload]


def masked(inside: Callable[[Pixels, Pixels, int, int], Pixels]) -> Do:
    """Alpha as the covered part of each pixel, sampled at 4 x 4 points."""

    def step(planes: Pixels) -> Pixels:
        height, width = planes.shape[:2]
        y, x = (np.mgrid[: height * 4, : width * 4].astype(np.float32) + 0.5) / 4
        parts = inside(x, y, width, height).reshape(height, 4, width, 4).mean((1, 3))
        alpha = planes[..., 3] if planes.shape[2] == 4 else np.full((height, width), 255.0)
        return np.dstack([planes[..., :3], np.round(parts * alpha)])

    return step


def in_ellipse(x: Pixels, y: Pixels, width: int, height: int) -> Pixels:
    return (2 * x / width - 1) ** 2 + (2 * y / height - 1) ** 2 <= 1


def rounded_by(radius: float) -> Callable[[Pixels, Pixels, int, int], Pixels]:
    def inside(x: Pixels, y: Pixels, width: int, height: int) -> Pixels:
        across = np.maximum(np.maximum(radius - x, x - (width - radius)), 0)
        down = np.maximum(np.maximum(radius - y, y - (height - radius)), 0)
        return np.hypot(across, down) <= radius

    return inside


def opacity(share: float) -> Do:
    return lambda planes: np.dstack([planes[..., :3], np.full(planes.shape[:2], np.floor(share * 255 + 0.5))])


def over(red: int, green: int, blue: int) -> Do:
    def step(planes: Pixels) -> Pixels:
        share = planes[..., 3:] / 255
        return planes[..., :3] * share + np.array([red, green, blue]) * (1 - share)

    return rounded(step)


def stamped(left: int, top: int, share: float = 1) -> Do:
    """An overlay of 20 x 12 red pixels."""

    def step(planes: Pixels) -> Pixels:
        laid = planes.copy()
        part = laid[top : top + 12, left : left + 20, :3]
        part[:] = share * np.array([255.0, 0, 0]) + (1 - share) * part
        return laid

    return rounded(step)


def curve(formula: Do) -> Do:
    return rounded(formula)


SMALL = resized(112, 75)
RED = (255, 0, 0)

EXACT, CLOSE, RESIZED = (0.3, 1), (0.6, 4), (1.6, 12)
"""Rounding only; another way to the same filter; another Lanczos (libvips averages first)."""
EDGED = (0.6, 16)
"""16 places in a pixel are steps of 16."""

OPERATIONS: dict[str, tuple[Do, tuple[float, float]]] = {
    # selection of the source
    "rect=40:20:200:150": (cut(40, 20, 200, 150), EXACT),
    "rect=0.25:0.1:0.5:0.5": (cut(112, 30, 224, 150), EXACT),
    "rot=90": (lambda p: np.rot90(p, -1), EXACT),
    "rot=180": (lambda p: p[::-1, ::-1], EXACT),
    "flip=h": (lambda p: p[:, ::-1], EXACT),
    "flip=v": (lambda p: p[::-1], EXACT),
    "flip=v,rot=90": (lambda p: np.rot90(p, -1)[::-1], EXACT),
    # sizes
    "w=112": (SMALL, RESIZED),
    "h=75,zoom=2": (resized(224, 150), RESIZED),
    "w=56,dpr=2": (SMALL, RESIZED),
    "zoom=0.25": (SMALL, RESIZED),
    "min-w=112,w=20": (SMALL, RESIZED),
    "min-h=75,h=20": (SMALL, RESIZED),
    "w=112,linear=1": (light_resized(112, 75), RESIZED),
    "w=672,enlarge=1": (enlarged(672, 450), CLOSE),
    "w=112,h=75,fit=fill": (SMALL, RESIZED),
    "w=112,h=150,fit=fill": (resized(112, 150), RESIZED),
    "w=112,h=112,fit=inside": (SMALL, RESIZED),
    "w=75,h=75,fit=outside": (SMALL, RESIZED),
    "w=75,h=75": (chain(cut(74, 0, 300, 300), resized(75, 75)), RESIZED),
    "ar=1:1": (cut(74, 0, 300, 300), EXACT),
    "ar=1:1,g=east": (cut(148, 0, 300, 300), EXACT),
    "w=100,h=300,g=west,gx=30": (cut(30, 0, 100, 300), EXACT),
    "w=100,h=300,fp=0.25:0.5": (cut(62, 0, 100, 300), EXACT),
    "w=600,h=800,fit=fill-down": (cut(111, 0, 225, 300), EXACT),
    "w=448,h=320,fit=contain,bg=ff0000": (bars(10, 0, 10, 0, RED), EXACT),
    # pixels
    "norm=1": (normalised, EXACT),
    "equal=1": (equalised, EXACT),
    "gam=2.2": (curve(lambda p: 255 * (p / 255) ** (1 / 2.2)), EXACT),
    "bri=30": (curve(lambda p: p * 0.7 + 76.5), EXACT),
    "bri=-30": (curve(lambda p: p * 0.7), EXACT),
    "con=40": (curve(lambda p: (p - 127.5) * 1.4 + 127.5), EXACT),
    "sat=80": (saturated(1.8), EXACT),
    "sat=-50": (saturated(0.5), EXACT),
    "hue=120": (hue(120), EXACT),
    "grey=1": (grey, EXACT),
    "sepia=70": (sepia(0.7), EXACT),
    "tint=a06e3c": (tint(160, 110, 60), CLOSE),
    "duo=0a143c:faf0c8": (duotone((10, 20, 60), (250, 240, 200)), EXACT),
    "neg=1": (lambda p: 255 - p, EXACT),
    "median=5": (median(5), EXACT),
    "blur=3": (blurred(3), EXACT),
    "blur=40": (blurred(40), CLOSE),
    "sharp=1.5:2": (sharpened(1.5, 2), CLOSE),
    "conv=-1:-1:-1:-1:9:-1:-1:-1:-1": (convolved(-1, -1, -1, -1, 9, -1, -1, -1, -1), EXACT),
    "px=16": (pixelated(16), EXACT),
    # around
    "round=40": (masked(rounded_by(40)), EDGED),
    "round=0.5": (masked(rounded_by(150)), EDGED),
    "ellipse=1": (masked(in_ellipse), EDGED),
    "op=40": (opacity(0.4), EXACT),
    "op=40,bg=00ff00": (chain(opacity(0.4), over(0, 255, 0)), EXACT),
    "pad=10:20,bg=ff0000": (bars(10, 20, 10, 20, RED), EXACT),
    "pad=12,edge=mirror": (padded(12, "symmetric"), EXACT),
    "pad=12,edge=copy": (padded(12, "edge"), EXACT),
    "over=image:mark;g:northwest;x:30;y:9": (stamped(30, 9), EXACT),
    "over=image:mark;g:southeast;x:8;y:8;o:50": (stamped(420, 280, 0.5), EXACT),
    # the order of operations
    "grey=1,tint=a06e3c": (chain(grey, tint(160, 110, 60)), CLOSE),
    "gam=2,bri=-40,con=50": (
        chain(
            curve(lambda p: 255 * (p / 255) ** 0.5),
            curve(lambda p: 0.6 * p),
            curve(lambda p: (p - 127.5) * 1.5 + 127.5),
        ),
        EXACT,
    ),
    "norm=1,sat=-100,neg=1": (chain(normalised, grey, lambda p: 255 - p), EXACT),
    "w=100,h=300,blur=12": (chain(cut(174, 0, 100, 300), blurred(12)), EXACT),
    "rect=100:50:60:60,blur=9": (chain(cut(100, 50, 60, 60), blurred(9)), EXACT),
    "median=3,blur=2,sharp=1:3": (chain(median(3), blurred(2), sharpened(1, 3)), CLOSE),
    "blur=4,px=20": (chain(blurred(4), pixelated(20)), EXACT),
    "sepia=100,blur=4,w=448,h=320,fit=contain,bg=ff0000": (
        chain(sepia(1), blurred(4), bars(10, 0, 10, 0, RED)),
        EXACT,
    ),
    "neg=1,over=image:mark;g:northwest": (chain(lambda p: 255 - p, stamped(0, 0)), EXACT),
    "rect=100:50:60:40,over=image:mark;g:northwest,round=16": (
        chain(cut(100, 50, 60, 40), stamped(0, 0), masked(rounded_by(16))),
        EDGED,
    ),
    "round=30,pad=10": (chain(masked(rounded_by(30)), bars(10, 10, 10, 10, (0, 0, 0, 0))), EDGED),
    "round=30,pad=10,bg=ff0000": (
        chain(masked(rounded_by(30)), bars(10, 10, 10, 10, (*RED, 255)), over(*RED)),
        EDGED,
    ),
    "w=448,h=320,fit=contain,bg=ff0000,ellipse=1": (
        chain(bars(10, 0, 10, 0, RED), masked(in_ellipse), over(*RED)),
        EDGED,
    ),
    "w=448,h=320,fit=contain,bg=0000ff,over=image:mark;g:northwest": (
        chain(bars(10, 0, 10, 0, (0, 0, 255)), stamped(0, 0)),
        EXACT,
    ),
    "op=40,pad=10,bg=00ff00": (
        chain(opacity(0.4), bars(10, 10, 10, 10, (0, 255, 0, 255)), over(0, 255, 0)),
        EXACT,
    ),
    "rot=90,rect=40:20:200:150,flip=h": (
        chain(cut(40, 20, 200, 150), lambda p: np.rot90(p, -1)[:, ::-1]),
        EXACT,
    ),
}


def planes_of_picture(picture: Image.Image) -> Pixels:
    return np.asarray(picture if picture.mode == "RGBA" else picture.convert("RGB"), dtype=float)


def seen(planes: Pixels) -> Pixels:
    """Premultiplied colours, and alpha."""
    return (
        np.dstack([planes[..., :3] * planes[..., 3:] / 255, planes[..., 3]])
        if planes.shape[2] == 4
        else planes
    )


@pytest.mark.parametrize("text", OPERATIONS)
def test_operations_equal_an_independent_implementation(text: str) -> None:
    formula, (mean, most) = OPERATIONS[text]
    mark = encoded(Image.new("RGB", (20, 12), "red"))
    got = planes_of_picture(picture_of(original(), f"{text},fm=png", overlay_sources={"mark": mark}))
    expected = formula(np.asarray(whole(), dtype=float))
    assert got.shape == expected.shape
    difference = np.abs(seen(got) - seen(expected))
    assert difference.mean() <= mean
    assert np.quantile(difference, 0.999) <= most
    plain = np.asarray(whole(), dtype=float)
    assert got.shape != plain.shape or np.abs(got - plain).mean() > 0.08, "nothing was done"


def test_the_order_of_parameters_does_not_matter() -> None:
    pairs = ["w=90", "h=60", "blur=2", "grey=1", "round=9", "pad=4", "bg=336699", "tint=ff8800"]
    one, other = (",".join([*order, "fm=png"]) for order in (pairs, pairs[::-1]))
    assert made(original(), one).body == made(original(), other).body


# Encoders: every parameter shows in the bytes ------------------------------------------------------


def test_quality_equals_that_of_pillow() -> None:
    for low, high, name in ((20, 90, "jpeg"), (20, 90, "webp"), (20, 80, "avif")):
        small, large = (made(original(), f"w=112,q={quality},fm={name}").body for quality in (low, high))
        assert len(small) < len(large)
        expected = resized(112, 75)(np.asarray(whole(), dtype=float))
        off = [np.abs(planes_of_picture(opened(body)) - expected).mean() for body in (small, large)]
        assert off[1] < off[0]


def test_max_bytes_is_kept() -> None:
    assert made(original(), "w=112,max-bytes=3000,fm=jpeg").metadata.bytes <= 3000


@pytest.mark.parametrize(
    ("text", "layers"),
    [("fm=jpeg,q=80", (2, 2)), ("chroma=444,fm=jpeg", (1, 1)), ("chroma=420,q=95,fm=jpeg", (2, 2))],
)
def test_chroma_subsampling(text: str, layers: tuple[int, int]) -> None:
    picture = Image.open(io.BytesIO(made(original(), f"w=112,{text}").body))
    assert picture.layer[0][1:3] == layers  # type: ignore[attr-defined]


def test_progressive_lossless_and_few_colours() -> None:
    assert opened(made(original(), "w=112,prog=1,fm=jpeg").body).info.get("progressive")
    lossless = picture_of(original(), "rect=9:9:80:60,lossless=1,fm=webp").convert("RGB")
    assert np.array_equal(np.asarray(lossless), np.asarray(whole().crop((9, 9, 89, 69))))
    few = picture_of(original(), "w=112,colours=16,fm=png").convert("RGB")
    assert len(np.unique(np.asarray(few).reshape(-1, 3), axis=0)) <= 16
    hard, easy = (made(original(), f"w=112,effort={effort},fm=png").metadata.bytes for effort in (9, 0))
    assert hard < easy


def test_an_optimised_jpeg_is_smaller_and_as_good() -> None:
    expected = resized(112, 75)(np.asarray(whole(), dtype=float))
    usual, slow = (made(original(), f"w=112,{moz}fm=jpeg").body for moz in ("", "moz=1,"))
    assert len(slow) < len(usual)
    off = [np.abs(planes_of_picture(opened(body)) - expected).mean() for body in (usual, slow)]
    assert off[1] <= 1.3 * off[0]


ELSEWHERE = {
    # in test_decode_plan, test_trim, test_steps, test_canvas and test_sizes
    "frame", "frames", "orient", "trim", "trim-bg", "trim-last", "trim-eq", "then", "gy",
    # in test_keep_smaller and test_wide_colour
    "keep-smaller", "colour",
    # those of encoders, above
    "q", "max-bytes", "soft", "prog", "chroma", "moz", "effort", "lossless", "colours", "fm",
}  # fmt: skip


def test_every_parameter_is_covered() -> None:
    here = {pair.partition("=")[0] for text in OPERATIONS for pair in text.split(",")}
    assert here | ELSEWHERE == {row.name for row in PARAMETERS}
    assert not here & ELSEWHERE


def test_all_operations_at_once() -> None:
    """They share one decode, and do not affect each other."""
    texts = [
        f"{text},fm=png"
        for text in OPERATIONS
        if "over" not in text and "w=" not in text and "h=" not in text
    ]
    together = render(original(), [parse(text) for text in texts[-12:]], Limits(), summary=False).renditions
    for text, rendition in zip(texts[-12:], together, strict=True):
        assert rendition.body == made(original(), text).body, text
