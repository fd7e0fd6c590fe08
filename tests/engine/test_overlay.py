"""Image overlays: every blend mode against the W3C's formulas, every position against a paste by NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import pyvips
from drawing import Pixels, animated, corners, encoded, flat, photograph
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.geometry import Size
from image_processor.domain.models import Limits
from image_processor.domain.transformation.overlay import Blend, parse
from image_processor.engine.operations import overlay as overlay_module
from image_processor.engine.operations.overlay import composite, decode_overlay_images, prepare

SIZE = Size(60, 40)
Marks = dict[str, pyvips.Image]


def vips(pixels: Any) -> pyvips.Image:
    return pyvips.Image.new_from_array(np.asarray(pixels, np.uint8)).copy(interpretation="srgb")


def noise(bands: int, width: int, height: int, seed: int = 1) -> Any:
    """All kinds of pixels, including black, white, transparent and opaque ones."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (height, width, bands))
    extremes = random.integers(0, 4, pixels.shape)
    return np.where(extremes == 0, 0, np.where(extremes == 1, 255, pixels)).astype(np.uint8)


def laid(frame: Any, *texts: str, **marks: Any) -> Pixels:
    """The pixels of ``frame`` under the overlays."""
    picture = vips(frame)
    opened = {key: vips(mark) for key, mark in marks.items()}
    result = composite(picture, prepare(map(parse, texts), Size(picture.width, picture.height), opened))
    assert (result.format, result.interpretation, result.bands) == ("uchar", "srgb", picture.bands)
    return result.numpy().astype(np.float64)


def over(frame: Any, source: Any, left: int, top: int, mode: str = "over", opacity: float = 1) -> Pixels:
    """An independent paste: W3C Compositing and Blending Level 1, clipped to the frame."""
    result = np.asarray(frame, np.float64)
    height, width = result.shape[:2]
    rows = np.arange(max(0, top), max(0, min(height, top + source.shape[0])))
    columns = np.arange(max(0, left), max(0, min(width, left + source.shape[1])))
    if rows.size and columns.size:
        taken = source[np.ix_(rows - top, columns - left)].astype(np.float64)
        result[np.ix_(rows, columns)] = reference_blend(result[np.ix_(rows, columns)], taken, mode, opacity)
    return np.rint(result)


def reference_blend(below: Pixels, source: Pixels, mode: str, opacity: float = 1) -> Pixels:
    """The general formula with source-over: co = cs as (1 - ab) + as ab B(cb, cs) + cb ab (1 - as)."""

    def parts(pixels: Pixels) -> tuple[Pixels, Pixels]:
        alpha = pixels[..., 3:] if pixels.shape[-1] == 4 else np.full((*pixels.shape[:-1], 1), 255.0)
        return pixels[..., :3] / 255, alpha / 255

    (cb, ab), (cs, alpha) = parts(below), parts(source)
    alpha = np.rint(alpha * 255 * opacity) / 255
    both = alpha + ab * (1 - alpha)
    premultiplied = alpha * (1 - ab) * cs + alpha * ab * FORMULAS[mode](cb, cs) + (1 - alpha) * ab * cb
    colours = np.divide(premultiplied, both, out=np.zeros_like(premultiplied), where=both > 0)
    return np.concatenate([colours, both], -1)[..., : below.shape[-1]] * 255


def _dodge(cb: Pixels, cs: Pixels) -> Pixels:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(cb == 0, 0, np.where(cs == 1, 1, np.minimum(1, cb / (1 - cs))))


def _burn(cb: Pixels, cs: Pixels) -> Pixels:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(cb == 1, 1, np.where(cs == 0, 0, 1 - np.minimum(1, (1 - cb) / cs)))


def _hard(cb: Pixels, cs: Pixels) -> Pixels:
    return np.where(cs <= 0.5, cb * 2 * cs, cb + (2 * cs - 1) - cb * (2 * cs - 1))


