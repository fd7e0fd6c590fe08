"""The share of other products' URLs whose result agrees, and pixels of those that need rules of their own."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import peer_urls
import pytest
from PIL import Image, ImageOps

ROOT = Path(__file__).parents[2]


def test_each_share_is_above_its_bar_and_the_document_has_every_difference() -> None:
    """One test, so that one process renders the pictures once."""
    text = (ROOT / "docs/dialects.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `([^`]+)` \| ", text, flags=re.MULTILINE))
    for name, peer in peer_urls.PEERS.items():
        found = peer_urls.verdicts(name)
        differences = peer_urls.differences(name)
        assert len(found) >= 20
        assert peer_urls.share(found) >= peer.bar, differences
        assert {url.replace("|", "\\|") for url, _ in differences} <= listed
    assert peer_urls.table() in text


def test_a_result_that_differs_is_reported() -> None:
    dialect = peer_urls.PEERS["imgproxy"].dialect()

    def outcome(**fields: object) -> tuple[str, str]:
        vector = peer_urls.Vector("unsafe/w:100/plain/geometry.png", "geometry.png", **fields)  # type: ignore[arg-type]
        verdict = peer_urls.judge(vector, dialect)
        return verdict.outcome, verdict.reason

    assert outcome(size=(100, 50), format="png") == ("agrees", "")
    assert outcome(size=(100, 51)) == ("differs", "100 x 50 in place of 100 x 51")
    assert outcome(format="jpeg") == ("differs", "png in place of jpeg")
    assert outcome(refused=True)[0] == "differs"


def made(peer: str, url: str) -> Image.Image:
    return peer_urls.picture(peer, url).convert("RGBA")


def scene(name: str = "geometry.png") -> Image.Image:
    return Image.open(io.BytesIO(peer_urls.original(name))).convert("RGBA")


def psnr(one: Image.Image, other: Image.Image) -> float:
    assert one.size == other.size
    difference = np.asarray(one, dtype=float) - np.asarray(other, dtype=float)
    error = float((difference**2).mean())
    return 99.0 if error == 0 else 10 * float(np.log10(255**2 / error))


def canvas(size: tuple[int, int], image: Image.Image, at: tuple[int, int]) -> Image.Image:
    result = Image.new("RGBA", size)
    result.paste(image, at)
    return result


# imgproxy's options, and the same with Pillow.
IMGPROXY: dict[str, Callable[[Image.Image], Image.Image]] = {
    # The crop's gravity is that of the rotated image.
    "rot:90/c:50:20:nowe": lambda im: im.rotate(-90, expand=True).crop((0, 0, 50, 20)),
    "rot:270/c:50:20:ea": lambda im: im.rotate(90, expand=True).crop((50, 90, 100, 110)),
    "fl:1/c:60:40:nowe:10:5": lambda im: im.transpose(Image.Transpose.FLIP_LEFT_RIGHT).crop((10, 5, 70, 45)),
    "rot:90/fl:1/c:30:40:sowe": lambda im: (
        im.rotate(-90, expand=True).transpose(Image.Transpose.FLIP_LEFT_RIGHT).crop((0, 160, 30, 200))
    ),
    "c:100:60:fp:0.25:0.5": lambda im: im.crop((0, 20, 100, 80)),
    # An extended image lies at its own gravity.
    "rs:fit:100:100/ex:1:so": lambda im: canvas(
        (100, 100), im.resize((100, 50), Image.Resampling.LANCZOS), (0, 50)
    ),
    "rs:fill:300:50/ex:1:we": lambda im: canvas((300, 50), im.crop((0, 25, 200, 75)), (0, 0)),
    "w:50/h:100/exar:1:no": lambda im: canvas(
        (50, 100), im.resize((50, 25), Image.Resampling.LANCZOS), (0, 0)
    ),
    # dpr is bounded by the source, and scales offsets and padding.
    "rs:fill:50:50/dpr:4/g:we": lambda im: im.crop((0, 0, 100, 100)),
    "rs:fill:50:50/dpr:2/g:we:5": lambda im: im.crop((10, 0, 110, 100)),
    "dpr:2/el:1/pd:5:10": lambda im: canvas(
        (440, 220), im.resize((400, 200), Image.Resampling.BICUBIC), (20, 10)
    ),
    "rs:force:300:50": lambda im: im.resize((200, 33), Image.Resampling.LANCZOS),
    "z:0.5:0.25": lambda im: im.resize((100, 25), Image.Resampling.LANCZOS),
    "w:50/h:50/mh:50": lambda im: im.resize((100, 50), Image.Resampling.LANCZOS).crop((25, 0, 75, 50)),
    # The watermark lies over the padding.
    "w:100/pd:10/wm:1:nowe:0:0:0.5": lambda im: over(
        canvas((120, 70), im.resize((100, 50), Image.Resampling.LANCZOS), (10, 10)),
        im.resize((60, 30)),
        (0, 0),
    ),
    "raw:1/w:50": lambda im: im,
    "skp:png/w:50": lambda im: im,
    "skp:jpg/w:50": lambda im: im.resize((50, 25), Image.Resampling.LANCZOS),
}


def over(below: Image.Image, image: Image.Image, at: tuple[int, int]) -> Image.Image:
    below.alpha_composite(image, at)
    return below


@pytest.mark.parametrize("options", IMGPROXY)
def test_imgproxy_pixels(options: str) -> None:
    got = made("imgproxy", f"unsafe/{options}/plain/geometry.png")
    assert psnr(got, IMGPROXY[options](scene())) >= 30


@pytest.mark.parametrize(
    ("options", "box"), [("t:5::1", (20 - 10, 10, 330 + 10, 230)), ("t:5::0:1", (10, 10, 330, 240))]
)
def test_imgproxy_trims_equal_parts(options: str, box: tuple[int, int, int, int]) -> None:
    got = made("imgproxy", f"unsafe/{options}/plain/trim1.png")
    assert psnr(got, scene("trim1.png").crop(box)) == 99


def test_imgproxy_crops_by_attention() -> None:
    """The yellow ellipse draws attention: it is in the window, as it is in libvips' own."""
    got = made("imgproxy", "unsafe/c:100:100:sm/w:50/plain/geometry.png")
    assert got.size == (50, 50)
    pixels = np.asarray(got)
    assert ((pixels[..., 0] > 230) & (pixels[..., 1] > 200)).any()


