"""What `transform` does. It needs no typer, which takes as long to import as a photograph takes to render."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from image_processor.config.settings_file import load_settings
from image_processor.domain.errors import Invalid, NotFound
from image_processor.domain.formats import FORMATS, WRITABLE
from image_processor.domain.models import RenderedImage
from image_processor.domain.transformation import Transformation, parse
from image_processor.renditions.originals import overlay_keys

from .output import format_bytes, printable

if TYPE_CHECKING:
    from .context import CommandContext

_STANDARD = "-"
"""Standard input, and standard output."""


class Call(Struct, frozen=True):
    """The arguments of `transform`."""

    file: str
    text: str
    out: str
    quiet: bool = False


def read_call(arguments: Sequence[str]) -> Call | None:
    """The call that the arguments are in their most frequent form: FILE, TRANSFORMATION, `-o` or `--out` with
    a value, and `-q` or `--quiet`. None for any other, which typer reads, or refuses with a message."""
    words, found = list(arguments), []
    out, quiet = None, False
    while words:
        word = words.pop(0)
        if word in {"-o", "--out"} and words and out is None:
            out = words.pop(0)
        elif word in {"-q", "--quiet"}:
            quiet = True
        elif word == _STANDARD or not word.startswith("-"):
            found.append(word)
        else:
            return None
    if out is None or out.startswith("--") or len(found) != 2:
        return None
    return Call(found[0], found[1], out, quiet)


def transform_file(
    context: CommandContext, file: Path, text: str, out: str, *, quiet: bool, overlays: Path = Path()
) -> None:
    """Render ``file`` with the transformation ``text`` into ``out``. Overlay images are below ``overlays``.

    Raises what the engine refuses; Invalid, InvalidSettings, NotFound, Unavailable.
    """
    transformation = _in_format_of(out, text)
    settings = load_settings(os.environ, {})
    data = _read_input(file, settings.limits.max_bytes)
    keys = overlay_keys([transformation])
    overlay_sources = {key: _read(overlays / key.lstrip("/"), "--overlays") for key in keys}
    with context.open_renderer(settings) as render:
        rendered = render(
            data,
            [transformation],
            settings.limits,
            icc=settings.icc,
            summary=False,
            overlay_sources=overlay_sources,
        )
    (rendition,), original = rendered.renditions, rendered.original
    if original.file_frames is not None:
        name = printable(str(file))
        _print_note(f"{name} has {original.file_frames} frames, of which only a still can be read")
    if original.truncated:
        _print_note(f"{printable(str(file))} is truncated; the missing part was filled")
    _write(out, rendition.body)
    if not quiet:
        _print_note(_description(rendition))


def _print_note(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _in_format_of(out: str, text: str) -> Transformation:
    """The transformation. Without `fm` its format follows from the name of the file."""
    transformation = parse(text)
    extension = Path(out).suffix.lower().removeprefix(".")
    format_ = _FORMATS_BY_EXTENSION.get(extension)
    names_format = re.search(r"(^|,)(fm|format)=", text.lower()) is not None
    if extension and format_ is None and not names_format:
        endings = " | ".join(f".{FORMATS[name].extension}" for name in WRITABLE)
        raise Invalid.one("--out", f"a name that ends in {endings}, or fm in the transformation", out)
    if format_ is None or format_ == transformation.format:
        return transformation
    if names_format:
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
