"""Writes docs/transformations.md and the pictures of its examples, docs/transformations/*.webp.

Everything about a parameter comes from its declaration; one without a meaning or an example is an
error. A test compares the file with `document()`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from msgspec import NODEFAULT
from transformation_examples import FITS

from image_processor.domain.formats import FORMATS
from image_processor.domain.transformation import (
    IMAGE_PARAMETERS,
    PARAMETERS,
    STEP_KINDS,
    TEXT_PARAMETERS,
    Example,
    Parameter,
)
from image_processor.engine.operations import compose

OUTPUT = Path(__file__).with_name("transformations.md")
PICTURES = Path(__file__).with_name("transformations")

NEEDED = "must be given"
NO_DEFAULT = "none"
_LISTS = {"width": "`width` or `widths`", "format": "`formats`"}
_HEAD = "| Parameter | Meaning and values | Default | Example |\n| --- | --- | --- | --- |"

PARTS = (
    ("frame", "Original", "Which part of the file is used, before anything else happens."),
    (
        "w",
        "Size and crop",
        "[Fit](#fit) shows what `fit` does, [order of operations](#order-of-operations) when.",
    ),
    ("norm", "Colour", "Tones and colours of the resized image, in the order of this table."),
    ("median", "Detail", "Filters of the resized image: lengths are pixels of the rendition."),
    ("over", "Overlays, shape and padding", "What is drawn on the image, cut off it, or added around it."),
    ("q", "Encoding", "The format, and how many bytes it may have."),
)
"""The parts of the table of parameters: the first parameter of each, its title, and what it is about."""

RECIPE = """\
[presets.card]
width = 480
ratio = "3:2"                  # ratios and lists: what URLs join with colons
gravity = "attention"
sharpen = [1, 0.5]
round = "0.05"                 # a fraction of the shorter side; 24 would be pixels
background = "ffffff"
formats = ["avif", "jpeg"]

[[presets.card.overlays]]      # the first overlay
image = "logos/mark.png"
width = 0.2
gravity = "southeast"
x = 12
y = 12

[[presets.card.overlays]]      # drawn on top of the first
text = "A lake at dusk"
size = 0.08
gravity = "southwest"
shadow = "000000"

[presets.list]                 # or texts, one per rendition, and no other field
transformations = ["w=160,h=160,g=attention,fm=webp", "w=160,grey=1,fm=jpeg"]

[[rules]]
match = "**"
presets = ["card", "list"]
"""


# An overlay's example is the part after `over=` in `w=160,over=...,fm=webp`; that of a parameter that both
# kinds of overlay share goes on from one of these.
_LAYERS = {"image": "image:mark.png;w:0.3", "text": "text:Lake;size:0.2"}
_TABLES = {"": PARAMETERS, "image": IMAGE_PARAMETERS, "text": TEXT_PARAMETERS}


def examples() -> Iterator[tuple[str, Example]]:
    """Every example with the name of its picture; an overlay's text within that of a rendition."""
    yield from ((row.name, _example(row, "")) for row in PARAMETERS)
    for fit, (_, example) in FITS.items():
        yield f"fit-{fit}", example
    for name in STEP_KINDS:
        yield f"then-{name}", _then(name)
    for layer in _LAYERS:
        for row in _TABLES[layer]:
            example = _example(row, layer)
            yield f"{layer}-{row.name}", Example(f"w=160,over={example.text},fm=webp", example.original)


def _example(row: Parameter, layer: str) -> Example:
    if not row.example or not row.meaning:
        raise ValueError(f"expected a meaning and an example for {row.name}, got none")
    if isinstance(row.example, Example):
        return row.example
    shared = layer and not row.example.startswith(f"{layer}:")
    return Example(f"{_LAYERS[layer]};{row.example}" if shared else row.example)