# thumbor's filters, and the same with Pillow.
THUMBOR: dict[str, Callable[[Image.Image], Image.Image]] = {
    "filters:brightness(20)": lambda im: im.point(lambda value: value + 51),
    "filters:contrast(-40)": lambda im: im.point(lambda value: 0.36 * (value - 128) + 128),
    "filters:rgb(20,-20,40)": lambda im: Image.merge(
        "RGB", [band.point(lambda v, d=d: v + d) for band, d in zip(im.split(), (51, -51, 102), strict=True)]
    ),
    "filters:colorize(0,100,20,ff8000)": lambda im: Image.merge(
        "RGB",
        [
            band.point(lambda v, s=s, c=c: v * (1 - s) + c * s)
            for band, s, c in zip(im.split(), (0, 1, 0.2), (255, 128, 0), strict=True)
        ],
    ),
    "filters:equalize()": ImageOps.equalize,
    "filters:rotate(45)": lambda im: im,
    "100x50/filters:rotate(90):brightness(20)": lambda im: (
        im.resize((100, 50), Image.Resampling.LANCZOS).rotate(90, expand=True).point(lambda value: value + 51)
    ),
    "fit-in/100x100/filters:fill(ff0000):grayscale()": lambda im: ImageOps.grayscale(
        red((100, 100), im.resize((100, 50), Image.Resampling.LANCZOS))
    ).convert("RGB"),
    "fit-in/100x100/filters:grayscale():fill(ff0000)": lambda im: red(
        (100, 100), ImageOps.grayscale(im.resize((100, 50), Image.Resampling.LANCZOS))
    ),
    "fit-in/600x500/filters:upscale()": lambda im: im.resize((600, 300), Image.Resampling.BICUBIC),
    "100x50/filters:proportion(0.3)": lambda im: im.resize((30, 15), Image.Resampling.LANCZOS),
    "full-fit-in/300x300": lambda im: im.resize((600, 300), Image.Resampling.BICUBIC),
}


def red(size: tuple[int, int], image: Image.Image) -> Image.Image:
    result = Image.new("RGB", size, "red")
    result.paste(image.convert("RGB"), ((size[0] - image.width) // 2, (size[1] - image.height) // 2))
    return result


@pytest.mark.parametrize("parts", THUMBOR)
def test_thumbor_pixels(parts: str) -> None:
    got = made("thumbor", f"unsafe/{parts}/geometry.png")
    expected = THUMBOR[parts](scene().convert("RGB"))
    # thumbor's grey has the weights of Rec. 601, ours those of Rec. 709.
    least = 24 if "grayscale" in parts else 23 if "equalize" in parts else 28
    assert psnr(got, expected.convert("RGBA")) >= least


def test_max_bytes_never_refuses() -> None:
    """The lowest quality, where none fits."""
    small = made("thumbor", "unsafe/filters:max_bytes(100)/photo.jpg")
    assert small.size == (480, 320)
    path = "unsafe/filters:max_bytes({})/photo.jpg"
    sizes = []
    for limit in (100, 5000):
        request = peer_urls.PEERS["thumbor"].dialect().parse(path.format(limit), "", now=0)
        transformation = peer_urls.transformation_of(request, peer_urls.metadata_of("photo.jpg"))
        sizes.append(peer_urls.render_bytes("photo.jpg", transformation)[1].bytes)
    assert 100 < sizes[0] < sizes[1] <= 5000


@pytest.mark.parametrize(("corner", "colour"), [("top-left", (255, 0, 0)), ("bottom-right", (0, 0, 255))])
def test_thumbor_trims_the_colour_of_a_corner(corner: str, colour: tuple[int, int, int]) -> None:
    """Red at the top, green, blue at the bottom: one of both is removed."""
    colours = {pixel for _, pixel in made("thumbor", f"unsafe/trim:{corner}/trim2.png").getcolors() or ()}
    assert (*colour, 255) not in colours
    assert len(colours) == 2


def test_a_watermark_repeats_with_equal_gaps() -> None:
    """Copies of 100 pixels in 480: four with gaps of 26 pixels."""
    url = "unsafe/filters:watermark(trim2.png,repeat,0,0,none,32)/photo.jpg"
    got = np.asarray(made("thumbor", url).convert("RGB")).astype(int)[5]
    reds = (got[:, 0] > 200) & (got[:, 1] < 60) & (got[:, 2] < 60)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], reds.astype(int), [0]])))
    starts, ends = edges[::2], edges[1::2]
    assert starts[0] <= 1
    assert ends[-1] >= 478
    gaps = starts[1:] - ends[:-1]
    assert len(starts) == 480 // 102
    assert np.ptp(gaps) <= 2