def _soft(cb: Pixels, cs: Pixels) -> Pixels:
    curve = np.where(cb <= 0.25, ((16 * cb - 12) * cb + 4) * cb, np.sqrt(cb))
    return np.where(cs <= 0.5, cb - (1 - 2 * cs) * cb * (1 - cb), cb + (2 * cs - 1) * (curve - cb))


def _lum(colour: Pixels) -> Pixels:
    return colour @ np.array([0.3, 0.59, 0.11])


def _set_lum(colour: Pixels, lum: Pixels) -> Pixels:
    """SetLum and ClipColor of section 10, pixel by pixel."""
    moved = colour + (lum - _lum(colour))[..., None]
    result = moved.copy()
    for index in np.ndindex(moved.shape[:-1]):
        pixel, bright = moved[index], float(_lum(moved[index]))
        least, most = pixel.min(), pixel.max()
        if least < 0:
            pixel = bright + (pixel - bright) * bright / (bright - least)
        if most > 1:
            pixel = bright + (pixel - bright) * (1 - bright) / (most - bright)
        result[index] = pixel
    return result


def _sat(colour: Pixels) -> Pixels:
    return colour.max(-1) - colour.min(-1)


def _set_sat(colour: Pixels, saturation: Pixels) -> Pixels:
    spread = _sat(colour)[..., None]
    share = np.divide(colour - colour.min(-1)[..., None], spread, out=np.zeros_like(colour), where=spread > 0)
    return share * saturation[..., None]


FORMULAS: dict[str, Callable[[Pixels, Pixels], Pixels]] = {
    "hue": lambda cb, cs: _set_lum(_set_sat(cs, _sat(cb)), _lum(cb)),
    "saturation": lambda cb, cs: _set_lum(_set_sat(cb, _sat(cs)), _lum(cb)),
    "colour": lambda cb, cs: _set_lum(cs, _lum(cb)),
    "luminosity": lambda cb, cs: _set_lum(cb, _lum(cs)),
    "over": lambda _cb, cs: cs,
    "multiply": lambda cb, cs: cb * cs,
    "screen": lambda cb, cs: cb + cs - cb * cs,
    "overlay": lambda cb, cs: _hard(cs, cb),
    "darken": np.minimum,
    "lighten": np.maximum,
    "colour-dodge": _dodge,
    "colour-burn": _burn,
    "hard-light": _hard,
    "soft-light": _soft,
    "difference": lambda cb, cs: np.abs(cb - cs),
    "exclusion": lambda cb, cs: cb + cs - 2 * cb * cs,
}


def difference(got: Pixels, wanted: Pixels) -> float:
    """The largest difference, of 255, of premultiplied colours."""
    assert got.shape == wanted.shape
    if got.shape[-1] == 3:
        return float(np.abs(got - wanted).max())
    seen = np.abs(got[..., :3] - wanted[..., :3]) * wanted[..., 3:] / 255
    return float(max(seen.max(), np.abs(got[..., 3] - wanted[..., 3]).max()))


@pytest.mark.parametrize("opacity", [100, 40])
@pytest.mark.parametrize("bands", [3, 4])
@pytest.mark.parametrize("mode", [mode for mode in Blend if mode is not Blend.MASK])
def test_every_blend_mode_follows_the_w3c_formula(mode: Blend, bands: int, opacity: int) -> None:
    frame, mark = noise(bands, 60, 40), noise(4, 60, 40, seed=2)
    got = laid(frame, f"image:mark;blend:{mode};o:{opacity}", mark=mark)
    assert difference(got, over(frame, mark, 0, 0, mode, opacity / 100)) <= 1


