"""Delivery: the markup that shows one image in a page: HTML, a loader for Next.js, and CSS.

Pure. All of it uses the same candidates, so that browsers request and cache the same files. Keys and URLs
are escaped for HTML, CSS and JavaScript.
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
from .srcset import Candidate, SrcSet, WidthSpec, build_srcset

ALT = "TODO: say what this picture shows"
_LINE = re.compile(r"[^\x00-\x1f\x7f]{0,500}")


class MarkupOptions(Struct, frozen=True):
    """The author's choices. ``widths``: which widths to offer. ``sizes``: how wide the image is shown, as in
    HTML. ``alt``: the alternative text. Both texts are one line of at most 500 characters, else Invalid is
    raised."""

    widths: WidthSpec = WidthSpec()
    sizes: str = "100vw"
    alt: str = ALT

    def __post_init__(self) -> None:
        for name in ("sizes", "alt"):
            text = getattr(self, name)
            if not _LINE.fullmatch(text):
                raise Invalid.one(name, "one line of at most 500 characters", text)


class Markup(Struct, frozen=True):
    """The markup of one image."""

    img: str
    picture: str
    loader: str | None
    """JavaScript for next/image; None if no URL leaves the format to the client."""
    css: str
    placeholder: str | None
    """A data URI; None if the image has no visual summary."""
    width: int
    """Pixels of the widest candidate, as ``height``."""
    height: int
    left_out: tuple[str, ...]
    """Which widths are missing, and why."""


def render_markup(record: Record, options: MarkupOptions, urls: UrlBuilder) -> Markup:
    """The markup of a processed image.

    Raises Refused for a refused image, Invalid for one that is not processed yet, and as `build_srcset`.
    """
    if record.reason is not None:
        raise Refused(record.reason, record.message or "")
    if record.original is None:
        raise Invalid.one("the image", "one that is processed", record.status.value)
    srcset = build_srcset(record, record.original, options.widths, urls)
    largest = srcset.largest
    blurred = placeholder(record.summary, record.original) if record.summary else None
    # Behind a transparent image, the placeholder would remain visible.
    background = None if record.original.alpha else blurred
    img = _img(srcset, largest, options, background)
    return Markup(
        img=img,
        picture=_picture(srcset, options, img),
        loader=_loader(srcset, urls.base_url),
        css=_css(srcset, largest, record, background),
        placeholder=blurred,
        width=largest.width,
        height=largest.height,
        left_out=srcset.left_out,
    )


def _img(srcset: SrcSet, largest: Candidate, options: MarkupOptions, background: str | None) -> str:
    style = "max-width: 100%; height: auto"
    if background is not None:
        style += f"; background: url({background}) center / cover no-repeat"
    return _tag(
        "img",
        {
            "src": largest.url,
            "srcset": _srcset(srcset.formats[-1][1]),
            "sizes": options.sizes,
            "width": str(largest.width),
            "height": str(largest.height),
            "alt": options.alt,
            "style": style,
        },
    )


def _picture(srcset: SrcSet, options: MarkupOptions, img: str) -> str:
    sources = [
        _tag(
            "source",
            {"type": FORMATS[name].media_type, "srcset": _srcset(candidates), "sizes": options.sizes},
        )
        for name, candidates in srcset.formats[:-1]
    ]
    return "\n".join(["<picture>", *(f"  {line}" for line in (*sources, img)), "</picture>"])


def _srcset(candidates: tuple[Candidate, ...]) -> str:
    return ", ".join(f"{candidate.url} {candidate.width}w" for candidate in candidates)


def _tag(name: str, attributes: Mapping[str, str]) -> str:
    return f"<{name} " + " ".join(f'{key}="{escape(value)}"' for key, value in attributes.items()) + ">"


_LOADER_FOR_ALL = """\
// For next/image: `src` is the key of any image that matches the same rule of the recipe.
const base = {base};
const steps = {steps};

export default function imageLoader({{ src, width }}) {{
  const [, query] = steps.find(([step]) => step >= width) ?? steps[steps.length - 1];
  const parts = src.split("/");
  const slash = parts.includes(".") || parts.includes("..") ? "%2F" : "/";
  return `${{base}}/${{parts.map(encodeURIComponent).join(slash)}}?${{query}}`;
}}
"""
_LOADER_FOR_ONE = """\
// For next/image, for this image only: its URLs are signed.
const steps = {steps};

export default function imageLoader({{ width }}) {{
  return (steps.find(([step]) => step >= width) ?? steps[steps.length - 1])[1];
}}
"""


def _loader(srcset: SrcSet, base_url: str) -> str | None:
    if not srcset.negotiated:
        return None
    public = [[item.width, item.query] for item in srcset.negotiated if item.query is not None]
    if len(public) == len(srcset.negotiated):
        return _LOADER_FOR_ALL.format(base=_script(base_url), steps=_script(public))
    return _LOADER_FOR_ONE.format(steps=_script([[item.width, item.url] for item in srcset.negotiated]))


def _script(value: object) -> str:
    """A JavaScript literal that is also safe in a page."""
    return json.dumps(value).replace("<", "\\u003c")


def _css(srcset: SrcSet, largest: Candidate, record: Record, background: str | None) -> str:
    """A background half as wide as the widest candidate; a browser chooses by its pixel ratio."""
    image_set = [
        f"    {_url(candidate.url)} type({_string(FORMATS[name].media_type)}) {ratio:.4g}x"
        for name, candidates in srcset.formats
        for candidate in candidates
        if (ratio := 2 * candidate.width / candidates[-1].width) >= 1
    ]
    colour = (
        f"  background-color: {record.summary.dominant_colour};\n" if record.summary and background else ""
    )
    return (
        f".picture {{\n  aspect-ratio: {largest.width} / {largest.height};\n{colour}"
        f"  background-image: {_url(largest.url)};\n"
        "  background-image: image-set(\n" + ",\n".join(image_set) + "\n  );\n"
        "  background-size: cover;\n}\n"
    )


def _url(url: str) -> str:
    return f"url({_string(url)})"


def _string(text: str) -> str:
    """A CSS string (CSSOM, "serialize a string") that is also safe in a page."""
    return '"' + re.sub(r'[^ -~]|["\\<]', lambda char: f"\\{ord(char[0]):x} ", text) + '"'
