"""`sign`: adds a signature to a URL of a rendition."""

from __future__ import annotations

import re
import time
from typing import Annotated
from urllib.parse import urlsplit

import typer

from image_processor.config.recipe import Recipe, load_recipe
from image_processor.config.settings import PREFIX
from image_processor.delivery.request import parse_request
from image_processor.delivery.resolve import preview
from image_processor.delivery.url.parameter_names import SIGNATURE_PARAMETERS
from image_processor.delivery.url.parser import ParsedUrl, parse_url
from image_processor.delivery.url.signing import signature_query
from image_processor.domain.errors import Invalid, InvalidSettings, Problem
from image_processor.domain.transformation import ON_DEMAND
from image_processor.standalone import RENDITIONS_PATH

from .context import command_context
from .options import RecipeFile, note_builtin_recipe, settings_with

_DURATION = re.compile(r"([0-9]{1,9})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def command(
    ctx: typer.Context,
    url: Annotated[
        str,
        typer.Argument(
            help="The URL to sign, or the part of it after the CDN's address, such as "
            "`photos/cat.jpg?w=640&fm=auto`.",
            metavar="URL",
        ),
    ],
    duration: Annotated[
        str | None,
        typer.Option(
            "--for", help="How long the URL is valid: `90s`, `30m`, `12h`, `7d`.", show_default="no expiry"
        ),
    ] = None,
    recipe: RecipeFile = None,
) -> None:
    """Print URL with a signature, which allows renditions that no recipe declares.

    Signs with the first key of `IMAGE_PROCESSOR_SIGNING_KEYS`. docs/urls.md shows how to sign in other
    languages.
    """
    settings = settings_with(recipe=recipe)
    keyring = command_context(ctx).build_policy(settings).keyring
    if not keyring:
        raise InvalidSettings([Problem(PREFIX + "SIGNING_KEYS", "a signing key, as ID:SECRET", "none")])
    base, path, query = _split(url, settings.public_url)
    parsed = parse_url(path, query)
    if parsed.signature is not None:
        expected = "one without " + ", ".join(SIGNATURE_PARAMETERS)
        raise Invalid([Problem("URL", expected, "a signed one")])
    note_builtin_recipe(settings)
    _check_rendition(parsed, load_recipe(settings.recipe))
    expires = None if duration is None else int(time.time()) + _seconds(duration)
    signature = signature_query(keyring.sign(parsed, expires))
    typer.echo(f"{base}{path}?{query}&{signature}" if query else f"{base}{path}?{signature}")


def _split(url: str, public_url: str | None) -> tuple[str, str, str]:
    """What precedes a rendition's path, that path as it was written, and the query."""
    bases = (public_url, RENDITIONS_PATH)
    known = next((base for base in bases if base and url.startswith(f"{base}/")), None)
    if known is not None:
        base = f"{known}/"
    elif "://" in url:
        parts = urlsplit(url)
        is_server = parts.path.startswith(f"{RENDITIONS_PATH}/") and not public_url
        base = f"{parts.scheme}://{parts.netloc}{RENDITIONS_PATH if is_server else ''}/"
    else:
        base = ""
    path, _, query = url.removeprefix(base).partition("?")
    return base, path, query.partition("#")[0]


def _check_rendition(url: ParsedUrl, recipe: Recipe) -> None:
    """Raise InvalidRequest or InvalidTransformation if the URL can name no rendition."""
    transformation = preview(parse_request(url, signed=True), recipe)
    if not recipe.stored_name(url.key, transformation).startswith(ON_DEMAND):
        typer.echo("The recipe declares this rendition: it needs no signature.", err=True)


def _seconds(duration: str) -> int:
    match = _DURATION.fullmatch(duration)
    if match is None or int(match[1]) == 0:
        raise Invalid.one("--for", "a duration such as 90s, 30m, 12h or 7d", duration)
    return int(match[1]) * _SECONDS[match[2]]
