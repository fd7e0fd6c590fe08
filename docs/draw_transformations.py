"""Writes docs/transformations.md and its pictures from the vocabulary itself: run it again after
changing a row. Ranges, defaults and fields are the code's; what they mean is in transformation_words.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from transformation_words import IMAGE_WORDS, PLACE_WORDS, TEXT_WORDS, WORDS

from image_processor.engine.render import render
from image_processor.engine.sample import draw_sample
from image_processor.model import Limits
from image_processor.transformation import PARAMETERS, Parameter, Transformation, parse
from image_processor.transformation.overlay_rows import IMAGE_ROWS, TEXT_ROWS

OUTPUT = Path(__file__).with_name("transformations.md")
PICTURES = Path(__file__).with_name("transformations")

_WIDTH = 120
_SIZED = ("w", "h", "ar", "zoom")

_HEAD = """\
# Transformations

How a rendition is made is said in one line, the same in recipes, in the names of renditions and on the
command line: `w=640,h=480,fit=cover,g=north,fm=webp`. Any order is read; what is shown is canonical,
so that what means the same has one name. Every mistake is told at once, with what was expected.

A recipe says it in TOML, by the fields' names. Where a text joins values by colons, TOML has a list:
`region = [0.1, 0.1, 0.5, 0.5]`. A share of a side has a decimal point, pixels have none: `0.25`, `20`.
`widths` makes one rendition for each width, `formats` one for each format, and `quality` may be a
table by format. `transformations = ["w=640,fm=webp"]` takes whole texts.

This page is written by [draw_transformations.py](draw_transformations.py) from the code; the pictures
are made by the engine.

"""

_FITS = """\
## Fits

| | The picture is scaled | The result |
| --- | --- | --- |
| `cover` | until it covers the box | is the box; what is over it is cut off |
| `fill-down` | as cover | is smaller where the picture is, but keeps the box's ratio |
| `contain` | until it fits into the box | is the box, with bars |
| `inside` | until it fits into the box | is what fits |
| `outside` | until it covers the box | is what covers |
| `fill` | to the box, whatever its ratio | is the box |

Nothing is scaled above its natural size unless `enlarge=1`.

## Order

Parameters take effect in the order of the table, whatever order they are written in: what of the
original (`frame` to `flip`), its size and crop (`w` to `linear`), tone and colour (`norm` to `neg`),
neighbourhoods (`median` to `px`), the bars of `contain`, overlays, corners, opacity, padding, and last
the background and the encoder.

"""

_OVERLAYS = """\
## Overlays

`over` holds a list of its own, with `;` between and `:` within: `over=text:Hello~20you;size:0.1;g:south`.
Whatever is no letter, digit, `_`, `.` or `-` is written as `~` and two hex digits of its UTF-8. In a
recipe they are tables, in which texts and keys stand as they are:

```toml
[[presets.card.overlays]]
text = "Hello, you"
size = 0.1
gravity = "south"
```

"""


def document() -> str:
    """The whole page."""
    return "".join(
        [
            _HEAD,
            _table(PARAMETERS, {name: words.meaning for name, words in WORDS.items()}, examples=True),
            "\n",
            _FITS,
            _OVERLAYS,
            "### Pictures\n\n",
            _table(IMAGE_ROWS, {**PLACE_WORDS, **IMAGE_WORDS}),
            "\n### Texts\n\n",
            _table(TEXT_ROWS, {**PLACE_WORDS, **TEXT_WORDS}),
        ]
    )


def _table(rows: Iterable[Parameter], meanings: Mapping[str, str], *, examples: bool = False) -> str:
    names = ["Name", "Field", "Means", "Range", "Default", *(["Example"] if examples else [])]
    lines = [names, ["---"] * len(names)]
    for row in rows:
        cells = [f"`{row.name}`", f"`{row.field}`", meanings[row.name], _escaped(row.expected), _default(row)]
        lines.append([*cells, *([_example(row.name)] if examples else [])])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _default(row: Parameter) -> str:
    default: Any = row.default
    return "none" if default is None or default in ("", ()) else f"`{row.kind.show(default)}`"


def _example(name: str) -> str:
    example = WORDS[name].example
    if example is None:
        return ""
    return f"![{name}](transformations/{name}.png)<br>`{_escaped(example)}`"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def example_of(name: str) -> Transformation | None:
    """The transformation behind an example's picture."""
    text = WORDS[name].example
    if text is None:
        return None
    sized = any(f",{side}=" in f",{text}" for side in _SIZED)
    size = "" if sized else f"w={_WIDTH},"
    format_ = "" if "fm=" in text else ",fm=png"
    return parse(f"{size}{text}{format_}")


def pictures() -> Iterator[tuple[str, bytes]]:
    """Each example's picture as a PNG of few colours."""
    sample = draw_sample()
    for name in WORDS:
        transformation = example_of(name)
        if transformation is None:
            continue
        (made,) = render(sample, [transformation], Limits(), look=False).renditions
        # What an encoder did to a picture must be seen in a PNG as well.
        few = "colours=64,fm=png" if name != "colours" else "fm=png"
        (shown,) = render(made.body, [parse(few)], Limits(), look=False).renditions
        yield name, shown.body


def main() -> int:
    OUTPUT.write_text(document(), encoding="utf-8")
    PICTURES.mkdir(exist_ok=True)
    for stale in PICTURES.glob("*.png"):
        stale.unlink()
    for name, body in pictures():
        (PICTURES / f"{name}.png").write_bytes(body)
    return 0


if __name__ == "__main__":
    sys.exit(main())
