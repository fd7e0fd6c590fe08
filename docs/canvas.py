"""Shapes of a drawing, written twice from the same list: as SVG, and as pixels by Pillow.

Pillow brings its own font, so the PNG looks alike wherever it is drawn.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

SCALE = 2
"""Pixels for each unit of a drawing."""

DIGEST = "drawing"
"""The PNG's text chunk that names the drawing it was made from."""

_FONT = "Aileron, 'Helvetica Neue', Helvetica, Arial, sans-serif"  # the first is Pillow's own
_DASH, _GAP = 6, 4

Point = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Line:
    """Level and upright pieces from point to point, an arrow at the end and, with ``both``, at the start."""

    points: tuple[Point, ...]
    colour: str
    both: bool = False
    dashed: bool = False
    head: bool = True


@dataclass(frozen=True, slots=True)
class Block:
    """A rectangle with round corners; ``x``, ``y`` are its upper left corner."""

    x: int
    y: int
    width: int
    height: int
    fill: str
    stroke: str
    dashed: bool = False
    radius: int = 8


@dataclass(frozen=True, slots=True)
class Words:
    """A line of text; ``y`` is its baseline, ``anchor`` (start, middle, end) what lies at ``x``."""

    x: int
    y: int
    text: str
    size: int
    colour: str
    anchor: str = "start"
    bold: bool = False

    @property
    def width(self) -> float:
        return _font(self.size).getlength(self.text) / SCALE


Shape = Line | Block | Words


@dataclass(frozen=True, slots=True)
class Drawing:
    """Shapes, the first at the bottom, on a ground of one colour."""

    width: int
    height: int
    title: str
    shapes: tuple[Shape, ...]
    ground: str = "#ffffff"

    def svg(self) -> str:
        body = "\n".join(map(_svg, self.shapes))
        return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" \
width="{self.width}" height="{self.height}" role="img" aria-labelledby="title" font-family="{_FONT}">
<title id="title">{escape(self.title)}</title>
{body}
</svg>
"""

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.svg().encode()).hexdigest()

    def png(self, file: Path) -> None:
        """Write the pixels, with the digest beside them."""
        image = Image.new("RGB", (self.width * SCALE, self.height * SCALE), self.ground)
        canvas = ImageDraw.Draw(image)
        for shape in self.shapes:
            _paint(canvas, shape)
        words = PngImagePlugin.PngInfo()
        words.add_text(DIGEST, self.digest)
        image.quantize(256, dither=Image.Dither.NONE).save(file, pnginfo=words, optimize=True)


def _svg(shape: Shape) -> str:
    dashes = f' stroke-dasharray="{_DASH} {_GAP}"' if not isinstance(shape, Words) and shape.dashed else ""
    match shape:
        case Block(x, y, width, height, fill, stroke):
            place = f'x="{x}" y="{y}" width="{width}" height="{height}" rx="{shape.radius}"'
            return f'<rect {place} fill="{fill}" stroke="{stroke}" stroke-width="1.5"{dashes}/>'
        case Line(points, colour):
            corners = " ".join(f"{x},{y}" for x, y in points)
            paint = f'fill="none" stroke="{colour}" stroke-width="1.7"{dashes}'
            heads = (" ".join(f"{x},{y}" for x, y in head) for head in _heads(shape))
            arrows = "".join(f'<polygon points="{head}" fill="{colour}"/>' for head in heads)
            return f'<polyline points="{corners}" {paint}/>{arrows}'
        case Words(x, y, text, size, colour, anchor):
            weight = ' font-weight="600"' if shape.bold else ""
            place = f'x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}"'
            return f'<text {place} fill="{colour}"{weight}>{escape(text)}</text>'


def _heads(line: Line) -> Iterator[tuple[Point, ...]]:
    ends = [(line.points[-2], line.points[-1])] if line.head else []
    if line.both:
        ends.append((line.points[1], line.points[0]))
    for (from_x, from_y), (x, y) in ends:
        dx, dy = (x > from_x) - (x < from_x), (y > from_y) - (y < from_y)
        back_x, back_y = x - 8 * dx, y - 8 * dy
        yield (x, y), (back_x - 4 * dy, back_y - 4 * dx), (back_x + 4 * dy, back_y + 4 * dx)


def _paint(canvas: ImageDraw.ImageDraw, shape: Shape) -> None:
    match shape:
        case Block(x, y, width, height, fill, stroke):
            right, bottom = x + width, y + height
            border = 0 if shape.dashed or fill == stroke else 3
            box = (SCALE * x, SCALE * y, SCALE * right, SCALE * bottom)
            canvas.rounded_rectangle(box, SCALE * shape.radius, fill, stroke, border)
            if shape.dashed:
                corners = ((x, y), (right, y), (right, bottom), (x, bottom), (x, y))
                _stroke(canvas, corners, stroke, dashed=True)
        case Line(points, colour):
            _stroke(canvas, points, colour, dashed=shape.dashed)
            for head in _heads(shape):
                canvas.polygon([(SCALE * x, SCALE * y) for x, y in head], fill=colour)
        case Words(x, y, text, size, colour, anchor):
            side = {"start": "ls", "middle": "ms", "end": "rs"}[anchor]
            bold = 0.6 if shape.bold else 0
            canvas.text((SCALE * x, SCALE * y), text, colour, _font(size), side, stroke_width=bold)


def _stroke(canvas: ImageDraw.ImageDraw, points: tuple[Point, ...], colour: str, *, dashed: bool) -> None:
    for (x, y), (to_x, to_y) in itertools.pairwise(points):
        length = abs(to_x - x) + abs(to_y - y)
        dx, dy = (to_x > x) - (to_x < x), (to_y > y) - (to_y < y)
        for offset in range(0, length, _DASH + _GAP if dashed else length):
            stop = min(offset + _DASH, length) if dashed else length
            ends = [(SCALE * (x + dx * at), SCALE * (y + dy * at)) for at in (offset, stop)]
            canvas.line(ends, colour, 3)


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(SCALE * size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow with FreeType, as its wheels are"
    return font
