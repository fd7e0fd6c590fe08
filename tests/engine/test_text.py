"""Text overlays as pixels: position, lines, colours, and escaped markup."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from drawing import Pixels
from scipy.ndimage import distance_transform_edt, gaussian_filter

from image_processor.domain.errors import InvalidSettings, Reason, Refused
from image_processor.domain.geometry import Size
from image_processor.domain.transformation.overlay import Align, TextOverlay
from image_processor.domain.transformation.values import Colour, Gravity, RelativeLength
from image_processor.engine.operations import text as text_module
from image_processor.engine.operations.fonts import SUFFIXES, use_fonts
from image_processor.engine.operations.overlay import composite, prepare
from image_processor.engine.operations.text import render_text

SIZE = Size(300, 200)
BLACK, RED = Colour(0, 0, 0), Colour(255, 0, 0)
SENTENCE = "The quick brown fox jumps over the lazy dog"

pytestmark = pytest.mark.skipif(
    not text_module._has_font() and os.environ.get("CI") != "true",  # in CI missing fonts are a failure
    reason="NO FONT ON THIS MACHINE: install one, such as fonts-dejavu-core",
)


def laid(*overlays: TextOverlay, size: Size = SIZE, ground: int = 0) -> Pixels:
    """The overlays on a uniform grey."""
    frame = pyvips.Image.black(size.width, size.height, bands=3) + ground
    picture = frame.cast("uchar").copy(interpretation="srgb")
    return composite(picture, prepare(overlays, size, {})).numpy().astype(np.float64)


def text(words: str, size: int | RelativeLength = 30, **fields: Any) -> TextOverlay:
    return TextOverlay(text=words, size=size, **fields)


def ink(pixels: Pixels) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the pixels that are not black."""
    rows, columns = np.nonzero(pixels.max(axis=2) > 40)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def lines(pixels: Pixels) -> list[tuple[int, int]]:
    """Left and right end of every line of text, from top to bottom."""
    seen = pixels.max(axis=2) > 40
    edges = np.flatnonzero(np.diff(np.concatenate([[0], seen.any(axis=1).astype(int), [0]])))
    bands = [seen[top:bottom].any(axis=0) for top, bottom in edges.reshape(-1, 2)]
    return [(int(np.flatnonzero(band)[0]), int(np.flatnonzero(band)[-1]) + 1) for band in bands]


@pytest.mark.parametrize(
    ("gravity", "corner"),
    [
        (Gravity.NORTHWEST, (10, 20, None, None)),
        (Gravity.NORTHEAST, (None, 20, 290, None)),
        (Gravity.SOUTHWEST, (10, None, None, 180)),
        (Gravity.SOUTHEAST, (None, None, 290, 180)),
    ],
)
@pytest.mark.parametrize("shadow", [None, BLACK])
def test_text_position(gravity: Gravity, corner: tuple[int | None, ...], shadow: Colour | None) -> None:
    """Exact to the pixel, with or without a shadow."""
    place = ink(laid(text("Hug", gravity=gravity, x=10, y=20, shadow=shadow)))
    for got, expected in zip(place, corner, strict=True):
        assert expected is None or abs(got - expected) <= 1


def test_centred_text() -> None:
    left, top, right, bottom = ink(laid(text("HOH", shadow=BLACK, shadow_x=20, shadow_y=-9)))
    assert abs(left + right - 300) <= 2
    assert abs(top + bottom - 200) <= 2


def test_the_size_is_that_of_the_font() -> None:
    """A capital's height is a fixed part of the size: 0.729 in DejaVu Sans, 0.6-0.8 in most."""
    for size in (20, 40, 80):
        _, top, _, bottom = ink(laid(text("H", size)))
        assert 0.6 <= (bottom - top) / size <= 0.8
    assert (laid(text("H", RelativeLength(0.2))) == laid(text("H", 40))).all()