@pytest.mark.parametrize("bands", [3, 4])
def test_a_mask_keeps_what_its_luminance_and_alpha_cover(bands: int) -> None:
    frame, mark = noise(bands, 60, 40), noise(4, 30, 20, seed=2)
    picture = vips(frame)
    layers = prepare([parse("image:mark;g:northwest;x:5;blend:mask")], Size(60, 40), {"mark": vips(mark)})
    got = composite(picture, layers).numpy().astype(np.float64)
    share = np.zeros((40, 60))
    share[:20, 5:35] = mark[..., :3] @ np.array([0.2126, 0.7152, 0.0722]) / 255 * mark[..., 3] / 255
    assert np.array_equal(got[..., :3], frame[..., :3])
    opaque = frame[..., 3] if bands == 4 else 255
    assert np.abs(got[..., 3] - share * opaque).max() <= 0.51


def test_an_image_overlay_can_be_cropped_stretched_or_kept_small() -> None:
    halves = np.zeros((20, 20, 4), np.uint8)
    halves[:, :, 3] = 255
    halves[:10, :, 0], halves[10:, :, 2] = 255, 255  # red above blue

    def drawn(text: str) -> tuple[tuple[int, int], set[tuple[int, ...]]]:
        (layer,) = prepare([parse(f"image:mark;{text}")], Size(60, 40), {"mark": vips(halves)})
        image = layer.image
        corners = {tuple(image.getpoint(1, y))[:3:2] for y in (1, image.height - 2)}
        return (image.width, image.height), {tuple(map(int, corner)) for corner in corners}

    red, blue = (255, 0), (0, 255)
    assert drawn("w:40;h:10") == ((10, 10), {red, blue})
    assert drawn("w:40;h:10;fit:fill") == ((40, 10), {red, blue})
    assert drawn("w:40;h:10;fit:cover;crop:north") == ((40, 10), {red})
    assert drawn("w:40;h:10;fit:cover;crop:south") == ((40, 10), {blue})
    assert drawn("w:40;h:40;fit:scale-down")[0] == (20, 20)
    assert drawn("w:40;h:40")[0] == (40, 40)
    assert drawn("zoom:0.5")[0] == (10, 10)
    assert drawn("zoom:100")[0] == (40, 40)


def test_every_pair_of_opaque_values_blends_within_half_a_step() -> None:
    """Rounded, not truncated; exhaustive for the formula with every kind of branch."""
    frame = np.repeat(np.arange(256)[:, None, None], 256, 1).repeat(3, 2).astype(np.uint8)
    mark = frame.transpose(1, 0, 2)
    for mode in ("soft-light", "colour-dodge", "colour-burn"):
        got = laid(frame, f"image:mark;blend:{mode}", mark=mark)
        exact = FORMULAS[mode](frame / 255, mark / 255) * 255
        assert np.abs(got - exact).max() <= 0.501, mode


PLACES = {
    "northwest": (0, 0),
    "north": (25, 0),
    "northeast": (50, 0),
    "west": (0, 17),
    "centre": (25, 17),
    "east": (50, 17),
    "southwest": (0, 34),
    "south": (25, 34),
    "southeast": (50, 34),
}
MARK = noise(4, 10, 6, seed=3)


@pytest.mark.parametrize("gravity", PLACES)
def test_gravity_positions_an_overlay(gravity: str) -> None:
    frame = noise(3, 60, 40)
    assert (
        difference(laid(frame, f"image:mark;g:{gravity}", mark=MARK), over(frame, MARK, *PLACES[gravity]))
        <= 1
    )


@pytest.mark.parametrize("gravity", PLACES)
@pytest.mark.parametrize(("x", "y"), [(3, 5), (-4, -2), (-60, 0), (30, -38)])
def test_offsets_point_inwards_and_may_leave_the_image(gravity: str, x: int, y: int) -> None:
    frame = noise(4, 60, 40)
    left, top = PLACES[gravity]
    left += -x if "east" in gravity else x
    top += -y if "south" in gravity else y
    got = laid(frame, f"image:mark;g:{gravity};x:{x};y:{y}", mark=MARK)
    assert difference(got, over(frame, MARK, left, top)) <= 1


