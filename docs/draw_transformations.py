"""Writes docs/transformations.md and the pictures of its examples, docs/transformations/*.webp.

Ranges, defaults and fields come from the code, words and examples from transformation_examples.py;
a row of the code without an example is an error. A test compares the file with `document()`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from msgspec import structs
from transformation_examples import (
    FITS,
    IMAGE_EXAMPLES,
    PARAMETER_EXAMPLES,
    TEXT_EXAMPLES,
    Example,
)

from image_processor.domain.formats import FORMATS
from image_processor.domain.transformation import PARAMETERS, Parameter, Transformation
from image_processor.domain.transformation.overlay_rows import IMAGE_ROWS, TEXT_ROWS
from image_processor.engine.operations import compose

OUTPUT = Path(__file__).with_name("transformations.md")
PICTURES = Path(__file__).with_name("transformations")

NEEDED = "must be given"
NO_DEFAULT = "none"
_LISTS = {"width": "`width` or `widths`", "format": "`formats`"}
_HEAD = (
    "| Parameter | In a recipe | Means | Range | Default | Example |\n| --- | --- | --- | --- | --- | --- |"
)

RECIPE = """\
[presets.card]
width = 480
ratio = "3:2"                  # a ratio or a list is what a text joins with colons
gravity = "attention"
sharpen = [1, 0.5]
round = "0.05"                 # a share of the shorter side; 24 would be pixels
background = "ffffff"
formats = ["avif", "jpeg"]

[[presets.card.overlays]]      # the first overlay
image = "logos/mark.png"
width = 0.2
gravity = "southeast"
x = 12
y = 12

[[presets.card.overlays]]      # the second lies over it
text = "A lake at dusk"
size = 0.08
gravity = "southwest"
shadow = "000000"

[presets.list]                 # or texts, one for each rendition, and no other field
transformations = ["w=160,h=160,g=attention,fm=webp", "w=160,grey=1,fm=jpeg"]

[[rules]]
match = "**"
presets = ["card", "list"]
"""


def examples() -> Iterator[tuple[str, Example]]:
    """Every example with the name of its picture; an overlay's text within that of a rendition."""
    yield from PARAMETER_EXAMPLES.items()
    for fit, example in FITS.items():
        yield f"fit-{fit}", example
    for layer, table in (("image", IMAGE_EXAMPLES), ("text", TEXT_EXAMPLES)):
        for name, example in table.items():
            yield f"{layer}-{name}", replace(example, text=f"w=160,over={example.text},fm=webp")


def document() -> str:
    """The text of docs/transformations.md."""
    return f"""\
# Transformations

<!-- Written by docs/draw_transformations.py: `make docs` writes it again. -->

What a rendition can be. A transformation is a text of parameters, `w=640,fm=webp`, in any order, each
at most once but `over`. The same picture always has the same canonical text: parameters in the order of
this table, without those that are at their default or change nothing. The examples are canonical and made
from a photograph of 480 x 320 pixels. A length without a decimal point is pixels, with one a share of the
side: `1` is a pixel, `1.0` the whole side.

{_table(PARAMETERS, PARAMETER_EXAMPLES, "")}

Where no `q` is given it is {_qualities()}; {_lossless()} lose nothing.
An original is scaled to at most its own size unless `enlarge` says otherwise.

## How the picture meets a box

A box is a width and a height, or a ratio. All examples but the last are a box of 160 x 80.

| Fit | Means | Example |
| --- | --- | --- |
{_rows(f"| `{fit}` | {example.means} | {_shown(example, f'fit-{fit}')} |" for fit, example in FITS.items())}

## In which order

However a text is written, the steps are these:

{_order()}

## Overlays

An overlay is the value of `over`: pairs with `:` between name and value and `;` between pairs, as in
`over=image:mark.png;w:0.3;g:southeast`. It begins with an image or with a text. Shares are of the
rendition's sides, `x` and `w` of its width, `y`, `h` and `size` of its height.

### An image

{_table(IMAGE_ROWS, IMAGE_EXAMPLES, "image-")}

It is never larger than the rendition; without `w` and `h` it has its own size if that fits.

### A text

{_table(TEXT_ROWS, TEXT_EXAMPLES, "text-")}

A text that does not fit the rendition is made smaller until it does. Fonts are those of the machine, or of
the directory that `IMAGE_PROCESSOR_FONTS` names; Lambda's machines have none.

## In a recipe

A preset names the fields of the second column; TOML's own numbers, `true` and `false` say what a text
says with `1` and `0`. `widths` and `formats` are lists: the preset gives a rendition for each pair of them.

```toml
{RECIPE}```
"""


