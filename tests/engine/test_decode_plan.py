"""Decode plans: frames, trim, region, orientation and rotation, end to end against Pillow and NumPy."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from drawing import (
    Pixels,
    animated,
    as_floats,
    corners,
    encoded,
    flat,
    made,
    mean_difference,
    opened,
    photograph,
    picture_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageOps, ImageSequence
from skimage import transform

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.geometry import Box, Size, tilted
from image_processor.domain.models import Limits
from image_processor.domain.transformation import parse
from image_processor.engine import pyramid
from image_processor.engine.codecs.probe import probe
from image_processor.engine.operations.decode_plan import SourceSelection, plan_decode, source_selection
from image_processor.engine.render import render

EXIF_ORIENTATION = 0x0112
ORIENTATIONS = range(1, 9)
SHRUNK = 3.5
"""Of 255, the mean: what the decoders that shrink, with a box, differ from Pillow's Lanczos."""


def oriented(picture: Image.Image, orientation: int, format_name: str = "png", **options: Any) -> bytes:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    return encoded(picture, format_name, exif=exif, **options)


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.size == other.size and np.array_equal(np.asarray(one), np.asarray(other))


def upright(data: bytes) -> Image.Image:
    return ImageOps.exif_transpose(opened(data))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("rect=10:20:30:8", lambda *_: (10, 20, 40, 28)),
        ("rect=0.25:0.5:0.5:0.25", lambda w, h: (w // 4, h // 2, w // 4 + w // 2, h // 2 + h // 4)),
        ("rect=5:0.5:100000:1.0", lambda w, h: (5, h // 2, w, h)),
        ("rect=7:7:0.001:1", lambda *_: (7, 7, 8, 8)),
    ],
)
def test_a_region_is_relative_to_the_upright_image(text: str, box: Any, orientation: int) -> None:
    data = oriented(photograph().crop((100, 40, 180, 88)), orientation)
    whole = upright(data)
    assert same(picture_of(data, f"{text},fm=png"), whole.crop(box(*whole.size)))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("width", [20, 47, 110])
def test_a_region_of_a_jpeg_that_shrinks_while_it_is_decoded(width: int, orientation: int) -> None:
    data = oriented(photograph(), orientation, "jpeg", quality=95)
    whole = upright(data)
    part = whole.crop((16, 40, 16 + 232, 40 + 240))
    got = picture_of(data, f"rect=16:40:232:240,w={width},fm=png")
    assert mean_difference(got, part.resize(got.size, Image.Resampling.LANCZOS)) <= SHRUNK


@pytest.mark.parametrize("format_name", ["png", "webp", "tiff", "jpeg"])
@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("rect=48:32:256:160,w=32", (48, 32, 256, 160)),
        ("rect=49:31:255:161,w=32", (49, 31, 255, 161)),
        ("rect=0.5:0.5:0.5:0.5,w=28", (224, 150, 224, 150)),
    ],
)
def test_a_region_at_a_small_size(format_name: str, text: str, box: tuple[int, int, int, int]) -> None:
    options = {} if format_name == "png" else {"quality": 95}
    data = encoded(photograph().crop((0, 0, 448, 300)), format_name, **options)
    left, top, width, height = box
    part = opened(data).convert("RGB").crop((left, top, left + width, top + height))
    got = picture_of(data, f"{text},fm=png")
    assert mean_difference(got, part.resize(got.size, Image.Resampling.LANCZOS)) <= SHRUNK


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("text", ["w=100", "w=30", "w=50,h=50,fit=cover,rect=40:40:360:360"])
def test_transparent_pixels_darken_no_edge_of_a_webp(text: str, *, lossless: bool) -> None:
    """All that is visible is white; libwebp would mix in transparent black while it shrinks."""
    picture = Image.new("RGBA", (400, 400), (0, 0, 0, 0))
    ImageDraw.Draw(picture).ellipse((60, 60, 340, 340), fill=(255, 255, 255, 255))
    data = encoded(picture, "webp", lossless=lossless, quality=95, exact=True)
    shown = picture_of(data, f"{text},fm=png")
    over_white = Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown)
    assert np.asarray(over_white).min() > 245


@pytest.mark.parametrize("width", [3, 7, 15])
@pytest.mark.parametrize("format_name", ["jpeg", "webp", "png"])
def test_a_region_of_a_tiny_picture(format_name: str, width: int) -> None:
    """A decoder that shrinks 3 pixels by 2 returns one or two: neither shows the factor."""
    got = picture_of(encoded(flat("white", size=(width, width)), format_name), "rect=0:0:2:2,w=1,fm=png")
    assert (got.size, got.getpixel((0, 0))) == ((1, 1), (255, 255, 255))


