"""`translate`: shows what URLs of other products mean here, and how many of a log work."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from image_processor.config.recipe import Recipe, load_recipe
from image_processor.config.setting_specs import DIALECTS
from image_processor.delivery.dialects import Dialect
from image_processor.delivery.translate import Translation, translate, translating_dialects
from image_processor.domain.errors import Forbidden, Invalid, Problem
from image_processor.domain.models import ImageMetadata

from .options import RecipeFile, settings_with

# A path in the request line of a common log format, or a line that is a URL.
_REQUEST = re.compile(r'"(?:GET|HEAD) (\S+)|^(https?://\S+|/\S+)$')
_SIZE = re.compile(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})")


def command(
    urls: Annotated[
        list[str] | None, typer.Argument(help="URLs of other products, or their paths.", metavar="URL")
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(
            help="A log with one request a line, or a file with one URL a line: print the share that works."
        ),
    ] = None,
    size: Annotated[
        str, typer.Option(help="Width and height of the original, for what depends on it.")
    ] = "4000x3000",
    recipe: RecipeFile = None,
) -> None:
    """Print what URLs of other products mean here: the product, our URL, and what is refused.

    Uses the dialects of `IMAGE_PROCESSOR_DIALECTS`, by default all. Signatures are not verified.
    """
    settings = settings_with(recipe=recipe)
    names = settings.dialects or tuple(DIALECTS)
    dialects = translating_dialects(names, settings.dialect_settings, settings.buckets)
    known = load_recipe(settings.recipe)
    original = _original(size)
    if not urls and log is None:
        raise Invalid([Problem("URL", "at least one, or --log", "none")])
    failed = False
    for url in urls or ():
        found = _translate(url, dialects, original, known)
        typer.echo(found if isinstance(found, str) else _shown(found))
        failed = failed or isinstance(found, str)
    if log is not None:
        _summarise(_requests(log), dialects, original, known)
    if failed:
        raise typer.Exit(1)


def _original(size: str) -> ImageMetadata:
    match = _SIZE.fullmatch(size)
    if match is None:
        raise Invalid([Problem("--size", "WIDTHxHEIGHT", size)])
    return ImageMetadata(int(match[1]), int(match[2]), "jpeg", 1, False, 1, "")


def _translate(
    url: str, dialects: tuple[Dialect, ...], original: ImageMetadata, recipe: Recipe
) -> Translation | str:
    """The translation, or why there is none."""
    try:
        return translate(url, dialects, original, recipe)
    except (Invalid, Forbidden) as error:
        return f"refused: {error}"


def _shown(found: Translation) -> str:
    note = "  (depends on the original)" if found.depends else ""
    return f"{found.dialect}: {found.url}{note}"


def _requests(log: Path) -> Iterator[str]:
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            match = _REQUEST.search(line.strip())
            if match is not None:
                yield match[1] or match[2]


def _summarise(
    urls: Iterable[str], dialects: tuple[Dialect, ...], original: ImageMetadata, recipe: Recipe
) -> None:
    total, reasons = 0, Counter[str]()
    for url in urls:
        total += 1
        found = _translate(url, dialects, original, recipe)
        if isinstance(found, str):
            reasons[re.sub(r", got .*", "", found)] += 1
    works = total - reasons.total()
    typer.echo(f"{works} of {total} URLs work ({100 * works / total:.1f} %)" if total else "no URLs found")
    for reason, count in reasons.most_common(20):
        typer.echo(f"{count:>8}  {reason}")
