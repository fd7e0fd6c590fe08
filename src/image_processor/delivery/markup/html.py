"""Delivery: what the author of a page writes to show one image: HTML, a loader for Next.js, CSS.

Pure. Everything comes from one ladder of widths, so that a browser finds the same files whichever way
it was told of them. Nothing of a key or an address means anything to HTML, CSS or JavaScript.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html import escape

from msgspec import Struct

from image_processor.delivery.url.builder import UrlBuilder
from image_processor.domain.errors import Invalid, Refused
from image_processor.domain.formats import FORMATS
from image_processor.domain.models import Record

from .placeholder import placeholder
from .srcset import Candidate, SrcSet, WidthSpec, build_srcset, largest

ALT = "TODO: say what this picture shows"
_LINE = re.compile(r"[^\x00-\x1f\x7f]{0,500}")


class MarkupOptions(Struct, frozen=True):
    """What the author says: ``sizes`` is how wide the picture is shown (HTML's `sizes`), ``alt`` its text
    for those who do not see it; both are one line of at most 500 characters."""

    rungs: WidthSpec = WidthSpec()
    sizes: str = "100vw"
    alt: str = ALT

    def __post_init__(self) -> None:
        for name in ("sizes", "alt"):
            text = getattr(self, name)
            if not _LINE.fullmatch(text):
                raise Invalid.one(name, "one line of at most 500 characters", text)


class Markup(Struct, frozen=True):
    """The same image in every way that pages show images. ``width`` and ``height`` are the pixels of its
    widest picture; ``loader`` is None where no URL can leave the format open; ``placeholder`` is a data
    URI, None where the image has no look. ``left_out`` says which widths are missing, and why."""

    img: str
    picture: str
    loader: str | None
    css: str
    placeholder: str | None
    width: int
    height: int
    left_out: tuple[str, ...]


def render_markup(record: Record, wish: MarkupOptions, urls: UrlBuilder) -> Markup:
    """The markup of a processed image.

    Raises Refused for a refused one, Invalid for one that is not processed yet, and as `build_srcset`.
    """
    if record.reason is not None:
        raise Refused(record.reason, record.message or "")
    if record.original is None:
        raise Invalid.one("the image", "one that is processed", record.status.value)
    ladder = build_srcset(record, record.original, wish.rungs, urls)
    shown = largest(ladder)
    blurred = placeholder(record.summary, record.original) if record.summary else None
    # What shines through would still be seen when the picture is there.
    behind = None if record.original.alpha else blurred
    img = _img(ladder, shown, wish, behind)
    return Markup(
        img=img,
        picture=_picture(ladder, wish, img),
        loader=_loader(ladder, urls.base_url),
        css=_css(ladder, shown, record, behind),
        placeholder=blurred,
        width=shown.width,
        height=shown.height,
        left_out=ladder.left_out,
    )


def _img(ladder: SrcSet, shown: Candidate, wish: MarkupOptions, behind: str | None) -> str:
    style = "max-width: 100%; height: auto"
    if behind is not None:
        style += f"; background: url({behind}) center / cover no-repeat"
    return _tag(
        "img",
        {
            "src": shown.url,
            "srcset": _srcset(ladder.formats[-1][1]),
            "sizes": wish.sizes,
            "width": str(shown.width),
            "height": str(shown.height),
            "alt": wish.alt,
            "style": style,
        },
    )


def _picture(ladder: SrcSet, wish: MarkupOptions, img: str) -> str:
    sources = [
        _tag(
            "source",
            {"type": FORMATS[name].media_type, "srcset": _srcset(row), "sizes": wish.sizes},
        )
        for name, row in ladder.formats[:-1]
    ]
    return "\n".join(["<picture>", *(f"  {line}" for line in (*sources, img)), "</picture>"])


def _srcset(row: tuple[Candidate, ...]) -> str:
    return ", ".join(f"{one.url} {one.width}w" for one in row)


def _tag(name: str, attributes: Mapping[str, str]) -> str:
    return f"<{name} " + " ".join(f'{key}="{escape(value)}"' for key, value in attributes.items()) + ">"


_OF_ANY = """\
// For next/image: `src` is the key of any image that the same rule of the recipe is for.
const base = {base};
const steps = {steps};

export default function imageLoader({{ src, width }}) {{
  const [, query] = steps.find(([step]) => step >= width) ?? steps[steps.length - 1];
  const parts = src.split("/");
  const slash = parts.includes(".") || parts.includes("..") ? "%2F" : "/";
  return `${{base}}/${{parts.map(encodeURIComponent).join(slash)}}?${{query}}`;
}}
"""
_OF_ONE = """\
// For next/image, of this image alone: its URLs are signed, and only who has the key can sign.
const steps = {steps};

export default function imageLoader({{ width }}) {{
  return (steps.find(([step]) => step >= width) ?? steps[steps.length - 1])[1];
}}
"""


def _loader(ladder: SrcSet, base: str) -> str | None:
    if not ladder.negotiated:
        return None
    open_to_all = [[one.width, one.query] for one in ladder.negotiated if one.query is not None]
    if len(open_to_all) == len(ladder.negotiated):
        return _OF_ANY.format(base=_script(base), steps=_script(open_to_all))
    return _OF_ONE.format(steps=_script([[one.width, one.url] for one in ladder.negotiated]))


def _script(value: object) -> str:
    """A literal of JavaScript that may also stand within a page."""
    return json.dumps(value).replace("<", "\\u003c")


def _css(ladder: SrcSet, shown: Candidate, record: Record, behind: str | None) -> str:
    """A background half as wide as the widest picture. A browser takes the least that is sharp."""
    options = [
        f"    {_url(one.url)} type({_string(FORMATS[name].media_type)}) {2 * one.width / row[-1].width:.4g}x"
        for name, row in ladder.formats
        for one in row
        if 2 * one.width >= row[-1].width
    ]
    colour = f"  background-color: {record.summary.dominant_colour};\n" if record.summary and behind else ""
    return (
        f".picture {{\n  aspect-ratio: {shown.width} / {shown.height};\n{colour}"
        f"  background-image: {_url(shown.url)};\n"
        "  background-image: image-set(\n" + ",\n".join(options) + "\n  );\n"
        "  background-size: cover;\n}\n"
    )


def _url(url: str) -> str:
    return f"url({_string(url)})"


def _string(text: str) -> str:
    """A string of CSS ("CSS Syntax Module", serialising a string) that may also stand within a page."""
    return '"' + re.sub(r'[^ -~]|["\\<]', lambda sign: f"\\{ord(sign[0]):x} ", text) + '"'
