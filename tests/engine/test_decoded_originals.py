"""Originals that a renderer keeps decoded: renditions are the same, and nothing old or too large is kept."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from drawing import OnFirstUse, animated, corners, encoded, flat, photograph
from isolated_children import rigged
from PIL import Image, ImageCms

from image_processor.domain.errors import Refused
from image_processor.domain.models import IccPolicy, Limits, TruncatedPolicy
from image_processor.domain.ports import OriginalFile
from image_processor.domain.transformation import parse
from image_processor.engine import pyramid
from image_processor.engine.decoded_originals import DecodedOriginals, KeptOriginal
from image_processor.engine.render import render
from image_processor.engine.worker import child
from image_processor.engine.worker.isolation import IsolatedRenderer

PHOTOGRAPH = encoded(photograph("astronaut.png"), "jpeg")
LIMITS = Limits(svg=True, truncated=TruncatedPolicy.LENIENT)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
DRAWING = b'<svg xmlns="http://www.w3.org/2000/svg" width="90" height="9"><rect width="9" height="9"/></svg>'


class Decoder:
    """Counts how often an original is opened to be decoded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = 0
        self._real = pyramid.open_original
        monkeypatch.setattr(pyramid, "open_original", self._open)

    def _open(self, *args: object, **options: object) -> object:
        self.opened += 1
        return self._real(*args, **options)  # type: ignore[arg-type]


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch) -> Decoder:
    return Decoder(monkeypatch)


def rendition(data: bytes, text: str, kept: KeptOriginal | None = None) -> bytes:
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
def test_renditions_of_a_kept_original_are_the_same(name: str, decoder: Decoder) -> None:
    data = ORIGINALS[name]
    kept = KeptOriginal(DecodedOriginals(), "1")
    for text in ("w=150", "w=151,fm=webp", "w=152,blur=2", "w=153,linear=1", "rot=90,w=154", "w=80,h=80"):
        rendition(data, text, kept)
        before = decoder.opened
        shown = rendition(data, text, kept)
        assert decoder.opened == before or text == "w=80,h=80", "a crop of what is not kept is decoded alone"
        assert shown == rendition(data, text)


def test_the_second_width_is_not_decoded_again(decoder: Decoder) -> None:
    kept = KeptOriginal(DecodedOriginals(), "1")
    for width in (100, 101, 102):
        rendition(PHOTOGRAPH, f"w={width}", kept)
    assert decoder.opened == 1


def test_another_version_is_another_original() -> None:
    originals, other = DecodedOriginals(), encoded(photograph("coffee.png").resize((512, 512)), "jpeg")
    rendition(PHOTOGRAPH, "w=100", KeptOriginal(originals, "1"))
    assert rendition(other, "w=100", KeptOriginal(originals, "2")) == rendition(other, "w=100")


def test_the_decoder_shrinks_as_much_as_without() -> None:
    """An original that was kept for a large rendition must not serve a small one: its pixels differ."""
    kept = KeptOriginal(DecodedOriginals(), "1")
    rendition(PHOTOGRAPH, "w=500", kept)
    assert rendition(PHOTOGRAPH, "w=50", kept) == rendition(PHOTOGRAPH, "w=50")


def test_the_ones_used_least_recently_are_dropped(decoder: Decoder) -> None:
    originals = DecodedOriginals(max_bytes=3 * 512 * 512 * 3)
    for version in "1231":
        rendition(PHOTOGRAPH, "w=400", KeptOriginal(originals, version))
    assert decoder.opened == 3
    rendition(PHOTOGRAPH, "w=400", KeptOriginal(originals, "4"))  # instead of 2
    rendition(PHOTOGRAPH, "w=400", KeptOriginal(originals, "1"))
    assert decoder.opened == 4
    rendition(PHOTOGRAPH, "w=400", KeptOriginal(originals, "2"))
    assert decoder.opened == 5


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (encoded(photograph("astronaut.png").resize((600, 600)), "jpeg"), "w=500"),
        (encoded(Image.new("I;16", (300, 300)), "png"), "w=200"),
        (animated([flat("red"), flat("blue")], "gif", [50, 50]), "w=20,fm=gif"),
        (PHOTOGRAPH, "w=100,h=25"),
        (DRAWING, "w=50"),
    ],
    ids=["large", "16 bits", "animation", "crop", "drawing"],
)  # fmt: skip
def test_what_is_not_kept(data: bytes, text: str, decoder: Decoder) -> None:
    originals = DecodedOriginals(max_bytes=3 * 512 * 512 * 3)
    kept = KeptOriginal(originals, "1")
    assert rendition(data, text, kept) == rendition(data, text, kept)
    assert decoder.opened == 2


