"""Shows every operation on one photograph: build/gallery.html, and build/gallery.png as one sheet.

A test's eye is pixels; this is for people's. Without a photograph's path it is the drawn sample.
"""

from __future__ import annotations

import argparse
import base64
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path

from draw_transformations import examples
from PIL import Image, ImageDraw, ImageFont
from transformation_originals import Originals, rendered

from image_processor.domain.errors import Refused
from image_processor.domain.formats import FORMATS
from image_processor.domain.transformation import parse
from image_processor.engine.sample import draw_sample

BUILD = Path(__file__).parent.parent / "build"
COLUMNS = 7
CELL, PICTURE_HEIGHT, LINE = 184, 168, 13
_SQUARE = 8  # of the chequered ground, on which transparency is seen
Font = ImageFont.ImageFont | ImageFont.FreeTypeFont
_GROUND, _INK = "#f6f8fa", "#1f2328"


@dataclass(frozen=True, slots=True)
class Shown:
    """One example: its text, its picture as the engine encoded it, and as PNG for Pillow."""

    name: str
    label: str
    format: str
    body: bytes
    png: bytes

    @property
    def source(self) -> str:
        """The picture as an address that holds it."""
        return f"data:{FORMATS[self.format].media_type};base64,{base64.b64encode(self.body).decode()}"


def shown(photograph: bytes) -> list[Shown]:
    originals = Originals(photograph)
    made: list[Shown] = []
    for name, example in examples():
        text = example.written or example.text
        try:
            body = originals.rendition(example)
        except Refused as refusal:
            # A busy photograph may not fit into the bytes of the sample's example.
            print(f"left out {text}: {refusal.message}")
            continue
        made.append(Shown(name, text, parse(text).format, body, rendered(body, "fm=png")))
    return made


def page(pictures: Iterable[Shown]) -> str:
    """One HTML file that needs no other."""
    figures = "\n".join(
        f'<figure id="{one.name}"><img src="{one.source}" alt="{one.name}">'
        f"<figcaption><b>{one.name}</b><br>{escape(one.label)}</figcaption></figure>"
        for one in pictures
    )
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Gallery of transformations</title>
<style>
body {{ background: {_GROUND}; color: {_INK}; font: 13px system-ui, sans-serif; display: flex;
  flex-wrap: wrap; gap: 16px; margin: 16px }}
figure {{ margin: 0; width: {CELL}px; overflow-wrap: anywhere }}
img {{ max-width: 100%; background: repeating-conic-gradient(#fff 0 25%, #d0d7de 0 50%) 0 0 / 16px 16px }}
</style>
{figures}
</html>
"""


def sheet(pictures: list[Shown]) -> Image.Image:
    """All pictures on one, row by row, each over its name and text."""
    font = ImageFont.load_default(10)
    labels = [[one.name, *_lines(one.label, font)] for one in pictures]
    height = PICTURE_HEIGHT + LINE * max(map(len, labels)) + 8
    rows = -(-len(pictures) // COLUMNS)
    whole = Image.new("RGB", (COLUMNS * CELL + 12, rows * height + 12), _GROUND)
    draw = ImageDraw.Draw(whole)
    for index, (one, lines) in enumerate(zip(pictures, labels, strict=True)):
        left, top = 12 + index % COLUMNS * CELL, 12 + index // COLUMNS * height
        picture = Image.open(io.BytesIO(one.png)).convert("RGBA")
        picture.thumbnail((CELL - 12, PICTURE_HEIGHT - 4))
        whole.paste(_on_squares(picture), (left, top))
        draw.multiline_text((left, top + PICTURE_HEIGHT), "\n".join(lines), _INK, font, spacing=3)
    return whole


def _lines(text: str, font: Font) -> list[str]:
    """``text`` on lines as wide as a picture, broken after a comma or semicolon."""
    lines = [""]
    for part in re.findall(r"[^,;]+[,;]?", text):
        if lines[-1] and font.getlength(lines[-1] + part) > CELL - 12:
            lines.append("")
        lines[-1] += part
    return lines


def _on_squares(picture: Image.Image) -> Image.Image:
    ground = Image.new("RGBA", picture.size, "white")
    draw = ImageDraw.Draw(ground)
    for top in range(0, picture.height, _SQUARE):
        for left in range(top % (2 * _SQUARE), picture.width, 2 * _SQUARE):
            draw.rectangle((left, top, left + _SQUARE - 1, top + _SQUARE - 1), "#d0d7de")
    return Image.alpha_composite(ground, picture)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photograph", nargs="?", type=Path, help="a picture of any format that is read")
    path = parser.parse_args().photograph
    pictures = shown(path.read_bytes() if path else draw_sample())
    BUILD.mkdir(exist_ok=True)
    (BUILD / "gallery.html").write_text(page(pictures), encoding="utf-8")
    sheet(pictures).save(BUILD / "gallery.png")
    print(f"{len(pictures)} pictures: {BUILD / 'gallery.html'}, {BUILD / 'gallery.png'}")


if __name__ == "__main__":
    main()
