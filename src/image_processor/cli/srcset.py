"""`srcset`: the HTML, CSS and JavaScript that show one image on a page."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer
from msgspec import to_builtins

from image_processor.config.recipe import load_recipe
from image_processor.config.settings import PREFIX, Settings
from image_processor.delivery.markup.html import ALT, Markup, MarkupOptions, render_markup
from image_processor.delivery.markup.srcset import WidthSpec
from image_processor.delivery.url.builder import UrlBuilder, check_base_url
from image_processor.domain.errors import Invalid, InvalidSettings, Problem
from image_processor.domain.similarity import find_record
from image_processor.standalone import RENDITIONS_PATH, bucket_name

from .context import CommandContext, command_context
from .library import open_library
from .options import Data, Json, RecipeFile, note_builtin_recipe, settings_with


class Part(StrEnum):
    """The ways to show an image; the names are the fields of `Markup`."""

    IMG = "img"
    PICTURE = "picture"
    LOADER = "loader"
    CSS = "css"
    PLACEHOLDER = "placeholder"


_TITLES = {
    Part.IMG: "<img srcset>, in a format that every browser supports",
    Part.PICTURE: "<picture>, in every format",
    Part.LOADER: "a loader for next/image; the server negotiates the format",
    Part.CSS: "a CSS background",
    Part.PLACEHOLDER: "a placeholder to show while the image loads",
}


def command(  # noqa: PLR0913, PLR0917 - one per option
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(help="Key or id of an original.", metavar="KEY")],
    preset: Annotated[
        str | None,
        typer.Option(help="Preset whose widths are used.", show_default="the one with the most widths"),
    ] = None,
    widths: Annotated[
        str | None, typer.Option(help="Widths in pixels instead of a preset's, such as `320,640,1280`.")
    ] = None,
    sizes: Annotated[str, typer.Option(help="Displayed width: the HTML attribute `sizes`.")] = "100vw",
    alt: Annotated[str, typer.Option(help="Text alternative: the HTML attribute `alt`.")] = ALT,
    signed: Annotated[
        bool, typer.Option("--signed", help="Fail without a signing key, instead of leaving out widths.")
    ] = False,
    base: Annotated[
        str | None, typer.Option(help="Base URL of renditions.", show_default="the CDN, or this server")
    ] = None,
    only: Annotated[Part | None, typer.Option(help="Print this part only, without a title.")] = None,
    data: Data = None,
    recipe: RecipeFile = None,
    as_json: Json = False,
) -> None:
    """Print HTML, CSS and JavaScript that show one image in the width and format that suit the reader.

    Widths that no public preset declares are signed with the first key of `IMAGE_PROCESSOR_SIGNING_KEYS`,
    and rendered at their first request.
    """
    settings = settings_with(data=data, recipe=recipe)
    if signed and not settings.signing_keys:
        raise InvalidSettings([Problem(PREFIX + "SIGNING_KEYS", "a signing key, as ID:SECRET", "none")])
    options = MarkupOptions(WidthSpec(preset, _parse_widths(widths)), sizes, alt)
    base_url = check_base_url(settings.public_url or RENDITIONS_PATH if base is None else base)
    note_builtin_recipe(settings)
    markup = _markup(command_context(ctx), settings, key, options, base_url)
    if as_json:
        typer.echo(json.dumps(to_builtins(markup)))
    else:
        typer.echo(_text(markup, only), nl=only is None)
    for line in markup.left_out:
        typer.echo(f"left out: {line}", err=True)


def _markup(
    context: CommandContext, settings: Settings, key: str, options: MarkupOptions, base_url: str
) -> Markup:
    with open_library(context, settings) as stores:
        record = find_record(stores.catalog, bucket_name(settings), key)
    policy = context.build_policy(settings)
    urls = UrlBuilder(base_url, record.key, load_recipe(settings.recipe), policy)
    return render_markup(record, options, urls)


def _text(markup: Markup, only: Part | None) -> str:
    parts = {part: getattr(markup, part) for part in Part}
    if only is None:
        titled = (
            f"# {_TITLES[part]}\n\n{text.rstrip()}\n" for part, text in parts.items() if text is not None
        )
        return "\n".join(titled)
    if parts[only] is None:
        raise Invalid([Problem("--only", "a part that this image has", only)])
    return f"{parts[only].rstrip()}\n"


def _parse_widths(text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise Invalid.one("--widths", "whole numbers, such as 320,640,1280", text) from None
