"""`make gallery`: every operation on one photograph, as a page to look at. Not a part of the docs."""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path

from draw_transformations import example_of
from transformation_words import WORDS

from image_processor.engine.render import render
from image_processor.engine.sample import draw_sample
from image_processor.model import Limits
from image_processor.transformation import Transformation, parse

_PAGE = """<!doctype html><meta charset="utf-8"><title>Gallery</title>
<style>body {{ font: 13px system-ui, sans-serif; background: #eee; margin: 16px }}
figure {{ display: inline-block; width: 260px; margin: 8px; vertical-align: top }}
img {{ max-width: 240px; max-height: 240px; display: block }}
figcaption {{ overflow-wrap: anywhere; margin-top: 4px }}</style>
{figures}
"""
_TWICE = 2  # the examples are for small pictures


def gallery(photograph: bytes, folder: Path) -> Path:
    """Write the renditions and the page that shows them into ``folder``; gives the page."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = []
    for name in WORDS:
        example = example_of(name)
        if example is None:
            continue
        wanted = _larger(example)
        (made,) = render(photograph, [wanted], Limits(), look=False).renditions
        file = folder / f"{name}.{wanted.name.rpartition('.')[2]}"
        file.write_bytes(made.body)
        caption = f"<b>{escape(name)}</b> {escape(str(wanted))}"
        figures.append(f'<figure><img src="{file.name}" alt=""><figcaption>{caption}</figcaption></figure>')
    page = folder / "index.html"
    page.write_text(_PAGE.format(figures="\n".join(figures)), encoding="utf-8")
    return page


def _larger(example: Transformation) -> Transformation:
    return parse(f"{example},dpr={_TWICE}")


def main(arguments: list[str]) -> int:
    if len(arguments) > 1:
        sys.stderr.write(f"expected at most one photograph, got {len(arguments)}\n")
        return 2
    photograph = Path(arguments[0]).read_bytes() if arguments else draw_sample()
    page = gallery(photograph, Path("build/gallery"))
    sys.stdout.write(f"{page}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