def test_relative_offsets() -> None:
    frame = noise(3, 60, 40)
    got = laid(frame, "image:mark;g:southeast;x:0.1;y:-0.05", mark=MARK)
    assert difference(got, over(frame, MARK, 60 - 10 - 6, 40 - 6 + 2)) <= 1


@pytest.mark.parametrize("text", ["image:mark;x:200", "image:mark;g:north;y:-6", "image:mark;o:0"])
def test_invisible_overlays_have_no_layer(text: str) -> None:
    assert prepare([parse(text)], SIZE, {"mark": vips(MARK)}) == ()


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("image:mark", (20, 10)),
        ("image:mark;w:0.5", (30, 15)),
        ("image:mark;w:10", (10, 5)),
        ("image:mark;h:0.5", (40, 20)),
        ("image:mark;h:3", (6, 3)),
        ("image:mark;w:0.5;h:5", (10, 5)),
        ("image:mark;w:5;h:1.0", (5, 3)),
        ("image:mark;w:500", (60, 30)),
        ("image:mark;w:0.001", (1, 1)),
        ("image:wide", (60, 1)),
        ("image:high", (1, 40)),
        ("image:mark;rotate:90", (10, 20)),
        ("image:mark;rotate:270;w:0.5", (15, 30)),
    ],
)
def test_an_overlay_image_keeps_its_proportions(text: str, size: tuple[int, int]) -> None:
    marks = {"mark": noise(3, 20, 10), "wide": noise(3, 240, 2), "high": noise(3, 2, 400)}
    (layer,) = prepare([parse(text)], SIZE, {key: vips(mark) for key, mark in marks.items()})
    assert (layer.image.width, layer.image.height) == size


def test_a_scaled_overlay_image_equals_an_independent_lanczos() -> None:
    photo = photograph().crop((0, 0, 400, 300))
    got = laid(np.zeros((300, 400, 3)), "image:mark;w:0.5;g:northwest", mark=np.asarray(photo))
    expected = np.asarray(photo.resize((200, 150), Image.Resampling.LANCZOS), np.float64)
    assert np.abs(got[:150, :200] - expected).mean() < 1
    assert got[150:].max() == got[:, 200:].max() == 0


def test_transparent_pixels_of_an_overlay_do_not_bleed() -> None:
    mark = np.zeros((40, 40, 4), np.uint8)
    mark[..., 0] = 255  # red, but transparent
    mark[10:30, 10:30] = (0, 0, 255, 255)
    for text in ("image:mark;w:15", "image:mark;rotate:30"):
        assert laid(np.zeros((60, 60, 3)), text, mark=mark)[..., 0].max() <= 1


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_quarter_turn_is_exact_and_clockwise(quarters: int) -> None:
    frame = noise(3, 60, 40)
    turned = np.rot90(MARK, -quarters)
    got = laid(frame, f"image:mark;g:northwest;rotate:{90 * quarters}", mark=MARK)
    assert difference(got, over(frame, turned, 0, 0)) <= 1