@pytest.mark.parametrize("words", ["<b>bold</b>", "a & b", "&amp;", "</span>", '"quoted"', "<span size='1'>"])
def test_markup_is_escaped(words: str) -> None:
    """As wide as with numeric character references, which cannot be markup."""
    left, _, right, _ = ink(laid(text(words, 16)))
    numbers = "".join(f"&#{ord(one)};" for one in words)
    assert abs((right - left) - pyvips.Image.text(numbers, font="sans 16").width) <= 2


def test_bold_markup_makes_nothing_bold() -> None:
    tagged, plain = laid(text("<b>H</b>", 20)), laid(text("H", 20))
    assert tagged.sum() > 3 * plain.sum()


def test_a_text_is_wrapped_at_its_width() -> None:
    wide = lines(laid(text(SENTENCE, 12)))
    narrow = lines(laid(text(SENTENCE, 12, width=100)))
    assert len(wide) == 1
    assert len(narrow) >= 3
    assert all(right - left <= 101 for left, right in narrow)


def test_relative_and_default_width() -> None:
    assert (laid(text(SENTENCE, 20, width=RelativeLength(0.5))) == laid(text(SENTENCE, 20, width=150))).all()
    assert len(lines(laid(text(SENTENCE, 20)))) == 2


def test_a_word_that_is_too_long_is_broken() -> None:
    broken = lines(laid(text("W" * 30, 12, width=100)))
    assert len(broken) >= 3
    assert all(right - left <= 101 for left, right in broken)


def test_a_line_break_is_kept() -> None:
    assert len(lines(laid(text("one\ntwo\nfour")))) == 3


def test_alignment_shifts_the_shorter_line() -> None:
    ends = {align: lines(laid(text("MMMMMM\nHH", align=align))) for align in Align}
    (long_left, long_right), (left, right) = ends[Align.LEFT]
    assert abs(left - long_left) <= 2
    assert right < long_right - 30
    (long_left, long_right), (left, right) = ends[Align.RIGHT]
    assert abs(right - long_right) <= 2
    assert left > long_left + 30
    (long_left, long_right), (left, right) = ends[Align.CENTRE]
    assert abs((left + right) - (long_left + long_right)) <= 3


def test_spacing_is_in_sizes() -> None:
    def height(spacing: float) -> int:
        _, top, _, bottom = ink(laid(text("H\nH", 30, spacing=spacing)))
        return bottom - top

    assert height(1) - height(0) == 30
    assert height(0.5) - height(0) == 15


def test_text_colour_is_exact() -> None:
    pixels = laid(text("H", 150, colour=Colour(255, 136, 0), font="sans bold"))
    full = pixels[(np.abs(pixels - (255, 136, 0)) < 0.5).all(axis=2)]
    assert len(full) > 1000
    # Between ink and background there are only mixtures of the two.
    edge = pixels[pixels[..., 0] > 0]
    assert np.abs(edge[:, 1] - edge[:, 0] * 136 / 255).max() <= 1.5
    assert edge[:, 2].max() == 0


def test_a_font_has_its_style() -> None:
    plain, bold = laid(text("HHH", 40)), laid(text("HHH", 40, font="sans bold"))
    assert bold.sum() > 1.15 * plain.sum()


def test_opacity_and_rotation_of_text() -> None:
    half = laid(text("HHH", 40, opacity=50))
    assert abs(half.max() - 127.5) <= 1
    left, top, right, bottom = ink(laid(text("HHHHH", 40, rotate=90)))
    assert bottom - top > 2 * (right - left)


def test_a_text_may_be_repeated() -> None:
    one, many = laid(text("H", 20)), laid(text("H", 20, tile=True, gap=10))
    assert many.sum() > 20 * one.sum()
    assert (many[one > 0] == one[one > 0]).all()


