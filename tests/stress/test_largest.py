"""Peak memory of the largest accepted images of every format, compared with the limit of one worker.

The check of the header is an estimate; this test measures the child.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
import pyvips
from drawing import encoded
from PIL import Image

from hostile.campaign import PEAK_MEBIBYTES, peak_mebibytes, reset_peak
from image_processor.domain.models import IccPolicy, Limits
from image_processor.domain.transformation import parse
from image_processor.engine.worker.isolation import IsolatedRenderer

WANTED = [
    "w=1920,fm=jpeg",
    "w=1280,fm=avif",
    "w=640,fm=webp",
    "w=320,fm=png",
    "w=200,h=200,g=attention,fm=jpeg",
]


def _picture(width: int, height: int, *, alpha: bool = False) -> pyvips.Image:
    """Smooth waves: neither flat nor noise; even uncompressed files stay below the byte limit."""
    place = pyvips.Image.xyz(width, height)
    ring = (place[0] / 16 + place[1] / 16) % 256
    ring = ring.cast("uchar")
    bands = [ring, ring.invert(), ring.fliphor(), ring.flipver()][: 4 if alpha else 3]
    return bands[0].bandjoin(bands[1:]).copy(interpretation="srgb")


def _saved(saver: str, width: int, height: int, *, alpha: bool = False, **options: object) -> bytes:
    body: bytes = getattr(_picture(width, height, alpha=alpha), f"{saver}_buffer")(**options)
    return body


def _pillow(format_name: str, side: int) -> bytes:
    pixels = _picture(side, side).write_to_memory()
    return encoded(Image.frombytes("RGB", (side, side), pixels), format_name)


LARGEST: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: _saved("jpegsave", 10_000, 10_000),
    "jpeg progressive": lambda: _saved("jpegsave", 10_000, 10_000, interlace=True),
    "jpeg progressive 4:4:4": lambda: _saved("jpegsave", 8_350, 8_350, interlace=True, subsample_mode="off"),
    "jpeg wide": lambda: _saved("jpegsave", 65_000, 1_500),
    "png": lambda: _saved("pngsave", 10_000, 10_000, compression=1),
    "png alpha": lambda: _saved("pngsave", 10_000, 10_000, alpha=True, compression=1),
    "png interlaced": lambda: _saved("pngsave", 9_990, 9_990, interlace=True, compression=1),
    "png wide": lambda: _saved("pngsave", 65_000, 1_500, compression=1),
    "png wide alpha": lambda: _saved("pngsave", 50_000, 1_900, alpha=True, compression=1),
    "png tall": lambda: _saved("pngsave", 1_500, 65_000, compression=1),
    "gif": lambda: _saved("gifsave", 8_000, 8_000, effort=1),
    "webp": lambda: _saved("webpsave", 6_900, 6_900, effort=0),
    "webp lossless": lambda: _saved("webpsave", 6_900, 6_900, effort=0, lossless=True),
    "avif": lambda: _saved("heifsave", 4_800, 4_800, compression="av1", effort=0),
    "tiff": lambda: _saved("tiffsave", 10_000, 10_000, compression="lzw", predictor="horizontal"),
    "tiff tiles": lambda: _saved(
        "tiffsave", 10_000, 10_000, compression="deflate", tile=True, tile_width=256, tile_height=256
    ),
    "heic": lambda: _pillow("heic", 4_000),
    "jxl": lambda: _pillow("jxl", 3_400),
}


@pytest.fixture(scope="module", params=list(LARGEST))
def largest(request: pytest.FixtureRequest) -> tuple[str, bytes]:
    return request.param, LARGEST[request.param]()


@pytest.mark.parametrize("icc", [IccPolicy.STRIP, IccPolicy.PRESERVE])
def test_peak_memory_of_the_largest_originals(largest: tuple[str, bytes], icc: IccPolicy) -> None:
    name, data = largest
    with IsolatedRenderer() as renderer:
        renderer.warm()
        assert renderer._child is not None
        pid = renderer._child.pid
        reset_peak(pid)
        result = renderer.render(data, [parse(text) for text in WANTED], Limits(), icc=icc)
        peak = peak_mebibytes(pid)
    sys.stderr.write(f"\n{name}, {len(data) >> 20} MiB, {icc}: peak {peak:.0f} MiB\n")
    assert len(result.renditions) == len(WANTED)
    assert peak <= PEAK_MEBIBYTES
