"""`sign`: a URL of ours with a signature that opens it."""

from __future__ import annotations

import re
import time
from typing import Annotated
from urllib.parse import urlsplit

import typer

from image_processor.bootstrap.delivery import build_keyring
from image_processor.bootstrap.recipe import load_recipe
from image_processor.bootstrap.standalone import RENDITIONS
from image_processor.config.recipe import Recipe
from image_processor.config.settings import PREFIX
from image_processor.delivery.request import parse_request
from image_processor.delivery.resolve import preview
from image_processor.delivery.url.parameter_names import SIGNATURE_PARAMETERS
from image_processor.delivery.url.parser import ParsedUrl, parse_url
from image_processor.delivery.url.signing import signature_query
from image_processor.domain.errors import Invalid, InvalidSettings, Problem
from image_processor.domain.transformation import ON_DEMAND

from .options import RecipeFile, settings_with

_DURATION = re.compile(r"([0-9]{1,9})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def command(
    url: Annotated[
        str,
        typer.Argument(
            help="What is to be signed: a URL, or what stands behind the CDN's address, such as "
            "`photos/cat.jpg?w=640&fm=auto`.",
            metavar="URL",
        ),
    ],
    last: Annotated[
        str | None,
        typer.Option("--for", help="How long it works: `90s`, `30m`, `12h`, `7d`.", show_default="for ever"),
    ] = None,
    recipe: RecipeFile = None,
) -> None:
    """Print URL with a signature, which opens renditions that no recipe declares.

    The first of `IMAGE_PROCESSOR_SIGNING_KEYS` signs. docs/urls.md tells how to do the same in other
    languages.
    """
    settings = settings_with(recipe=recipe)
    keyring = build_keyring(settings)
    if not keyring:
        raise InvalidSettings([Problem(PREFIX + "SIGNING_KEYS", "a key that signs, as ID:SECRET", "none")])
    front, path, query = _parts(url, settings.public_url)
    address = parse_url(path, query)
    if address.signature is not None:
        raise Invalid([Problem("URL", "one without " + ", ".join(SIGNATURE_PARAMETERS), "a signed one")])
    _judge(address, load_recipe(settings.recipe))
    expires = None if last is None else int(time.time()) + _duration(last)
    seal = signature_query(keyring.sign(address, expires))
    typer.echo(f"{front}{path}?{query}&{seal}" if query else f"{front}{path}?{seal}")


def _parts(url: str, public_url: str | None) -> tuple[str, str, str]:
    """What stands before the path of a rendition, that path as it is written, and the query."""
    base = next((one for one in (public_url, RENDITIONS) if one and url.startswith(f"{one}/")), None)
    if base is not None:
        front = f"{base}/"
    elif "://" in url:
        whole = urlsplit(url)
        own = f"{RENDITIONS}/" if whole.path.startswith(f"{RENDITIONS}/") and not public_url else "/"
        front = f"{whole.scheme}://{whole.netloc}{own}"
    else:
        front = ""
    path, _, query = url.removeprefix(front).partition("?")
    return front, path, query.partition("#")[0]


def _judge(address: ParsedUrl, recipe: Recipe) -> None:
    """Whether there can be such a rendition. Raises InvalidRequest, InvalidTransformation."""
    transformation = preview(parse_request(address, signed=True), recipe)
    stored = recipe.stored_name(address.key, transformation)
    if not stored.startswith(ON_DEMAND):
        typer.echo("The recipe declares this rendition: it needs no signature.", err=True)


def _duration(text: str) -> int:
    match = _DURATION.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise Invalid.one("--for", "a duration such as 90s, 30m, 12h or 7d", text)
    return int(match[1]) * _SECONDS[match[2]]
