"""Decoded originals that are kept: renditions are the same, and nothing old or unsuitable is used."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from drawing import OnFirstUse, animated, corners, encoded, flat, photograph
from PIL import Image, ImageCms

from image_processor.domain.errors import Refused
from image_processor.domain.models import IccPolicy, Limits, TruncatedPolicy
from image_processor.domain.transformation import parse
from image_processor.engine import pyramid
from image_processor.engine.decoded_originals import DecodedOriginalKey
from image_processor.engine.render import render

PHOTOGRAPH = encoded(photograph("astronaut.png"), "jpeg")
LIMITS = Limits(svg=True, truncated=TruncatedPolicy.LENIENT)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
DRAWING = b'<svg xmlns="http://www.w3.org/2000/svg" width="90" height="9"><rect width="9" height="9"/></svg>'


class Kept:
    """The pixels of one original, of at most ``max_bytes``."""

    def __init__(self, max_bytes: int = 2**30) -> None:
        self.pixels: dict[DecodedOriginalKey, bytes] = {}
        self.found = 0
        self._max_bytes = max_bytes

    def read(self, key: DecodedOriginalKey, count: int) -> bytes | None:
        pixels = self.pixels.get(key)
        assert pixels is None or len(pixels) == count
        self.found += pixels is not None
        return pixels

    def accepts(self, count: int) -> bool:
        return count <= self._max_bytes

    def keep(self, key: DecodedOriginalKey, pixels: memoryview) -> None:
        assert key not in self.pixels
        self.pixels[key] = bytes(pixels)


def rendition(data: bytes, text: str, kept: Kept | None = None) -> bytes:
    preserve = IccPolicy.PRESERVE
    return render(data, [parse(text)], LIMITS, icc=preserve, summary=False, kept=kept).renditions[0].body


def with_alpha() -> Image.Image:
    return Image.merge("RGBA", [*photograph().split(), Image.linear_gradient("L").resize((451, 300))])


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(corners(400, 300), "jpeg", exif=exif)


ORIGINALS = OnFirstUse(
    {
        "jpeg": lambda: PHOTOGRAPH,
        "progressive": lambda: encoded(photograph(), "progressive"),
        "png": lambda: encoded(photograph(), "png"),
        "webp": lambda: encoded(photograph(), "webp"),
        "cmyk": lambda: encoded(photograph().convert("CMYK"), "jpeg"),
        "grey": lambda: encoded(photograph().convert("L"), "jpeg"),
        "alpha": lambda: encoded(with_alpha(), "png"),
        "profile": lambda: encoded(photograph(), "jpeg", icc_profile=PROFILE),
        "turned": turned,
        "truncated": lambda: PHOTOGRAPH[: len(PHOTOGRAPH) * 3 // 4],
    }
)


@pytest.mark.parametrize("name", ORIGINALS)
@pytest.mark.parametrize("order", [1, -1], ids=["the whole first", "a crop first"])
def test_renditions_of_a_kept_original_are_the_same(name: str, order: int) -> None:
    data, kept = ORIGINALS[name], Kept()
    texts = ["w=150", "w=151,fm=webp", "w=152,blur=2", "w=153,linear=1", "rot=90,w=154", "h=30", "w=80,h=80"]
    for text in texts[::order]:
        for _ in range(2):
            assert rendition(data, text, kept) == rendition(data, text)
    assert kept.found >= len(texts)


def test_the_second_width_is_not_decoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept()
    rendition(PHOTOGRAPH, "w=100", kept)
    expected = [rendition(PHOTOGRAPH, text) for text in ("w=101", "w=102,h=102")]

    def header_only(*args: object, **options: object) -> object:
        """The file up to its pixels."""
        data, *rest = args
        assert isinstance(data, bytes)
        return open_original(data[: data.index(b"\xff\xda") + 20], *rest, **options)

    open_original: Callable[..., object] = pyramid.open_original
    monkeypatch.setattr(pyramid, "open_original", header_only)
    assert [rendition(PHOTOGRAPH, text, kept) for text in ("w=101", "w=102,h=102")] == expected
    assert rendition(PHOTOGRAPH, "w=101") != expected[0]


def test_the_decoder_shrinks_as_much_as_without() -> None:
    """An original that was kept for a large rendition must not serve a small one: its pixels differ."""
    kept = Kept()
    for text in ("w=500", "w=50"):
        assert rendition(PHOTOGRAPH, text, kept) == rendition(PHOTOGRAPH, text)
    assert {key.shrink for key in kept.pixels} == {1, 8}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (encoded(photograph("astronaut.png").resize((600, 600)), "jpeg"), "w=500"),
        (encoded(Image.new("I;16", (300, 300)), "png"), "w=200"),
        (animated([flat("red"), flat("blue")], "gif", [50, 50]), "w=20,fm=gif"),
        (PHOTOGRAPH, "w=100,h=25,g=north"),
        (DRAWING, "w=50"),
    ],
    ids=["large", "16 bits", "animation", "crop of the upper half", "drawing"],
)  # fmt: skip
def test_what_is_not_kept(data: bytes, text: str) -> None:
    kept = Kept(max_bytes=512 * 512 * 3)
    assert rendition(data, text, kept) == rendition(data, text)
    assert not kept.pixels


def test_a_crop_down_to_the_last_line_is_kept_whole() -> None:
    kept = Kept()
    wide = encoded(photograph().resize((600, 300)), "jpeg")
    for text in ("w=100,h=100", "w=101,h=101,g=west", "w=200"):
        assert rendition(wide, text, kept) == rendition(wide, text)
    assert kept.found == 2


@pytest.mark.parametrize("limits", [Limits(), LIMITS], ids=["strict", "lenient"])
@pytest.mark.parametrize("text", ["w=100", "w=90,h=100", "w=100,h=40,g=north"])
def test_a_damaged_original_has_the_same_result_each_time(limits: Limits, text: str) -> None:
    damaged = PHOTOGRAPH[:4000] + bytes(200) + PHOTOGRAPH[4200:]

    def result(kept: Kept | None = None) -> object:
        try:
            rendered = render(damaged, [parse(text)], limits, summary=False, kept=kept)
        except Refused as refusal:
            return refusal.reason
        return rendered.original, rendered.renditions

    kept = Kept()
    assert [result(kept), result(kept)] == [result(), result()]


def test_a_crop_beside_the_damage_is_as_without() -> None:
    """Decoding the whole fails at the last line, which the crop does not need."""
    wide = encoded(photograph().resize((900, 300)), "jpeg")
    ends_early = wide[: len(wide) * 29 // 30] + wide[-2:]
    text = "w=100,rect=0:0:600:250"
    with pytest.raises(Refused):
        render(ends_early, [parse("w=100")], Limits(), summary=False)
    plain, kept = (
        render(ends_early, [parse(text)], Limits(), summary=False, kept=pixels) for pixels in (None, Kept())
    )
    assert (kept.original, kept.renditions) == (plain.original, plain.renditions)