def _table(rows: Iterable[Parameter], means: Mapping[str, Example], prefix: str) -> str:
    return f"{_HEAD}\n" + _rows(_row(row, means[row.name], f"{prefix}{row.name}", prefix) for row in rows)


def _row(row: Parameter, example: Example, picture: str, layer: str) -> str:
    """One line of a table; ``layer`` is empty for a rendition's own parameters."""
    field = f"`{row.field}`" if layer else _LISTS.get(row.field, f"`{row.field}`")
    takers = [] if layer else [entry.title for entry in FORMATS.values() if row.field in entry.takes]
    means = example.means + (f" ({', '.join(takers)})" if takers else "")
    cells = (f"`{row.name}`", field, means, row.expected, _default(row, layer), _shown(example, picture))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(row: Parameter, layer: str) -> str:
    if row.name in {"image", "text"}:
        return NEEDED
    value = row.default if layer else _DEFAULTS[row.field]
    return NO_DEFAULT if value is None or value == () else f"`{row.kind.show(value)}`"


_DEFAULTS = {field.name: field.default for field in structs.fields(Transformation)}


def _shown(example: Example, picture: str) -> str:
    said = f"`{example.said}` is " if example.said else ""
    return f"{said}`{example.text}`<br>![{picture}](transformations/{picture}.webp)"


def _rows(lines: Iterable[str]) -> str:
    return "\n".join(lines)


def _qualities() -> str:
    lossy = [entry for entry in FORMATS.values() if entry.saver and entry.quality]
    return ", ".join(f"{entry.quality} for {entry.title}" for entry in lossy)


def _lossless() -> str:
    return ", ".join(entry.title for entry in FORMATS.values() if entry.saver and entry.quality is None)


def _order() -> str:
    names = {row.field: f"`{row.name}`" for row in PARAMETERS}
    pixels = ", ".join(names[field] for field, _ in compose._PIXEL_STEPS)  # noqa: SLF001 - it is the order
    stages = (
        "what of the original: `frame` or `frames`, `orient`, `trim` and `trim-bg`, `rect`, `rot`, `flip`",
        "how large: `w`, `h`, `ar`, `min-w`, `min-h`, `zoom`, `dpr`, `fit`, `enlarge`, `linear`",
        "what is left of it: cut to the box as `g`, `gx`, `gy` or `fp` say",
        f"its pixels: {pixels}",
        "bars, where `fit=contain` leaves any: `bg`, `edge`",
        "overlays: `over`, one after the other",
        "corners: `ellipse` or `round`",
        "`op`",
        "padding: `pad`, filled as `bg` or `edge` says",
        "what is still transparent: `bg`, or white where the format has no transparency",
        "encoding: `q`, `max-bytes` and all that follows them in the table",
    )
    return "\n".join(f"{number}. {stage}" for number, stage in enumerate(stages, 1))


def _draw_pictures() -> None:
    from transformation_originals import Originals, rendered  # noqa: PLC0415

    from image_processor.engine.sample import draw_sample  # noqa: PLC0415 - only who draws needs them

    originals = Originals(draw_sample())
    PICTURES.mkdir(exist_ok=True)
    drawn = {f"{name}.webp": example for name, example in examples()}
    for name, example in drawn.items():
        body = originals.rendition(example)
        if "fm=webp" not in example.text or "lossless" in example.text:
            body = rendered(body, "q=85,fm=webp")
        (PICTURES / name).write_bytes(body)
    for stale in set(PICTURES.glob("*.webp")) - {PICTURES / name for name in drawn}:
        stale.unlink()


def main() -> None:
    OUTPUT.write_text(document(), encoding="utf-8")
    _draw_pictures()


if __name__ == "__main__":
    main()
