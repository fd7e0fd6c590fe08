"""The fonts of text overlays: from the directory of a setting, else from the system (on Lambda there are
none).

fontconfig, in libvips' wheel, reads one configuration file, once. This module does not import libvips, so a
process that only starts renderers need not load it.
"""

from __future__ import annotations

import os
from pathlib import Path

from image_processor.domain.errors import InvalidSettings

SUFFIXES = frozenset({".ttf", ".otf", ".ttc", ".otc"})

# The rule scales colour emoji: they are bitmaps of one size, which fontconfig does not scale by default.
_CONFIGURATION = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>{fonts}</dir>
  <cachedir>{cache}</cachedir>
  <match target="font">
    <test name="outline"><bool>false</bool></test>
    <edit name="ratio" mode="assign">
      <divide><name target="pattern">pixelsize</name><name target="font">pixelsize</name></divide>
    </edit>
    <edit name="matrix" mode="assign">
      <times>
        <name>matrix</name>
        <matrix><name>ratio</name><double>0</double><double>0</double><name>ratio</name></matrix>
      </times>
    </edit>
  </match>
</fontconfig>
"""


def use_fonts(directory: Path) -> None:
    """Let texts use the fonts in ``directory`` and below it, and no others.

    Call it once in a process, before its first text; child processes started later inherit it. Raises
    InvalidSettings where there is no font.
    """
    import atexit  # noqa: PLC0415 - these four, 6 ms, are only needed where a directory is set
    import shutil  # noqa: PLC0415
    import tempfile  # noqa: PLC0415
    from html import escape  # noqa: PLC0415

    if not any(path.suffix.lower() in SUFFIXES for path in directory.rglob("*")):
        raise InvalidSettings.one("IMAGE_PROCESSOR_FONTS", "a directory with font files", str(directory))
    folder = Path(tempfile.mkdtemp(prefix="image-processor-fonts-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    fonts, cache = escape(str(directory.resolve())), escape(str(folder / "cache"))
    # Renderers may not write into it, but without it fontconfig complains to standard error.
    (folder / "cache").mkdir()
    file = folder / "fonts.conf"
    file.write_text(_CONFIGURATION.format(fonts=fonts, cache=cache), encoding="utf-8")
    os.environ["FONTCONFIG_FILE"] = str(file)
