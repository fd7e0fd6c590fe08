"""Hits of a stored rendition while the server searches its library for lost events, against without a search.

Two servers on equal libraries take turns; one searches without a pause, the other once an hour.
"""

from __future__ import annotations

import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from image_processor.config.recipe import load_recipe
from image_processor.config.settings import from_environment

from .delivery import servers
from .delivery.targets import Target
from .delivery.wrk import Run, drive
from .library import fill
from .photographs import make_photograph
from .table import Row

_ORIGINALS = 4_000
_CONNECTIONS, _SECONDS, _ROUNDS = 8, 3, 5
_PAUSES = {"searching": "1", "quiet": "3600"}
"""IMAGE_PROCESSOR_SWEEP_SECONDS of each server."""


def rows() -> list[Row]:
    target = Target("photograph.jpg", "JPEG", 640)
    runs: dict[str, list[Run]] = {name: [] for name in _PAUSES}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        running = {}
        _fill(Path(name, "filled"))
        for side, pause in _PAUSES.items():
            data = Path(name, side)
            # `cp -a` preserves versions.
            subprocess.run(["cp", "-a", Path(name, "filled"), data], check=True)
            running[side] = stack.enter_context(servers.ours(data, SWEEP_SECONDS=pause))
        for server in running.values():
            servers.wait_until_idle(server)
            server.get(target.path("ours"))
        for number in range(_ROUNDS + 1):
            for side, server in running.items():
                run = drive(server, [target.path("ours")], _CONNECTIONS, _SECONDS)
                if number:
                    runs[side].append(run)
    searching, quiet = (median(run.rate for run in runs[side]) for side in _PAUSES)
    return [
        Row(
            f"hits during a search of {_ORIGINALS:,} originals",
            f"{searching:.0f} /s",
            f"{quiet:.0f} /s",
            searching / quiet,
            0.9,
            at_least=True,
        )
    ]


def _fill(data: Path) -> None:
    data.mkdir()
    recipe = data / "recipe.toml"
    recipe.write_text(servers.SMALL_RECIPE)
    (data / "uploads").mkdir()
    (data / "processed").mkdir()
    settings = from_environment({"IMAGE_PROCESSOR_DATA": str(data), "IMAGE_PROCESSOR_RECIPE": str(recipe)})
    fill(settings, load_recipe(str(recipe)), _ORIGINALS)
    make_photograph(data / "uploads" / "photograph.jpg", 2000, 1500)