@pytest.mark.parametrize("side", [1, 2, 3])
@pytest.mark.parametrize("text", ["rect=0.5:0.5:0.5:0.5", "rect=0.99:0.99:0.01:1.0", "rect=0.999:0:1.0:1.0"])
def test_fractions_below_one_lie_within_every_picture(text: str, side: int) -> None:
    got = picture_of(encoded(flat("red", size=(side, side))), f"{text},fm=png")
    assert got.width == 1 or (side == 3 and text.startswith("rect=0.5"))
    assert got.getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("text", ["rect=80:0:1:1", "rect=0:48:9:9", "rect=1.0:0:0.5:0.5"])
def test_a_region_beyond_the_picture_is_refused(text: str) -> None:
    with pytest.raises(Refused) as caught:
        picture_of(encoded(corners(80, 48)), f"{text},fm=png")
    assert caught.value.reason is Reason.REGION_OUTSIDE
    assert caught.value.message.startswith("expected a region within 80 x 48 pixels, got ")
    assert caught.value.message.endswith(text.removeprefix("rect="))


@pytest.mark.parametrize("orientation", [1, 2, 6, 7])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270, -90, 360])
@pytest.mark.parametrize("flip", ["", "h", "v", "hv"])
def test_quarter_turns_and_flips_are_exact(degrees: int, flip: str, orientation: int) -> None:
    data = oriented(photograph().crop((0, 0, 40, 30)), orientation)
    expected = upright(data).rotate(-degrees, expand=True)
    expected = ImageOps.mirror(expected) if "h" in flip else expected
    expected = ImageOps.flip(expected) if "v" in flip else expected
    text = f"rot={degrees}," + (f"flip={flip}," if flip else "")
    assert same(picture_of(data, f"{text}fm=png"), expected)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_orientation_can_be_left_alone(orientation: int) -> None:
    stored = photograph().crop((0, 0, 40, 30))
    data = oriented(stored, orientation)
    assert same(picture_of(data, "orient=0,fm=png"), stored)
    assert same(
        picture_of(data, "orient=0,rect=3:4:20:10,rot=90,fm=png"),
        stored.crop((3, 4, 23, 14)).rotate(-90, expand=True),
    )


def tilted_by_skimage(picture: Image.Image, degrees: float) -> Pixels:
    """Around the centre, clockwise, in the canvas that `geometry.tilted` gives: premultiplied floats."""
    size = tilted(Size(*picture.size), degrees)
    to_middle = transform.AffineTransform(translation=(0.5 - size.width / 2, 0.5 - size.height / 2))
    back = transform.AffineTransform(rotation=-np.radians(degrees))
    from_middle = transform.AffineTransform(translation=((picture.width - 1) / 2, (picture.height - 1) / 2))
    shape = (size.height, size.width)
    # Both are Catmull-Rom's cubic; that of Pillow's `rotate` is sharper.
    planes = transform.warp(
        seen(picture), (to_middle + back + from_middle).params, output_shape=shape, order=3, clip=False
    )
    return np.clip(planes, 0, 255)


def seen(picture: Image.Image) -> Pixels:
    planes = as_floats(picture.convert("RGBA"))
    planes[..., :3] *= planes[..., 3:] / 255
    return planes


@pytest.mark.parametrize("degrees", [0.5, 10, 30, 45, 77.7, 120, 200, 330])
def test_fine_rotation_equals_skimage(degrees: float) -> None:
    picture = photograph().crop((100, 40, 220, 120))
    got = picture_of(encoded(picture), f"rot={degrees},fm=png")
    size = tilted(Size(*picture.size), degrees)
    assert (got.size, got.mode) == ((size.width, size.height), "RGBA")
    # libvips positions pixels to 1/64.
    difference = np.abs(seen(got) - tilted_by_skimage(picture, degrees))
    assert difference.mean() <= 1
    assert np.quantile(difference, 0.99) <= 8


def test_fine_rotation_applies_alpha_once() -> None:
    """Half transparent white stays white and half transparent up to its edge."""
    got = as_floats(picture_of(encoded(flat((255, 255, 255, 128), "RGBA", (60, 40))), "rot=30,fm=png"))
    assert got[got[..., 3] > 8][:, :3].min() >= 250
    assert np.abs(got[25:40, 25:47, 3] - 128).max() <= 1
    assert got[0, 0, 3] == got[-1, -1, 3] == 0


