"""The originals of the cookbook, by the names that its recipes use.

Photos are those of the test package scikit-image, which are free of copyright: NASA's portrait, and two that
their photographers gave away (CC0). Everything else is drawn here, or by transformation_originals.py.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path

import skimage
from PIL import Image, ImageDraw
from transformation_originals import Originals, mark

from image_processor.engine.sample import draw_sample

MARK = "logos/mark.png"
"""The key of the image that recipes lay over others."""

_PHOTOS = Path(skimage.__file__).parent / "data"

_DRAWING = b"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 80 60">
<rect width="80" height="60" fill="#bfe3f5"/><circle cx="58" cy="18" r="9" fill="#f5b83d"/>
<path d="M0 46 Q20 26 44 44 T80 40 V60 H0Z" fill="#6ba368"/>
<path d="M0 52 Q30 38 80 54 V60 H0Z" fill="#3f7d4e"/>
</svg>
"""


def original(name: str) -> bytes:
    """The file of that name. Raises KeyError if there is none."""
    return _FILES[name]()


@cache
def _drawn() -> Originals:
    return Originals(draw_sample())


def _photo(name: str) -> Callable[[], bytes]:
    return (_PHOTOS / name).read_bytes


def _scene(name: str) -> Callable[[], bytes]:
    return lambda: _drawn().file(name)


@cache
def _portrait() -> bytes:
    """Upright, with the face above the centre."""
    with Image.open(_PHOTOS / "astronaut.png") as photo:
        return _png(photo.crop((60, 0, 444, 512)))


@cache
def _mug() -> bytes:
    """A mug without a background, drawn larger and scaled down for soft edges."""
    mug = Image.new("RGBA", (960, 960))
    draw = ImageDraw.Draw(mug)
    draw.rounded_rectangle((560, 330, 860, 690), 140, outline="#1f5f99", width=64)
    draw.rounded_rectangle((140, 200, 660, 820), 90, fill="#2f7fc1")
    draw.rectangle((140, 230, 660, 420), fill="#2f7fc1")
    draw.rounded_rectangle((190, 290, 250, 740), 30, fill="#63a8dd")
    draw.ellipse((140, 140, 660, 320), fill="#1f5f99")
    draw.ellipse((176, 166, 624, 294), fill="#4a2c1a")
    return _png(mug.resize((480, 480), Image.Resampling.LANCZOS))


@cache
def _animation() -> bytes:
    with Image.open(io.BytesIO(_drawn().file("animation"))) as scene:
        frames = [_frame(scene, number) for number in range(3)]
    body = io.BytesIO()
    frames[0].save(body, "GIF", save_all=True, append_images=frames[1:], duration=600, loop=0)
    return body.getvalue()


def _frame(scene: Image.Image, number: int) -> Image.Image:
    scene.seek(number)
    return scene.convert("RGB").resize((240, 160)).quantize(64)


@cache
def _scan() -> bytes:
    """Two pages: the lake, and a page of print."""
    lake, page = (Image.open(io.BytesIO(original(name))).convert("L") for name in ("lake.png", "page.png"))
    body = io.BytesIO()
    lake.save(body, "TIFF", save_all=True, append_images=[page], compression="tiff_lzw")
    return body.getvalue()


def _png(picture: Image.Image) -> bytes:
    body = io.BytesIO()
    picture.save(body, "PNG", compress_level=1)
    return body.getvalue()


_FILES: dict[str, Callable[[], bytes]] = {
    "portrait.png": _portrait,
    "coffee.png": _photo("coffee.png"),
    "cat.png": _photo("chelsea.png"),
    "page.png": _photo("page.png"),
    "lake.png": _scene("photo"),
    "framed.png": _scene("framed"),
    "pale.png": _scene("pale"),
    "turned.jpg": _scene("turned"),
    "mug.png": _mug,
    "scan.tif": _scan,
    "animation.gif": _animation,
    "drawing.svg": lambda: _DRAWING,
    MARK: mark,
}
