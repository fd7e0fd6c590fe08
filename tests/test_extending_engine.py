"""docs/extending.md, kept true for the engine: an output format and a pixel operation of a toy kind.

Each script runs in a fresh interpreter. It makes the edit that the document describes while the module is
imported, adds one row to the engine's registry, and renders.
"""

from __future__ import annotations

import subprocess
import sys

from support.source_edits import EDIT

_OUTPUT_FORMAT = """
edit(
    "image_processor.domain.formats",
    ")\\n\\nFORMATS = ",
    '    Format(name="toy", title="Toy", extension="toy", media_type="image/x-toy", '
    'writable=True, quality=50),\\n',
)
from image_processor.domain.models import Limits
from image_processor.domain.transformation import parse
from image_processor.engine.codecs.codec import Codec
from image_processor.engine.codecs.registry import CODECS
from image_processor.engine.render import render
from image_processor.engine.sample import draw_sample

def encode(image, options, quality):
    return b"toy %d %dx%dx%d" % (quality, image.width, image.height, image.bands)

CODECS["toy"] = Codec(encode=encode)

wanted = [parse("w=30,fm=toy"), parse("w=30,h=10,q=7,fm=toy"), parse("w=30,q=auto,fm=toy")]
for rendition in render(draw_sample(), wanted, Limits(), summary=False).renditions:
    print(rendition.transformation.name, rendition.body.decode(), rendition.metadata.format)
"""

_PIXEL_OPERATION = """
edit(
    "image_processor.domain.transformation.transformation",
    "    # Pixels\\n",
    '    posterise: Annotated[int | None, '
    'Parameter("post", number(2, 64), "levels a channel", "w=160,post=4,fm=webp")] = None\\n',
)
from image_processor.domain.models import Limits
from image_processor.domain.transformation import parse
from image_processor.engine.operations import compose
from image_processor.engine.render import render
from image_processor.engine.sample import draw_sample

def posterise(image, levels):
    step = 256 / levels
    return ((image / step).floor() * step).cast("uchar").copy(interpretation="srgb")

compose.PIXEL_OPERATIONS.append(("posterise", compose.per_frame(posterise)))

import pyvips
for text in ("w=60,fm=png", "w=60,post=2,fm=png"):
    rendition = render(draw_sample(), [parse(text)], Limits(), summary=False).renditions[0]
    image = pyvips.Image.pngload_source(pyvips.Source.new_from_memory(rendition.body))
    used = sum(count > 0 for count in image[0].hist_find().tolist()[0])
    print(rendition.transformation, "two levels" if used == 2 else "many levels")
"""


def _run(script: str) -> list[str]:
    command = [sys.executable, "-W", "error", "-c", EDIT + script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_an_output_format_is_a_row_and_a_codec() -> None:
    assert _run(_OUTPUT_FORMAT) == [
        "w=30,fm=toy.toy toy 50 30x20x3 toy",
        "w=30,h=10,q=7,fm=toy.toy toy 7 30x10x3 toy",
        "w=30,q=auto,fm=toy.toy toy 50 30x20x3 toy",
    ]


def test_a_pixel_operation_is_a_field_and_a_row() -> None:
    assert _run(_PIXEL_OPERATION) == [
        "w=60,fm=png many levels",
        "w=60,post=2,fm=png two levels",
    ]