def test_a_damaged_original_is_refused_each_time() -> None:
    damaged = PHOTOGRAPH[:4000] + bytes(200) + PHOTOGRAPH[4200:]
    kept = KeptOriginal(DecodedOriginals(), "1")
    for _ in range(2):
        with pytest.raises(Refused) as with_kept:
            render(damaged, [parse("w=100")], Limits(), summary=False, kept=kept)
        with pytest.raises(Refused) as without:
            render(damaged, [parse("w=100")], Limits(), summary=False)
        assert with_kept.value.reason == without.value.reason


def test_a_file_that_changed_just_now_has_no_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may change again within a tick of the clock that its times are read from."""
    file = tmp_path / "a.jpg"
    file.write_bytes(b"1")
    descriptor = os.open(file, os.O_RDONLY)
    try:
        assert child._file_version(descriptor) is None
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 10)
        before = child._file_version(descriptor)
        assert before is not None
        assert child._file_version(descriptor) == before
        with file.open("r+b") as changed:
            changed.write(b"2")
        os.utime(file, ns=(before[3], before[3]))  # as programs do that copy times
        assert child._file_version(descriptor) != before
    finally:
        os.close(descriptor)


def _renderer_that_decodes(times: int) -> IsolatedRenderer:
    """Its files are old enough to be kept, and to decode more originals than ``times`` is an error."""
    start = (
        "import time; from image_processor.engine import pyramid\n"
        "now, open_ = time.time, pyramid.open_original\n"
        "time.time = lambda: now() + 10\n"
        "calls = []\n"
        "def once(*args, **options):\n"
        "    calls.append(1)\n"
        f"    assert len(calls) <= {times}\n"
        "    return open_(*args, **options)\n"
        "pyramid.open_original = once\n"
    )
    return rigged("pass", start)


def _opened(path: Path) -> OriginalFile:
    return OriginalFile(os.open(path, os.O_RDONLY), path.stat().st_size, lambda: None)


def test_a_child_decodes_a_file_once_for_several_requests(tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(PHOTOGRAPH)
    with _renderer_that_decodes(1) as renderer:
        for text in ("w=100", "w=101,fm=webp"):
            body = renderer.render(_opened(file), [parse(text)], Limits(), summary=False).renditions[0].body
            assert body == render(PHOTOGRAPH, [parse(text)], Limits(), summary=False).renditions[0].body


@pytest.mark.parametrize("kind", ["another file", "bytes", "upload between"])
def test_a_child_decodes_again(tmp_path: Path, kind: str) -> None:
    """Where the file is another one, or comes as bytes, and after an upload, which may need the memory."""
    file, other = tmp_path / "a.jpg", tmp_path / "b.jpg"
    for path in (file, other):
        path.write_bytes(PHOTOGRAPH)
    with _renderer_that_decodes(2 if kind == "upload between" else 1) as renderer:
        renderer.render(_opened(file), [parse("w=100")], Limits(), summary=False)
        second = {"another file": _opened(other), "bytes": PHOTOGRAPH}.get(kind, _opened(file))
        if kind == "upload between":
            renderer.render(_opened(file), [], Limits(), summary=True)
        with pytest.raises(Refused, match="engine-failed"):
            renderer.render(second, [parse("w=101")], Limits(), summary=False)
