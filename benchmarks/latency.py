"""From a dropped file to its renditions: wall time until the first one can be read, and until all can.

The server has the built-in recipe and default settings, and has processed one file before. A file of
12 megapixels is written into `uploads/` like by `cp`, or moved there from beside it, one after the other; the
folder of its renditions is looked at every 2 milliseconds. Wall time: on a busy machine it says little.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from types import MappingProxyType

from image_processor.config.recipe import DEFAULT_RECIPE, parse_recipe

from .delivery import servers
from .photographs import make_photograph
from .table import Row

_FILES = 9
_PAUSE_SECONDS = 0.002
_LONGEST_SECONDS = 120.0
_BARS = MappingProxyType({"first rendition": 250.0, "all renditions": 400.0})


def _write(photograph: Path, upload: Path) -> None:
    shutil.copyfile(photograph, upload)


def _move(photograph: Path, upload: Path) -> None:
    beside = upload.parents[1] / upload.name
    shutil.copyfile(photograph, beside)
    beside.rename(upload)


_WAYS: Mapping[str, Callable[[Path, Path], None]] = MappingProxyType({"written": _write, "moved": _move})


def rows() -> list[Row]:
    count = len(parse_recipe(DEFAULT_RECIPE).transformations_for("photograph.jpg"))
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in _WAYS}
    with tempfile.TemporaryDirectory() as name:
        photograph = make_photograph(Path(name, "photograph.jpg"), 4000, 3000)
        data = Path(name, "data")
        (data / "uploads").mkdir(parents=True)
        with servers.ours(data, recipe_text=None) as server:
            for number in range(_FILES + 1):
                for way, drop in _WAYS.items():
                    seconds = _drop(data, f"{way}-{number}.jpg", photograph, drop, count)
                    servers.wait_until_idle(server)
                    if number:  # the first one starts the renderers
                        found[way].append(seconds)
    return [
        Row(
            f"dropped file, {way}: {what}",
            f"best {1000 * min(figures):.0f} ms",
            "",
            *(1000 * median(figures), bar, " ms"),
        )
        for way, pairs in found.items()
        for (what, bar), figures in zip(_BARS.items(), zip(*pairs, strict=True), strict=True)
    ]


def _drop(
    data: Path, name: str, photograph: Path, drop: Callable[[Path, Path], None], count: int
) -> tuple[float, float]:
    """Seconds from the complete file until the first of ``count`` renditions is there, and until all are."""
    drop(photograph, data / "uploads" / name)
    started, first = time.perf_counter(), 0.0
    while (elapsed := time.perf_counter() - started) < _LONGEST_SECONDS:
        stored = _count(data / "processed" / name)
        if stored and not first:
            first = elapsed
        if stored == count:
            return first, elapsed
        time.sleep(_PAUSE_SECONDS)
    raise RuntimeError(f"expected {count} renditions of {name} within {_LONGEST_SECONDS:.0f} s")


def _count(folder: Path) -> int:
    try:
        return sum(1 for _ in folder.iterdir())
    except FileNotFoundError:
        return 0