def test_other_rotations_agree_with_pillow() -> None:
    photo = photograph().crop((0, 0, 120, 90)).convert("RGBA")
    got = laid(np.zeros((200, 200, 3)), "image:mark;rotate:30", mark=np.asarray(photo))
    turned = photo.rotate(-30, Image.Resampling.BICUBIC, expand=True)
    black = Image.new("RGBA", (200, 200), "black")
    black.alpha_composite(turned, ((200 - turned.width) // 2, (200 - turned.height) // 2))
    expected = np.asarray(black.convert("RGB"), np.float64)
    # The two may be half a pixel apart.
    assert np.abs(got - expected).mean() < 4
    assert np.abs(got - np.rot90(expected, 1)).mean() > 20


@pytest.mark.parametrize("text", ["image:mark;rotate:30", "image:mark;w:25"])
def test_rotation_premultiplies_colours(text: str) -> None:
    """On black, flattening before the rotation gives the same result."""
    mark = noise(4, 40, 30).repeat(4, 0).repeat(4, 1)[:30, :40]
    before = np.rint(mark[..., :3].astype(float) * mark[..., 3:] / 255)
    black = np.zeros((60, 60, 3))
    got, expected = laid(black, text, mark=mark), laid(black, text, mark=before)
    assert np.abs(got - expected).mean() < 1
    assert np.abs(got - expected).max() < 60  # where the kernel overshoots and is clipped


def test_a_rotated_overlay_touches_its_corner() -> None:
    """Gravity refers to the bounding box after the rotation."""
    got = laid(np.zeros((100, 100, 3)), "image:mark;g:southeast;rotate:45", mark=np.full((30, 40, 3), 255))
    rows, columns = np.nonzero(got[..., 0] > 128)
    assert rows.max() >= 97
    assert columns.max() >= 97


@pytest.mark.parametrize("gravity", ["northwest", "centre", "southeast"])
@pytest.mark.parametrize(("gap", "across", "down"), [("0", 0, 0), ("7", 7, 7), ("0.1", 6, 4)])
def test_tiles_start_at_the_position_of_one(gravity: str, gap: str, across: int, down: int) -> None:
    frame = noise(4, 60, 40)
    expected = frame.astype(np.float64)
    left, top = PLACES[gravity]
    for row in range(-9, 9):
        for column in range(-9, 9):
            expected = over(expected, MARK, left + column * (10 + across), top + row * (6 + down))
    assert difference(laid(frame, f"image:mark;g:{gravity};tile:1;gap:{gap}", mark=MARK), expected) <= 1


def test_a_tile_may_begin_outside() -> None:
    frame = noise(3, 60, 40)
    one = laid(frame, "image:mark;g:northwest;x:-3;y:-100;tile:1", mark=MARK)
    other = laid(frame, "image:mark;g:northwest;x:7;y:2;tile:1", mark=MARK)
    assert (one == other).all()


def test_overlays_are_drawn_in_order() -> None:
    frame = noise(3, 60, 40)
    red, blue = np.full((6, 10, 3), (255, 0, 0)), np.full((6, 10, 3), (0, 0, 255))
    for first, second, top in (("red", "blue", blue), ("blue", "red", red)):
        got = laid(frame, f"image:{first}", f"image:{second};x:5", red=red, blue=blue)
        assert (got[17:23, 30:40] == top[:, :10]).all()
        assert (got[17:23, 25:30] == (red if first == "red" else blue)[:, :5]).all()


@pytest.mark.parametrize("bands", [3, 4])
def test_without_overlays_a_frame_is_unchanged(bands: int) -> None:
    frame = vips(noise(bands, 60, 40))
    assert composite(frame, prepare([], SIZE, {})) is frame


@pytest.mark.parametrize("bands", [3, 4])
def test_pixels_around_an_overlay_do_not_change(bands: int) -> None:
    frame = noise(bands, 60, 40)
    got = laid(frame, "image:mark;blend:difference", mark=MARK)
    outside = np.ones((40, 60), bool)
    outside[17:23, 25:35] = False
    assert (got[outside] == frame[outside]).all()
    assert (got[~outside] != frame[~outside]).any()


@given(st.integers(-80, 80), st.integers(-80, 80), st.sampled_from(sorted(PLACES)), st.integers(0, 359))
def test_layers_are_inside_the_rendition(x: int, y: int, gravity: str, turn: int) -> None:
    for layer in prepare(
        [parse(f"image:mark;g:{gravity};x:{x};y:{y};rotate:{turn}")], SIZE, {"mark": vips(MARK)}
    ):
        assert layer.left >= 0
        assert layer.top >= 0
        assert layer.left + layer.image.width <= SIZE.width
        assert layer.top + layer.image.height <= SIZE.height


def test_an_overlay_is_prepared_once_for_all_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers are in memory: frames do not scale, rotate or repeat them again."""
    scaled: list[Size] = []
    resize = overlay_module.pixels.resize

    def counted(picture: pyvips.Image, size: Size) -> pyvips.Image:
        scaled.append(size)
        return resize(picture, size)

    monkeypatch.setattr(overlay_module.pixels, "resize", counted)
    prepared = prepare([parse("image:mark;w:0.5;o:50")], SIZE, {"mark": vips(MARK)})
    frames = [noise(3, 60, 40, seed) for seed in range(3)]
    source = prepared[0].image.numpy()
    for frame in frames:
        got = composite(vips(frame), prepared).numpy().astype(np.float64)
        assert difference(got, over(frame, source, prepared[0].left, prepared[0].top)) <= 1
    assert len(scaled) == 1


def opened(body: bytes) -> pyvips.Image:
    return decode_overlay_images({"mark": body}, Limits())["mark"]


@pytest.mark.parametrize("format_name", ["png", "webp", "gif", "jpeg", "tiff", "avif"])
def test_overlay_images_of_every_format(format_name: str) -> None:
    mark = opened(encoded(corners(), format_name))
    assert (mark.width, mark.height, mark.bands, mark.format) == (48, 32, 3, "uchar")
    assert np.abs(mark.numpy().astype(float) - np.asarray(corners(), float)).mean() < 8


def test_opaque_alpha_of_an_overlay_image_is_dropped() -> None:
    pixels = noise(4, 20, 10)
    assert (opened(encoded(Image.fromarray(pixels))).numpy() == pixels).all()
    assert opened(encoded(flat((1, 2, 3, 255), "RGBA"))).bands == 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_overlay_image_is_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    body = encoded(corners(), "jpeg", quality=95, subsampling=0, exif=exif)
    upright = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }[orientation]
    expected = corners() if upright is None else corners().transpose(upright)
    got = opened(body)
    assert (got.width, got.height) == expected.size
    assert np.abs(got.numpy().astype(float) - np.asarray(expected, float)).mean() < 4


def test_an_animated_overlay_image_shows_its_first_frame() -> None:
    frames = [flat(colour, size=(20, 10)) for colour in ("red", "blue")]
    mark = opened(animated(frames, "gif", [50, 50]))
    assert (mark.width, mark.height) == (20, 10)
    assert tuple(mark(5, 5))[:3] == (255, 0, 0)


def test_a_grey_or_deep_overlay_image_becomes_srgb() -> None:
    assert opened(encoded(flat(200, "L"))).numpy()[0, 0].tolist() == [200, 200, 200]
    deep = Image.fromarray(np.full((9, 9), 200 * 257, np.uint16))
    assert opened(encoded(deep)).numpy()[0, 0].tolist() == [200, 200, 200]


def test_a_huge_overlay_image_is_scaled_down() -> None:
    mark = opened(encoded(flat((1, 2, 3), size=(9000, 3))))
    assert (mark.width, mark.height) == (4096, 1)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "(empty) in 'logos/mark.png'"),
        (b"nonsense", "(not-an-image) in 'logos/mark.png'"),
        (encoded(flat("red"), "jpeg")[:600], "(truncated) in 'logos/mark.png'"),
        (encoded(photograph()), "(too-many-pixels) in 'logos/mark.png'"),
    ],
)
def test_a_refused_overlay_image_is_named(body: bytes, message: str) -> None:
    with pytest.raises(Refused) as caught:
        decode_overlay_images({"logos/mark.png": body}, Limits(max_pixels=2000))
    assert caught.value.reason is Reason.OVERLAY_REFUSED
    assert caught.value.message.startswith("expected ")
    assert caught.value.message.endswith(message)


def test_a_missing_overlay_image_is_named() -> None:
    with pytest.raises(Refused) as caught:
        prepare([parse("image:logos~2fmark.png")], SIZE, {})
    assert caught.value.reason is Reason.OVERLAY_MISSING
    assert caught.value.message == "expected an image to lay over, got none at 'logos/mark.png'"
