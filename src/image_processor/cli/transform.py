"""`transform`: one rendition of one file, without a recipe or a library."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from image_processor.domain.errors import Invalid, NotFound
from image_processor.domain.formats import FORMATS, WRITABLE
from image_processor.domain.models import RenderedImage
from image_processor.domain.transformation import Transformation, parse
from image_processor.renditions.originals import overlay_keys

from .context import command_context
from .options import Quiet, settings_with
from .output import format_bytes, printable

_STANDARD = "-"
"""Standard input, and standard output."""


def command(
    ctx: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="The original; `-` for standard input.", metavar="FILE", allow_dash=True)
    ],
    text: Annotated[
        str,
        typer.Argument(
            help="The transformation, such as `w=640,fm=webp` or `width=640,format=webp`; "
            "docs/transformations.md lists all parameters.",
            metavar="TRANSFORMATION",
        ),
    ],
    out: Annotated[
        str,
        typer.Option(
            "--out",
            "-o",
            help="File to write the rendition to; `-` for standard output. Without `fm`, its extension "
            "chooses the format.",
        ),
    ],
    quiet: Quiet = False,
    overlays: Annotated[
        Path, typer.Option(help="Directory of the overlay images.", file_okay=False)
    ] = Path(),
) -> None:
    """Render one file with one transformation.

    Exits with 1 if the original is refused, with 2 if the command is wrong.
    """
    transformation = _in_format_of(out, text)
    settings = settings_with()
    data = _read_input(file, settings.limits.max_bytes)
    keys = overlay_keys([transformation])
    overlay_sources = {key: _read(overlays / key.lstrip("/"), "--overlays") for key in keys}
    with command_context(ctx).open_renderer(settings) as render:
        rendered = render(
            *(data, [transformation], settings.limits),
            icc=settings.icc,
            summary=False,
            overlay_sources=overlay_sources,
        )
    (rendition,), original = rendered.renditions, rendered.original
    if original.file_frames is not None:
        name = printable(str(file))
        typer.echo(f"{name} has {original.file_frames} frames, of which only a still can be read", err=True)
    if original.truncated:
        typer.echo(f"{printable(str(file))} is truncated; the missing part was filled", err=True)
    _write(out, rendition.body)
    if not quiet:
        typer.echo(_description(rendition), err=True)


def _in_format_of(out: str, text: str) -> Transformation:
    """The transformation; without `fm` in the format that the file's name tells."""
    transformation = parse(text)
    format_ = _FORMATS_BY_EXTENSION.get(Path(out).suffix.lower().removeprefix("."))
    if format_ is None or format_ == transformation.format:
        return transformation
    if re.search(r"(^|,)(fm|format)=", text.lower()):
        raise Invalid.one("--out", f"a name that ends in .{FORMATS[transformation.format].extension}", out)
    return parse(f"{text},fm={format_}" if text else f"fm={format_}")


_FORMATS_BY_EXTENSION = {
    extension: name
    for name in WRITABLE
    for extension in (name, FORMATS[name].extension, *FORMATS[name].aliases)
}


def _read_input(file: Path, max_bytes: int) -> bytes:
    """The bytes of the original. Of standard input not many more than are allowed: it may have no end."""
    if str(file) != _STANDARD:
        return _read(file, "FILE")
    return sys.stdin.buffer.read(max_bytes + 1)


def _read(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotFound(f"expected a readable file for {name}, got {str(path)!r}: {error.strerror}") from error


def _write(out: str, body: bytes) -> None:
    if out == _STANDARD:
        sys.stdout.buffer.write(body)
        return
    try:
        Path(out).write_bytes(body)
    except OSError as error:
        raise Invalid.one("--out", "a writable file", f"{out}: {error.strerror}") from error


def _description(rendition: RenderedImage) -> str:
    metadata = rendition.metadata
    frames = f", {metadata.frames} frames" if metadata.frames > 1 else ""
    size = f"{metadata.width} x {metadata.height}{frames}, {format_bytes(metadata.bytes)}"
    kept = f" (keep_smaller: {metadata.keep_smaller})" if metadata.keep_smaller else ""
    return f"{rendition.transformation}: {size}{kept}"