def test_fine_rotation_antialiases_edges() -> None:
    got = as_floats(picture_of(encoded(flat("red", size=(60, 40))), "rot=20,fm=png"))
    assert abs(got[..., 3].sum() / 255 - 60 * 40) <= 12
    assert len(np.unique(got[..., 3])) > 20
    assert np.array_equal(np.unique(got[got[..., 3] > 0][:, :3], axis=0), [[255, 0, 0]])


@pytest.mark.parametrize(
    ("text", "ground"), [("fm=jpeg", (255, 255, 255)), ("bg=0000ff,fm=png", (0, 0, 255))]
)
def test_corners_of_fine_rotation_take_the_background(text: str, ground: tuple[int, int, int]) -> None:
    got = picture_of(encoded(flat("red", size=(64, 64))), f"rot=45,{text}")
    assert got.mode == "RGB"
    assert np.abs(np.subtract(got.getpixel((1, 1)), ground)).max() <= 4


@pytest.mark.parametrize(
    "text", ["w=60", "h=31", "w=40,h=40,fit=fill", "w=200,h=30,fit=fill", "w=50,h=50", "w=300,enlarge=1"]
)
def test_fine_rotation_then_resize(text: str) -> None:
    """Rotated at its level's size or resized afterwards: the same image, except for a fraction of a pixel by
    which a crop may be off."""
    picture = photograph().crop((100, 40, 220, 120))
    large = picture_of(encoded(picture), "rot=25,fm=png")
    expected = picture_of(encoded(large), f"{text},fm=png")
    got = picture_of(encoded(picture), f"rot=25,{text},fm=png")
    assert got.size == expected.size
    assert np.abs(seen(got) - seen(expected)).mean() <= 2.75


# Trim ---------------------------------------------------------------------------------------------


def framed(inside: Image.Image, border: Any, sides: tuple[int, int, int, int]) -> Image.Image:
    left, top, right, bottom = sides
    around = Image.new(inside.mode, (inside.width + left + right, inside.height + top + bottom), border)
    around.paste(inside, (left, top))
    return around


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_trim_removes_the_border(orientation: int) -> None:
    data = oriented(framed(corners(40, 24), "white", (3, 5, 7, 11)), orientation)
    got = picture_of(data, "trim=10,fm=png")
    assert same(got, upright(oriented(corners(40, 24), orientation)))
    assert same(picture_of(data, "trim=10,rect=4:6:10:8,fm=png"), got.crop((4, 6, 14, 14)))
    assert same(picture_of(data, "trim=10,rot=90,fm=png"), got.rotate(-90, expand=True))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("trim=0", (20, 20)),
        ("trim=4", (20, 20)),
        ("trim=5", (10, 10)),
        ("trim=255", (20, 20)),
        ("trim=5,trim-bg=ff0000", (20, 20)),
    ],
)
def test_trim_tolerance(text: str, size: tuple[int, int]) -> None:
    """A red square in a border that differs by 5 from its corner; an image of only border is kept whole."""
    picture = framed(flat("red", size=(10, 10)), (200, 200, 200), (5, 5, 5, 5))
    picture.putpixel((19, 0), (205, 200, 200))
    picture.putpixel((0, 19), (200, 200, 195))
    assert picture_of(encoded(picture), f"{text},fm=png").size == size


def test_transparent_pixels_are_border() -> None:
    picture = framed(flat((9, 9, 9, 1), "RGBA", (12, 8)), (9, 9, 9, 0), (2, 3, 4, 5))
    assert picture_of(encoded(picture), "trim=255,fm=png").size == (12, 8)


sides = st.integers(1, 8)


@given(st.integers(0, 2**32 - 1), sides, sides, st.integers(0, 3), st.sampled_from([3, 4]))
@settings(max_examples=40, deadline=None)
def test_trim_equals_numpy(seed: int, width: int, height: int, tolerance: int, bands: int) -> None:
    random = np.random.default_rng(seed)
    planes = np.full((height, width, bands), 100)
    for _ in range(random.integers(0, 4)):
        planes[random.integers(height), random.integers(width), random.integers(3)] += random.integers(-4, 5)
    if bands == 4:
        planes[..., 3] = random.choice([0, 0, 200], (height, width))
    corner = planes[0, 0]
    far = (np.abs(planes[..., :3] - corner[:3]) > tolerance).any(axis=2)
    visible = planes[..., 3] > 0 if bands == 4 else np.ones_like(far)
    inside = visible if bands == 4 and corner[3] == 0 else far & visible
    rows, columns = np.nonzero(inside)
    expected = Box(0, 0, width, height)
    if len(rows):
        left, top = int(columns.min()), int(rows.min())
        expected = Box(left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1)
    data = encoded(Image.fromarray(planes.astype("uint8")))
    assert plan_decode(data, probe(data, Limits()), SourceSelection(trim=tolerance), Limits()).box == expected


