"""`srcset`: what the author of a page writes to show one image."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer
from msgspec import to_builtins

from image_processor.bootstrap.delivery import build_policy
from image_processor.bootstrap.recipe import load_recipe
from image_processor.bootstrap.standalone import BUCKET, RENDITIONS
from image_processor.config.settings import PREFIX, Settings
from image_processor.delivery.markup.html import ALT, Markup, MarkupOptions, render_markup
from image_processor.delivery.markup.srcset import WidthSpec
from image_processor.delivery.url.builder import UrlBuilder, check_base_url
from image_processor.domain.errors import Invalid, InvalidSettings, Problem
from image_processor.domain.similarity import find_record

from .library import open_library
from .options import Data, Json, RecipeFile, settings_with


class Part(StrEnum):
    """The ways to show an image; the names are those of `Markup`."""

    IMG = "img"
    PICTURE = "picture"
    LOADER = "loader"
    CSS = "css"
    PLACEHOLDER = "placeholder"


_TITLES = {
    Part.IMG: "<img srcset>, in the format that every browser shows",
    Part.PICTURE: "<picture>, in every format",
    Part.LOADER: "a loader for next/image, which leaves the format to the server",
    Part.CSS: "a background in CSS",
    Part.PLACEHOLDER: "what to show until it is there",
}


def command(  # noqa: PLR0913, PLR0917 - each is one option
    key: Annotated[str, typer.Argument(help="An original's key, or its id.", metavar="KEY")],
    preset: Annotated[
        str | None, typer.Option(help="The preset of the widths.", show_default="the one with the most")
    ] = None,
    widths: Annotated[str | None, typer.Option(help="Widths instead, such as `320,640,1280`.")] = None,
    sizes: Annotated[str, typer.Option(help="How wide it is shown: HTML's `sizes`.")] = "100vw",
    alt: Annotated[str, typer.Option(help="What it shows, in words.")] = ALT,
    signed: Annotated[
        bool, typer.Option("--signed", help="Leave no width out for want of a key that signs.")
    ] = False,
    base: Annotated[
        str | None, typer.Option(help="What URLs begin with.", show_default="the CDN, or this server")
    ] = None,
    only: Annotated[Part | None, typer.Option(help="Nothing but this.")] = None,
    data: Data = None,
    recipe: RecipeFile = None,
    as_json: Json = False,
) -> None:
    """Print HTML, CSS and JavaScript that show one image in the width and format that suit the reader.

    Widths that no public preset declares are signed with the first of `IMAGE_PROCESSOR_SIGNING_KEYS`, and
    made when a browser first asks for them.
    """
    settings = settings_with(data=data, recipe=recipe)
    if signed and not settings.signing_keys:
        raise InvalidSettings([Problem(PREFIX + "SIGNING_KEYS", "a key that signs, as ID:SECRET", "none")])
    wish = MarkupOptions(WidthSpec(preset, _widths(widths)), sizes, alt)
    base = check_base_url(settings.public_url or RENDITIONS if base is None else base)
    markup = _marked_up(key, wish, base, settings)
    if as_json:
        typer.echo(json.dumps(to_builtins(markup)))
    else:
        typer.echo(_text(markup, only), nl=only is None)
    for line in markup.left_out:
        typer.echo(f"left out: {line}", err=True)


def _marked_up(key: str, wish: MarkupOptions, base: str, settings: Settings) -> Markup:
    with open_library(settings) as stores:
        record = find_record(stores.catalog, BUCKET, key)
    urls = UrlBuilder(base, record.key, load_recipe(settings.recipe), build_policy(settings))
    return render_markup(record, wish, urls)


def _text(markup: Markup, only: Part | None) -> str:
    parts = {part: getattr(markup, part) for part in Part}
    if only is not None:
        if parts[only] is None:
            raise Invalid([Problem("--only", "what can be written for this image", only)])
        return f"{parts[only].rstrip()}\n"
    told = (f"# {_TITLES[part]}\n\n{text.rstrip()}\n" for part, text in parts.items() if text is not None)
    return "\n".join(told)


def _widths(text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise Invalid.one("--widths", "whole numbers, such as 320,640,1280", text) from None
