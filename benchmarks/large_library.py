"""A server of 100,000 originals with ten renditions each: its first miss after a start, how soon it stops,
and what a search of the unchanged library costs.

The library is filled by script (benchmarks/library.py): 1.1 million files of a few bytes, and their records.
The first miss is of a processed photograph, at a width that no one has asked for. A server that starts
searches its library, so one stop comes at once and one while it does.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from image_processor.config.recipe import load_recipe
from image_processor.config.settings import Settings, from_environment

from . import library
from .delivery import servers
from .delivery.targets import Target
from .photographs import make_photograph
from .table import Row

ORIGINALS = 100_000
_KEY = "photograph.jpg"
_MISS_BAR, _STOP_BAR, _SEARCH_BAR = 0.5, 5.0, 10.0
_PROCESSING_SECONDS = 300.0
_SEARCHING_SECONDS = 3.0
"""After which a server is in the midst of its search."""


def rows(count: int = ORIGINALS) -> list[Row]:
    """It takes some minutes and 5 GB of disk."""
    title = f"{count:,} originals"
    with tempfile.TemporaryDirectory() as name:
        settings = _fill(Path(name, "data"), count)
        search, wall = library.search_seconds(settings, load_recipe(None))
        make_photograph(settings.data / "uploads" / _KEY, 4000, 3000)
        _process(settings.data)
        miss, stop = _start_and_stop(settings.data, 600)
        _, searching = _start_and_stop(settings.data, 601, _SEARCHING_SECONDS)
    return [
        Row(f"{title}: search, nothing changed, CPU", f"{wall:.1f} s of wall", "", search, _SEARCH_BAR, " s"),
        Row(f"{title}: first miss after a start", "", "", miss, _MISS_BAR, " s"),
        Row(f"{title}: SIGTERM right after it", "", "", stop, _STOP_BAR, " s"),
        Row(f"{title}: SIGTERM during a search", "", "", searching, _STOP_BAR, " s"),
    ]


def _fill(data: Path, count: int) -> Settings:
    for folder in ("uploads", "processed"):
        (data / folder).mkdir(parents=True)
    settings = from_environment({"IMAGE_PROCESSOR_DATA": str(data)})
    library.fill(settings, load_recipe(None), count)
    return settings


def _process(data: Path) -> None:
    """Let a server process the photograph, so that the next ones have nothing to do."""
    deadline = time.monotonic() + _PROCESSING_SECONDS
    with servers.ours(data, recipe_text=None) as server:
        while not list((data / "processed" / _KEY).glob("*")) and time.monotonic() < deadline:
            time.sleep(0.2)
        servers.wait_until_idle(server)


def _start_and_stop(data: Path, width: int, pause: float = 0.0) -> tuple[float, float]:
    """Seconds of a miss right after a start, and from SIGTERM to the end of all processes."""
    with servers.ours(data, recipe_text=None) as server:
        started = time.perf_counter()
        server.get(Target(_KEY, "JPEG", width).path("ours"))
        miss = time.perf_counter() - started
        time.sleep(pause)
        stopping = time.perf_counter()
    return miss, time.perf_counter() - stopping