# Frames -------------------------------------------------------------------------------------------

COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)]
DELAYS = [100, 200, 300, 400]


def moving(format_name: str) -> bytes:
    options = {"lossless": True} if format_name == "webp" else {}
    return animated([flat(colour, size=(24, 16)) for colour in COLOURS], format_name, DELAYS, **options)


def frames_and_delays(body: bytes) -> tuple[list[tuple[int, ...]], list[int]]:
    picture = Image.open(io.BytesIO(body))
    shown, delays = [], []
    for frame in ImageSequence.Iterator(picture):
        shown.append(frame.convert("RGB").getpixel((5, 5)))
        delays.append(int(frame.info["duration"]))
    return shown, delays


def near_colours(got: list[tuple[int, ...]], wanted: list[tuple[int, int, int]]) -> bool:
    return len(got) == len(wanted) and bool(np.abs(np.subtract(got, wanted)).max() <= 6)


@pytest.mark.parametrize("source", ["gif", "webp"])
@pytest.mark.parametrize(("text", "count"), [("", 4), ("frames=2,", 2), ("frames=4,", 4), ("frames=99,", 4)])
def test_the_first_frames_with_their_delays(source: str, text: str, count: int) -> None:
    shown, delays = frames_and_delays(made(moving(source), f"{text}fm=gif").body)
    assert near_colours(shown, COLOURS[:count])
    assert delays == DELAYS[:count]


@pytest.mark.parametrize("source", ["gif", "webp"])
@pytest.mark.parametrize(("frame", "index"), [(1, 0), (3, 2), (4, 3), (5, 3), (9999, 3)])
@pytest.mark.parametrize("format_name", ["png", "gif"])
def test_one_frame_or_the_last(source: str, frame: int, index: int, format_name: str) -> None:
    rendition = made(moving(source), f"frame={frame},fm={format_name}")
    assert rendition.metadata.frames == 1
    assert near_colours([opened(rendition.body).convert("RGB").getpixel((5, 5))], [COLOURS[index]])


@pytest.mark.parametrize(("page", "index"), [(1, 0), (2, 1), (3, 2), (4, 2)])
def test_pages_of_a_tiff_have_their_own_sizes(page: int, index: int) -> None:
    pages = [flat(colour, size=(20 + 10 * at, 16)) for at, colour in enumerate(COLOURS[:3])]
    data = encoded(pages[0], "tiff", save_all=True, append_images=pages[1:])
    assert same(picture_of(data, f"frame={page},fm=png"), pages[index])
    assert picture_of(data, f"frame={page},rect=0.5:0.0:0.5:1.0,fm=png").size == (10 + 5 * index, 16)


# No opaque frame in a transparent border: libwebp would store it without alpha.
ANIMATED_STEPS = [
    "trim=5",
    "rect=2:2:20:12",
    "rot=90",
    "rot=33",
    "flip=h",
    "w=12",
    "w=12,h=12",
    "w=12,h=12,g=entropy",
    "w=12,h=12,g=attention",
    "w=30,h=30,fit=contain,bg=00ff00",
    "w=30,h=30,fit=contain,edge=blur",
    "linear=1,w=12",
    "norm=1",
    "equal=1",
    "gam=2",
    "bri=10",
    "con=10",
    "sat=-10",
    "hue=90",
    "grey=1",
    "sepia=50",
    "tint=ff8800",
    "duo=000000:ffffff",
    "neg=1",
    "median=3",
    "blur=1",
    "sharp=1",
    "conv=0:0:0:0:1:0:0:0:0",
    "px=4",
    "over=text:Hi",
    "round=4",
    "ellipse=1",
    "op=50",
    "pad=2:4,bg=00ff00",
    "pad=3,edge=mirror",
    "bg=ff0000",
]