def document() -> str:
    """The text of docs/transformations.md."""
    return f"""\
# Transformations

<!-- Written by docs/draw_transformations.py: `make docs` writes it again. -->

A transformation is a list of parameters, `w=640,fm=webp`, in any order, each at most once except
`over` and `then`. It works in [URLs](urls.md), in [commands](without-a-server.md), in
[programs](python.md) and in [recipes](#in-a-recipe); the second name in a table is for recipes. The
[cookbook](cookbook.md) has whole examples, and the [studio](studio.md) a control for each parameter.

Equal images have the same canonical text: parameters in the order of these tables, without those that
have their default or no effect. The examples are canonical and made from a photo of 480 x 320 pixels. A
length without a decimal point is in pixels; with one it is a fraction of the side: `1` is a pixel, `1.0`
the whole side.

{_parts()}

The default of `q` is {_qualities()}; {_lossless()} are lossless.
Renditions are at most as large as the original unless `enlarge=1`.

## Fewer bytes

A rendition in the format and at the size of its original can have more bytes than it, at no gain. The
original's coded data is sent instead, without its metadata, if it has fewer bytes and decodes to the very
pixels of the rendition: orientation, colours and every other parameter have their effect. The API's
`keep_smaller` and, for a new rendition by URL, `Server-Timing` say `kept` then; else they say why a rendition
has more bytes than the original:

| Value | Meaning |
| --- | --- |
| `pixels` | it has other pixels: colours were converted, or a parameter changes them |
| `orientation` | EXIF orientation was applied |
| `colour` | this format cannot carry the file's colour space, or it cannot be removed |
| `options` | `prog` or `colours` asks for another encoding |
| `damaged` | the file ends early or is damaged |
| `structure` | the file has parts that cannot be distinguished from metadata |
| `profile` | with the profile of `IMAGE_PROCESSOR_ICC` the original's data has more bytes, too |

Viewers then decode what a stranger has encoded. `keep-smaller=0`, in a recipe `keep_smaller = false`, always
encodes again.

## Fit

`fit` applies if both sides are given, or one side and a ratio. All examples but the last ask for 160 x 80.

| Fit | Meaning | Example |
| --- | --- | --- |
{_fits()}

## Order of operations

The order of the text does not matter. Operations always run in this order:

{_order()}

## Overlays

The value of `over` is a list of pairs, with `:` between name and value and `;` between pairs:
`over=image:mark.png;w:0.3;g:southeast`. It starts with `image` or `text`. Fractions refer to the
rendition: `x` and `w` to its width, `y`, `h` and `size` to its height.

### Image overlays

{_table("image", _TABLES["image"])}

An image overlay is never larger than the rendition; without `w` and `h` it keeps its own size if that fits.

### Text overlays

{_table("text", _TABLES["text"])}

A text that does not fit is scaled down until it does. Fonts come from the system, or from
the directory that `IMAGE_PROCESSOR_FONTS` names; Lambda has none.

## Steps

A step is one more operation after all others: `then=NAME:VALUE`. Steps run in the order of the text. An
overlay, written as for `over`, is a step, too. In a recipe, `steps` is a list of texts such as `"blur:3"`.

| Step | Meaning and value | Example |
| --- | --- | --- |
{_steps()}

## In a recipe

Where a table shows a second name, a preset uses that one; TOML's `true` and `false` replace
`1` and `0`. `widths` and `formats` are lists: the preset makes one rendition per combination.

```toml
{RECIPE}```
"""


def _parts() -> str:
    """The tables of a rendition's parameters, part by part."""
    rows = _TABLES[""]
    starts = [[row.name for row in rows].index(first) for first, _, _ in PARTS]
    return "\n\n".join(
        f"## {title}\n\n{about}\n\n{_table('', rows[start:end])}"
        for (_, title, about), start, end in zip(PARTS, starts, [*starts[1:], len(rows)], strict=True)
    )


def _table(layer: str, rows: Sequence[Parameter]) -> str:
    """A table of parameters of a rendition, or of overlays of the kind ``layer``."""
    return f"{_HEAD}\n" + _rows(_row(row, layer) for row in rows)


