"""The originals that the examples of docs/transformations.md and the gallery are made from.

All come from one photograph, the project's own drawn sample unless another is given.
"""

from __future__ import annotations

import io
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageFilter

from image_processor.domain.models import Limits
from image_processor.domain.transformation import Example, parse
from image_processor.engine.render import render

SIZE = (480, 320)
MARK = "mark.png"
"""The key of the image that examples lay over others."""

_ORIENTATION = 0x0112
_QUARTER_LEFT = 6  # stored so that it must be turned clockwise by a quarter


class Originals:
    """The originals by name, each drawn once."""

    def __init__(self, photograph: bytes) -> None:
        cropped = rendered(photograph, f"w={SIZE[0]},h={SIZE[1]},enlarge=1,fm=png")
        self._photo = Image.open(io.BytesIO(cropped)).convert("RGB")
        self._made: dict[str, bytes] = {}

    def file(self, name: str) -> bytes:
        """The original of that name."""
        if name not in self._made:
            self._made[name] = _DRAWN[name](self._photo)
        return self._made[name]

    def rendition(self, example: Example) -> bytes:
        """What ``example`` comes to, in the format that its text says."""
        return rendered(self.file(example.original), example.text)


def rendered(original: bytes, text: str) -> bytes:
    """One rendition of ``original``, in which overlays may name the mark."""
    marks = {MARK: mark()} if MARK in text else None
    return render(original, [parse(text)], Limits(), summary=False, overlay_sources=marks).renditions[0].body


def _plain(photo: Image.Image) -> bytes:
    return _file(photo)


def _framed(photo: Image.Image) -> bytes:
    """With a border of one colour, wider at some sides."""
    around = Image.new("RGB", (SIZE[0] + 160, SIZE[1] + 90), "white")
    around.paste(photo, (110, 30))
    return _file(around)


def _half_framed(photo: Image.Image) -> bytes:
    """With a border at the right and at the bottom, so that the first pixel is none of it."""
    around = Image.new("RGB", (SIZE[0] + 160, SIZE[1] + 90), "white")
    around.paste(photo)
    return _file(around)


def _animation(photo: Image.Image) -> bytes:
    """Three frames: the view goes from left to right."""
    width, height = SIZE[0] * 3 // 4, SIZE[1] * 3 // 4
    frames = [photo.crop((left, 60, left + width, 60 + height)) for left in (0, 60, 120)]
    body = io.BytesIO()
    frames[0].save(body, "WEBP", save_all=True, append_images=frames[1:], duration=600, loop=0, quality=90)
    return body.getvalue()


def _turned(photo: Image.Image) -> bytes:
    """As a camera stores it that was held upright."""
    exif = Image.Exif()
    exif[_ORIENTATION] = _QUARTER_LEFT
    body = io.BytesIO()
    photo.transpose(Image.Transpose.ROTATE_90).save(body, "JPEG", quality=95, exif=exif)
    return body.getvalue()


def _see_through(photo: Image.Image) -> bytes:
    """Only a disc of it, with a soft edge."""
    width, height = SIZE
    disc = Image.new("L", SIZE)
    ImageDraw.Draw(disc).ellipse((width // 6, 20, width * 5 // 6, height - 20), fill=255)
    seen = photo.copy()
    seen.putalpha(disc.filter(ImageFilter.GaussianBlur(12)))
    return _file(seen)


def _tiny(photo: Image.Image) -> bytes:
    return _file(photo.resize((96, 64), Image.Resampling.LANCZOS))


def _pale(photo: Image.Image) -> bytes:
    """As seen through fog."""
    return _file(Image.blend(photo, Image.new("RGB", SIZE, (150, 150, 150)), 0.65))


_DRAWN: dict[str, Callable[[Image.Image], bytes]] = {
    "photo": _plain,
    "framed": _framed,
    "half-framed": _half_framed,
    "animation": _animation,
    "turned": _turned,
    "see-through": _see_through,
    "tiny": _tiny,
    "pale": _pale,
}


def mark() -> bytes:
    """A ring around a sail."""
    side = 256
    mark = Image.new("RGBA", (side, side))
    draw = ImageDraw.Draw(mark)
    draw.ellipse((8, 8, side - 8, side - 8), fill=(196, 44, 40, 255), outline=(255, 255, 255, 255), width=14)
    draw.polygon([(134, 48), (134, 170), (200, 170)], fill="white")
    draw.polygon([(122, 70), (122, 170), (70, 170)], fill="white")
    draw.polygon([(60, 182), (206, 182), (182, 208), (84, 208)], fill="white")
    return _file(mark)


def _file(picture: Image.Image) -> bytes:
    body = io.BytesIO()
    picture.save(body, "PNG", compress_level=1)
    return body.getvalue()