def test_shadow_offset() -> None:
    plain = laid(text("HO", 60), ground=0)
    both = laid(text("HO", 60, shadow=RED, shadow_x=7, shadow_y=-4, shadow_blur=0))
    alpha = plain[..., 0] / 255
    moved = np.roll(alpha, (-4, 7), axis=(0, 1))
    expected = np.stack([255 * (alpha + (1 - alpha) * moved), 255 * alpha, 255 * alpha], axis=2)
    assert np.abs(both - expected).max() <= 2


def test_a_blurred_shadow_is_a_gaussian_of_half_the_radius() -> None:
    plain = laid(text("HO", 60))[..., 0] / 255
    both = laid(text("HO", 60, colour=BLACK, shadow=RED, shadow_x=0, shadow_y=0, shadow_blur=10))
    soft = gaussian_filter(plain, 5, mode="constant")
    expected = 255 * (1 - plain) * soft
    assert np.abs(both[..., 0] - expected).max() <= 6
    assert np.abs(both[..., 0] - expected).mean() <= 0.5


def test_the_default_shadow_scales_with_the_text() -> None:
    def spread(size: int) -> int:
        drawn = render_text(text("H", size, shadow=BLACK), Size(2000, 2000))
        assert drawn is not None
        return int(drawn.image.width - drawn.ink.width)

    assert spread(200) > 3 * spread(40)


@pytest.mark.parametrize("words", ["Grüße", "Ελλάδα", "Привет", "שלום", "مرحبا", "✓ → ½", "e\u0301"])
def test_unicode_is_drawn(words: str) -> None:
    assert laid(text(words)).max() > 200


def test_right_to_left_is_drawn_from_the_right() -> None:
    """The first letter is the rightmost."""
    pixels = laid(text("\u05e9 \u05d5", 60))  # a wide letter, then a narrow one
    seen = np.concatenate([[0], (pixels.max(axis=2) > 40).any(axis=0).astype(int), [0]])
    (left_start, left_end), (right_start, right_end) = np.flatnonzero(np.diff(seen)).reshape(-1, 2)
    assert right_end - right_start > 2 * (left_end - left_start)


@pytest.mark.parametrize("words", ["\u200b", "\u200d\u200d", "\u2060 \u200b"])
def test_text_without_ink_draws_nothing(words: str) -> None:
    assert laid(text(words, shadow=RED)).max() == 0


@pytest.mark.parametrize(
    "overlay",
    [
        text("W" * 500, 2000),
        text("W " * 250, 2000, font="sans bold"),
        text("a\n" * 249, 2000),
        text("\n" * 100 + "W" * 400, 40),
        text("Hello", RelativeLength(1.0)),
        text("\ufdfd" * 500, 2000),
    ],
)
@pytest.mark.parametrize("size", [Size(300, 200), Size(1200, 300), Size(40, 30)])
def test_a_text_that_does_not_fit_is_made_smaller(overlay: TextOverlay, size: Size) -> None:
    """Whatever size is requested, it takes no more memory than its rendition."""
    drawn = render_text(overlay, size)
    assert drawn is not None
    legible = size.width >= 300 and overlay.text.count("\n") < 100
    if legible:
        assert drawn.ink.width <= size.width
        assert drawn.ink.height <= size.height
        assert drawn.ink.height > size.height / 3 or drawn.ink.width > size.width / 2
    # At one pixel a letter there may still be 500 lines.
    assert drawn.ink.area < 100_000 + size.area


def test_a_text_that_fits_keeps_its_size() -> None:
    """Even if it barely fits: measured small, it seems slightly larger."""
    drawn = render_text(text("Hxg", 100), Size(1000, 1000))
    assert drawn is not None
    # Lines break by the advance of their letters, which is slightly more than their ink.
    again = render_text(text("Hxg", 100), Size(drawn.ink.width + 20, drawn.ink.height))
    assert again is not None
    assert again.ink == drawn.ink


