"""Memory of one machine: the peak of all processes of the server, while it processes one upload.

Each upload has a server of its own, with the built-in recipe and default settings. Memory is the proportional
set size (PSS), summed over the server and all its descendants and sampled about 50 times a second.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from PIL import Image

from .delivery import servers
from .photographs import make_photograph
from .process_tree import PeakMemory, proportional_bytes
from .table import Row

_MEGABYTE = 1024 * 1024
_IDLE_SECONDS, _SETTLING_SECONDS = 2.0, 1.0
_SECONDS = 300.0

_IDLE_BAR = 70.0


def _photograph(width: int, height: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        make_photograph(path, width, height)

    return make


def _noisy(width: int, height: int, **options: object) -> Callable[[Path], None]:
    """A grey ramp with noise, whose colours vary from block to block: made in strips, because it is large."""

    def make(path: Path) -> None:
        random = np.random.default_rng(1)
        image = Image.new("RGB", (width, height))
        for top in range(0, height, 500):
            rows = min(500, height - top)
            ramp = np.linspace(40, 200, width, dtype=np.float32)[None, :, None]
            pixels = ramp + random.normal(0, 6, (rows, width, 3)).astype(np.float32)
            image.paste(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), (0, top))
        image.save(path, **options)  # type: ignore[arg-type] # the options of the format

    return make


_UPLOADS: Mapping[str, tuple[str, Callable[[Path], None], float]] = MappingProxyType(
    {
        "12 MP JPEG": ("large.jpg", _photograph(4000, 3000), 160),
        "100 MP baseline JPEG": ("baseline.jpg", _noisy(11547, 8660, quality=85), 220),
        "100 MP progressive JPEG": (
            "progressive.jpg",
            _noisy(11547, 8660, quality=60, progressive=True),
            512,
        ),
        "24 MP AVIF": ("large.avif", _noisy(5656, 4242, quality=60, speed=10), 512),
    }
)
"""What is uploaded, by title: the file's name, what makes it, and the bar in MB. The last two take the most
memory of what is accepted."""


def rows() -> list[Row]:
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        for number, (title, (file, make, bar)) in enumerate(_UPLOADS.items()):
            original = Path(name, file)
            make(original)
            idle, peak, after = _measure(original, Path(name, f"data-{number}"))
            if not found:
                found.append(Row("memory of an idle server", "", "", idle, _IDLE_BAR, " MB"))
            size = f"{original.stat().st_size / 1e6:.0f} MB file"
            found.append(Row(f"memory with a {title}", size, f"{after:.0f} MB after", peak, bar, " MB"))
    return found


def _measure(original: Path, data: Path) -> tuple[float, float, float]:
    """Megabytes before the upload, at the peak, and a moment after."""
    (data / "uploads").mkdir(parents=True)
    with servers.ours(data, recipe_text=None) as server:
        time.sleep(_IDLE_SECONDS)
        idle = proportional_bytes(server.pid)
        with PeakMemory(server.pid) as peak:
            shutil.copy(original, data / "uploads")
            image = _wait_until_processed(server)
        if image["status"] != "processed":
            raise RuntimeError(f"expected {original.name} to be processed, got {image}")
        time.sleep(_SETTLING_SECONDS)
        after = proportional_bytes(server.pid)
    return idle / _MEGABYTE, peak.bytes / _MEGABYTE, after / _MEGABYTE


def _wait_until_processed(server: servers.Server) -> dict[str, object]:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        images: list[dict[str, object]] = json.loads(server.get("/images"))["images"]
        if images and images[0]["status"] in {"processed", "refused"}:
            return images[0]
        time.sleep(0.1)
    raise RuntimeError(f"expected the upload to be processed within {_SECONDS:.0f} s")
