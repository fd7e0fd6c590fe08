"""A crop around a focus keeps that point, whatever turns, mirrors or cuts the image before."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageDraw

from image_processor.domain.geometry import Size
from image_processor.domain.models import Focus, IccPolicy, Limits
from image_processor.domain.transformation import parse
from image_processor.engine.render import render
from image_processor.renditions.focus import with_focus

SIZE = Size(600, 300)
FOCUS = Focus(0.3, 0.6, "")


def photo() -> bytes:
    """Grey, with a red dot at the focus."""
    image = Image.new("RGB", (SIZE.width, SIZE.height), (128, 128, 128))
    x, y = FOCUS.x * SIZE.width, FOCUS.y * SIZE.height
    ImageDraw.Draw(image).ellipse((x - 12, y - 12, x + 12, y + 12), (220, 0, 0))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "before",
    [
        *("", "rot=90,", "rot=180,", "rot=270,", "flip=h,", "flip=v,", "rot=90,flip=h,"),
        *("rect=60:90:400:200,", "rect=0.1:0.2:0.6:0.8,rot=90,flip=v,"),
    ],
)
def test_the_focus_is_in_the_middle_of_what_is_kept(before: str) -> None:
    transformation = with_focus(parse(f"{before}w=60,h=60,g=focus,fm=png"), FOCUS, SIZE)
    rendered = render(photo(), (transformation,), Limits(), icc=IccPolicy.STRIP, overlay_sources={})
    image = Image.open(io.BytesIO(rendered.renditions[0].body)).convert("RGB")
    red = [
        (x, y)
        for x in range(60)
        for y in range(60)
        if (pixel := image.getpixel((x, y)))[0] > 190 > pixel[1]  # type: ignore[index, operator]
    ]
    assert red
    centre = [sum(values) / len(values) for values in zip(*red, strict=True)]
    # Along the side that is cropped; the other one is kept whole.
    assert min(abs(position - 29.5) for position in centre) < 3