def test_a_text_that_is_a_little_too_large_becomes_a_little_smaller() -> None:
    drawn = render_text(text("Hxg", 100), Size(1000, 1000))
    assert drawn is not None
    for box in (Size(drawn.ink.width - 5, 300), Size(1000, drawn.ink.height - 5)):
        smaller = render_text(text("Hxg", 100), Size(box.width, min(box.height, drawn.ink.height)))
        assert smaller is not None
        assert 0.85 * drawn.ink.height < smaller.ink.height < drawn.ink.height


def test_the_same_text_is_the_same_pixels() -> None:
    overlay = text(SENTENCE, 20, shadow=BLACK, rotate=10)
    assert (laid(overlay) == laid(overlay)).all()


def test_without_a_font_a_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_module, "_has_font", lambda: False)
    with pytest.raises(Refused) as caught:
        laid(text("Hello"))
    assert caught.value.reason is Reason.NO_FONT
    assert caught.value.message == (
        "expected a font for text, got none: set IMAGE_PROCESSOR_FONTS to a directory of them"
    )


# A separate process for each: fontconfig reads its file once.
_DRAW = """
import sys
from pathlib import Path
from image_processor.engine.operations import fonts
from image_processor.domain.geometry import Size
from image_processor.engine.operations.text import render_text
from image_processor.domain.errors import Refused
from image_processor.domain.transformation.overlay import TextOverlay
if sys.argv[1:]:
    fonts.use_fonts(Path(sys.argv[1]))
try:
    drawn = render_text(TextOverlay(text="Hill", size=40), Size(300, 200))
    print(drawn.ink.width, drawn.ink.height, drawn.image.avg())
except Refused as refused:
    print(refused.reason)
"""


def drawn_apart(*arguments: str, **environment: str) -> tuple[str, str]:
    path = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", _DRAW, *arguments],
        env=path | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip(), done.stderr


def some_font() -> Path:
    found = (path for path in Path("/usr/share/fonts").rglob("*Mono*") if path.suffix in SUFFIXES)
    font = next(found, None)
    if font is None:
        pytest.skip("NO MONOSPACED FONT ON THIS MACHINE: install fonts-dejavu-core")
    return font


def test_missing_fonts_are_detected(tmp_path: Path) -> None:
    bare = tmp_path / "fonts.conf"
    bare.write_text(f"<fontconfig><dir>{tmp_path}</dir><cachedir>{tmp_path}/cache</cachedir></fontconfig>")
    assert drawn_apart(FONTCONFIG_FILE=str(bare)) == ("no-font", "")


def test_only_the_configured_fonts_are_used(tmp_path: Path) -> None:
    """Also without a system configuration of fontconfig, and without warnings."""
    directory = tmp_path / "fonts & more" / "below"
    directory.mkdir(parents=True)
    (directory / "only.ttf").write_bytes(some_font().read_bytes())
    own, said = drawn_apart(str(directory.parent), FONTCONFIG_FILE="/nonexistent")
    assert said == ""
    assert own != drawn_apart()[0]
    assert own.count(" ") == 2


@pytest.mark.parametrize("present", [True, False])
def test_a_directory_without_fonts_is_refused(tmp_path: Path, present: bool) -> None:  # noqa: FBT001 - a case
    directory = tmp_path / "fonts"
    if present:
        directory.mkdir()
        (directory / "readme.txt").write_text("no font")
    with pytest.raises(InvalidSettings, match="a directory with font files for IMAGE_PROCESSOR_FONTS"):
        use_fonts(directory)


def test_an_outline_surrounds_the_letters_with_its_width() -> None:
    plain, outlined = laid(text("H", 80)), laid(text("H", 80, outline=4, outline_colour=RED))
    left, top, right, bottom = ink(plain)
    assert ink(outlined) == (left - 4, top - 4, right + 4, bottom + 4)
    letter = plain[..., 1] == 255
    assert letter.any()
    assert (outlined[letter] == 255).all()
    reached = distance_transform_edt(plain.max(axis=2) < 128)
    near, far = (reached > 1.5) & (reached < 3), reached > 5.5
    assert (outlined[near] == [255, 0, 0]).all()
    assert not outlined[far].any()
