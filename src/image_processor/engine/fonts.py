"""Where texts get their fonts: from a directory that a setting names, else from the machine.

Lambda's machines have none. fontconfig, in libvips' wheel, is told by a file that it reads once.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

import pyvips

from image_processor.errors import InvalidSettings, Reason, Refused

SUFFIXES = frozenset({".ttf", ".otf", ".ttc", ".otc"})

_CONFIGURATION = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig><dir>{fonts}</dir><cachedir>{cache}</cachedir></fontconfig>
"""


def fonts_from(directory: Path) -> None:
    """Let texts use the fonts in ``directory`` and below it, and no others.

    Once in a process, before its first text; children started later do the same. Raises
    InvalidSettings where there is no font.
    """
    import atexit  # noqa: PLC0415 - these four are only for who has set a directory
    import shutil  # noqa: PLC0415
    import tempfile  # noqa: PLC0415
    from html import escape  # noqa: PLC0415

    if not any(path.suffix.lower() in SUFFIXES for path in directory.rglob("*")):
        raise InvalidSettings.one("IMAGE_PROCESSOR_FONTS", "a directory with font files", str(directory))
    place = Path(tempfile.mkdtemp(prefix="image-processor-fonts-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    fonts, cache = escape(str(directory.resolve())), escape(str(place / "cache"))
    file = place / "fonts.conf"
    file.write_text(_CONFIGURATION.format(fonts=fonts, cache=cache), encoding="utf-8")
    os.environ["FONTCONFIG_FILE"] = str(file)


def require_font() -> None:
    """Raise Refused(NO_FONT) where fontconfig has found no font at all."""
    if not _has_font():
        raise Refused(
            Reason.NO_FONT,
            "expected a font for text, got none: set IMAGE_PROCESSOR_FONTS to a directory of them",
        )


@functools.cache
def _has_font() -> bool:
    """Without a font Pango draws one and the same empty box for every character, and tells nobody."""
    one, other = (pyvips.Image.text(letter, font="sans 32") for letter in "Wi")
    size = one.width, one.height
    return size != (other.width, other.height) or bool((one != other).max())