@pytest.mark.parametrize("text", ANIMATED_STEPS)
def test_operations_on_animations_equal_those_on_each_frame(text: str) -> None:
    """`norm` and `equal` share one table, and do not change flat frames."""
    frames = [ImageOps.expand(flat(colour, size=(20, 12)), 2, "white") for colour in COLOURS[:3]]
    data = animated(frames, "webp", DELAYS[:3], lossless=True)
    rendition = made(data, f"{text},lossless=1,fm=webp")
    assert rendition.metadata.frames == 3
    got = [frame.convert("RGBA") for frame in ImageSequence.Iterator(Image.open(io.BytesIO(rendition.body)))]
    assert len(got) == 3
    if text in {"norm=1", "equal=1"}:
        assert not same(got[0], got[1])
        return
    for index, frame in enumerate(got):
        if text.endswith(("g=entropy", "g=attention")):
            continue
        alone = picture_of(data, f"frame={index + 1},{text},fm=png").convert("RGBA")
        assert np.abs(seen(frame) - seen(alone)).max() <= 2


EVERYTHING = (
    "frames=3,trim=5,rect=1:1:18:10,rot=20,flip=v,w=20,h=16,fit=contain,linear=1,norm=1,equal=1,gam=1.2,bri=5,"
    "con=5,sat=5,hue=20,sepia=10,tint=ff8800,duo=000000:ffffff,neg=1,median=3,blur=0.5,sharp=1,"
    "conv=0:0:0:0:1:0:0:0:0,px=2,over=text:Hi,round=3,op=90,pad=2:4,edge=mirror,grey=1,enlarge=1,"
)


@pytest.mark.parametrize("format_name", ["gif", "webp"])
def test_an_animation_through_every_operation(format_name: str) -> None:
    frames = [ImageOps.expand(flat(colour, size=(20, 12)), 2, "white") for colour in COLOURS]
    rendition = made(animated(frames, "gif", DELAYS), f"{EVERYTHING}fm={format_name}")
    facts = rendition.metadata
    assert (facts.frames, facts.width, facts.height) == (3, 20 + 8, 16 + 4)
    assert frames_and_delays(rendition.body)[1] == DELAYS[:3]


# Sharing ------------------------------------------------------------------------------------------


def test_equal_selections_share_one_decode(monkeypatch: pytest.MonkeyPatch) -> None:
    opened_with: list[Any] = []
    original = pyramid.open_original

    def counted(*given: Any, **named: Any) -> Any:
        opened_with.append(named)
        return original(*given, **named)

    monkeypatch.setattr(pyramid, "open_original", counted)
    data = encoded(photograph())
    sizes = ("w=50,fm=png", "w=30,grey=1,fm=jpeg", "h=20,fm=webp")
    texts = [f"rect=0:0:200:100,{size}" for size in sizes]
    render(data, [parse(text) for text in texts], Limits(), summary=False)
    assert len(opened_with) == 1
    render(data, [parse("w=40,fm=png"), *map(parse, texts)], Limits(), summary=True)
    assert len(opened_with) == 1 + 2


@pytest.mark.parametrize("text", ["rect=0:0:10:10", "rot=90", "rot=20", "flip=h", "orient=0", "trim=3"])
def test_a_summary_describes_the_whole_image(text: str) -> None:
    data = oriented(framed(corners(90, 60), "white", (9, 9, 9, 9)), 6)
    alone = render(data, [], Limits()).summary
    assert alone is not None
    assert render(data, [parse(f"{text},fm=png")], Limits()).summary == alone


def test_renditions_made_together_equal_those_made_alone() -> None:
    data = oriented(photograph(), 6, "jpeg", quality=90)
    texts = [
        "w=64,fm=png",
        "rect=0.25:0.25:0.5:0.5,w=64,fm=png",
        "rot=90,w=64,fm=png",
        "flip=v,h=64,fm=png",
        "rot=12,w=64,fm=png",
    ]
    together = render(data, [parse(text) for text in texts], Limits()).renditions
    for text, rendition in zip(texts, together, strict=True):
        # The summary needs a level too, which may limit shrink-on-load.
        assert mean_difference(opened(rendition.body), picture_of(data, text)) <= SHRUNK


def test_a_selection_excludes_sizes() -> None:
    one, other = parse("rect=0:0:9:9,rot=20,w=40,grey=1,fm=png"), parse("rect=0:0:9:9,rot=20,h=7,fm=jpeg")
    assert source_selection(one) == source_selection(other)
    assert source_selection(one) != source_selection(parse("rect=0:0:9:9,rot=21,fm=png"))