def _row(row: Parameter, layer: str) -> str:
    example = _example(row, layer)
    picture = f"{layer}-{row.name}" if layer else row.name
    field = f"`{row.field}`" if layer else _LISTS.get(row.field, f"`{row.field}`")
    names = f"`{row.name}`" + ("" if field == f"`{row.name}`" else f"<br>{field}")
    formats = [one.title for one in FORMATS.values() if not layer and row.field in one.encoder_options]
    meaning = row.meaning + (f" ({', '.join(formats)})" if formats else "")
    cells = (names, f"{meaning}<br>*{row.expected}*", _default(row), _shown(example, picture))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(row: Parameter) -> str:
    if row.default is NODEFAULT:
        return NEEDED
    return NO_DEFAULT if row.default is None or row.default == () else f"`{row.type.show(row.default)}`"


def _shown(example: Example, picture: str) -> str:
    written = f"`{example.written}` is " if example.written else ""
    return f"![{picture}](transformations/{picture}.webp)<br>{written}`{example.text}`"


def _steps() -> str:
    lines = (
        (f"`{name}`", f"{kind.meaning}<br>*{kind.type.expected}*", _shown(_then(name), f"then-{name}"))
        for name, kind in STEP_KINDS.items()
    )
    return _rows("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |" for cells in lines)


def _then(name: str) -> Example:
    kind = STEP_KINDS[name]
    return Example(f"w=160,then={kind.example},fm=webp", kind.original)


def _fits() -> str:
    return _rows(
        f"| `{fit}` | {meaning} | {_shown(example, f'fit-{fit}')} |"
        for fit, (meaning, example) in FITS.items()
    )


def _rows(lines: Iterable[str]) -> str:
    return "\n".join(lines)


def _qualities() -> str:
    lossy = [entry for entry in FORMATS.values() if entry.writable and entry.quality]
    return ", ".join(f"{entry.quality} for {entry.title}" for entry in lossy)


def _lossless() -> str:
    return ", ".join(entry.title for entry in FORMATS.values() if entry.writable and entry.quality is None)


def _order() -> str:
    names = {row.field: f"`{row.name}`" for row in PARAMETERS}
    pixels = ", ".join(names[field] for field, _ in compose.PIXEL_OPERATIONS)
    stages = (
        (
            "input: `frame` or `frames`, `orient`, `trim` with `trim-bg`, `trim-last`, `trim-eq`, `rect`, "
            "`rot`, `flip`"
        ),
        "resize: `w`, `h`, `ar`, `min-w`, `min-h`, `zoom`, `dpr`, `fit`, `enlarge`, `linear`",
        "crop: `g`, `gx`, `gy`, `fp`",
        f"pixels: {pixels}",
        "bars of `fit=contain`: `bg`, `edge`",
        "overlays: `over`, in order",
        "corners: `ellipse` or `round`",
        "opacity: `op`",
        "padding: `pad`, filled with `bg` or `edge`",
        "steps: `then`, in order",
        "remaining transparency: `bg`, or white if the format has no transparency",
        "encoding: `q` and the parameters after it",
    )
    return "\n".join(f"{number}. {stage}" for number, stage in enumerate(stages, 1))


def pictures() -> Iterator[tuple[str, bytes]]:
    """Every example's picture with its file name."""
    from transformation_originals import Originals, rendered  # noqa: PLC0415

    from image_processor.engine.sample import draw_sample  # noqa: PLC0415 - only who draws needs them

    originals = Originals(draw_sample())
    for name, example in examples():
        body = originals.rendition(example)
        if "fm=webp" not in example.text or "lossless" in example.text:
            body = rendered(body, "q=85,fm=webp")
        yield f"{name}.webp", body


def _draw_pictures() -> None:
    PICTURES.mkdir(exist_ok=True)
    drawn = dict(pictures())
    for name, body in drawn.items():
        (PICTURES / name).write_bytes(body)
    for stale in set(PICTURES.glob("*.webp")) - {PICTURES / name for name in drawn}:
        stale.unlink()


def main() -> None:
    OUTPUT.write_text(document(), encoding="utf-8")
    _draw_pictures()


if __name__ == "__main__":
    main()
