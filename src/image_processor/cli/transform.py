"""`transform`: one file, one transformation, one rendition; with no recipe and no library."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from image_processor.domain.errors import Invalid, NotFound
from image_processor.domain.models import ImageMetadata
from image_processor.domain.transformation import Transformation, parse
from image_processor.engine.worker.isolation import IsolatedRenderer
from image_processor.renditions.originals import overlay_keys

from .formatting import in_units, printable
from .options import settings_with

_STANDARD_OUTPUT = "-"


def command(
    file: Annotated[Path, typer.Argument(help="The original.", metavar="FILE")],
    text: Annotated[
        str,
        typer.Argument(
            help="How it is made, such as `w=640,fm=webp`: docs/transformations.md lists all of it.",
            metavar="TRANSFORMATION",
        ),
    ],
    out: Annotated[str, typer.Option(help="File that the rendition goes to; `-` for standard output.")],
    overlays: Annotated[
        Path, typer.Option(help="Directory in which the pictures of overlays lie.", file_okay=False)
    ] = Path(),
) -> None:
    """Make one rendition of one file.

    Exits with 1 if the original is refused, with 2 for a mistake in the call.
    """
    transformation = parse(text)
    settings = settings_with()
    body = _read(file, "FILE")
    marks = {key: _read(overlays / key.lstrip("/"), "--overlays") for key in overlay_keys([transformation])}
    with IsolatedRenderer() as renderer:
        rendered = renderer.render(
            body, [transformation], settings.limits, icc=settings.icc, summary=False, overlay_sources=marks
        )
    (rendition,) = rendered.renditions
    if rendered.original.truncated:
        typer.echo(f"{printable(str(file))} ends early; what was there was taken", err=True)
    _write(out, rendition.body)
    typer.echo(_told(transformation, rendition.metadata), err=True)


def _read(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotFound(f"expected a readable file for {name}, got {str(path)!r}: {error.strerror}") from error


def _write(out: str, body: bytes) -> None:
    if out == _STANDARD_OUTPUT:
        sys.stdout.buffer.write(body)
        return
    try:
        Path(out).write_bytes(body)
    except OSError as error:
        raise Invalid.one("--out", "a file that can be written", f"{out}: {error.strerror}") from error


def _told(transformation: Transformation, facts: ImageMetadata) -> str:
    moving = f", {facts.frames} frames" if facts.frames > 1 else ""
    return f"{transformation}: {facts.width} x {facts.height}{moving}, {in_units(facts.bytes)}"
