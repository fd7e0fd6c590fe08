"""Where texts get their fonts: from a directory that a setting names, else from the machine.

Lambda's machines have none. fontconfig, in libvips' wheel, is told by a file that it reads once.
Not a word of libvips here: who only starts other processes need not load it.
"""

from __future__ import annotations

import os
from pathlib import Path

from image_processor.domain.errors import InvalidSettings

SUFFIXES = frozenset({".ttf", ".otf", ".ttc", ".otc"})

# The rule is for emoji in colour: they are bitmaps of one size, which fontconfig scales only if told.
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
