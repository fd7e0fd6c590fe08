"""What an upload costs beyond decoding, resizing and encoding, and what a second worker gains.

The overhead is the CPU time of `image-processor serve` for an upload, all processes together, over that of
the engine alone for the same renditions: digest, visual summary, reading, pipes, SQLite, fsync, events. What
a server takes while it has nothing to do is subtracted.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from image_processor.config.recipe import DEFAULT_RECIPE, parse_recipe
from image_processor.domain.models import Limits
from image_processor.engine.render import render

from .delivery import servers
from .delivery.servers import Server
from .engine import Worker, render_worker
from .photographs import make_photograph
from .table import Row

_ROUNDS = 5
_UPLOADS = 4
_WAITING_SECONDS = 2.0
_PROCESSING_SECONDS = 2.0
"""How long the uploads of a round take at least, in which nobody asks the server whether it is done."""
_BATCH, _BATCH_ROUNDS = 60, 3
_PROCESS = (sys.executable, "-m", "image_processor", "process")
_BATCH_RECIPE = (
    '[presets.medium]\nwidth = 1280\nformats = ["jpeg"]\n[[rules]]\nmatch = "**"\npresets = ["medium"]\n'
)


def rows() -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [_overhead(folder), *_second_worker(folder), _second_engine(folder)]


def _overhead(folder: Path) -> Row:
    photograph = make_photograph(folder / "photograph.jpg", 4000, 3000)
    body = photograph.read_bytes()
    transformations = parse_recipe(DEFAULT_RECIPE).transformations_for("photograph.jpg")
    data = folder / "data"
    uploads = data / "uploads"
    uploads.mkdir(parents=True)
    server_times, engine_times = [], []
    with servers.ours(data, recipe_text=None, WORKERS="1") as server:
        for number in range(_ROUNDS + 1):
            used = _server_seconds(server, photograph, uploads, number) / _UPLOADS
            started = time.process_time()
            for _ in range(_UPLOADS):
                render(body, transformations, Limits(), summary=False)
            engine = (time.process_time() - started) / _UPLOADS
            if number:  # the first round starts the renderer
                server_times.append(used)
                engine_times.append(engine)
    ours, engine = median(server_times), median(engine_times)
    shown = f"{1000 * ours:.0f} ms", f"{1000 * engine:.0f} ms alone"
    return Row("an upload beyond its renditions, CPU", *shown, 100 * (ours / engine - 1), 8, " %")


def _server_seconds(server: Server, photograph: Path, uploads: Path, number: int) -> float:
    """CPU time of the uploads of a round, without that of a server that waits."""
    servers.wait_until_idle(server)
    before = server.cpu_seconds()
    time.sleep(_WAITING_SECONDS)
    waiting = (server.cpu_seconds() - before) / _WAITING_SECONDS
    before, started = server.cpu_seconds(), time.perf_counter()
    for copy in range(_UPLOADS):
        shutil.copy(photograph, uploads / f"{number}-{copy}.jpg")
    time.sleep(_PROCESSING_SECONDS)
    servers.wait_until_idle(server)
    return server.cpu_seconds() - before - waiting * (time.perf_counter() - started)


def _second_worker(folder: Path) -> list[Row]:
    """A batch with one worker and with two, in turn: the ratio of wall times. And the ratio if both cores
    were busy all the time: with one worker, the program around it uses some of the second core already."""
    originals, recipe = folder / "originals", folder / "recipe.toml"
    originals.mkdir()
    recipe.write_text(_BATCH_RECIPE)
    first = make_photograph(originals / "00.jpg", 4000, 3000)
    for number in range(1, _BATCH):
        shutil.copy(first, originals / f"{number:02}.jpg")
    times: dict[int, list[float]] = {1: [], 2: []}
    used: list[float] = []
    for number in range(_BATCH_ROUNDS):
        for workers, found in times.items():
            out = folder / f"out-{workers}-{number}"
            command = [*_PROCESS, str(originals), "--recipe", str(recipe), "--out", str(out)]
            started, before = time.perf_counter(), _children_seconds()
            subprocess.run([*command, "--workers", str(workers)], check=True, capture_output=True)
            found.append(time.perf_counter() - started)
            if workers == 2:
                used.append(_children_seconds() - before)
            shutil.rmtree(out)
    one, two, least = median(times[1]), median(times[2]), median(used) / 2
    title = f"two workers against one, batch of {_BATCH}"
    shown = f"{one:.2f} s"
    return [
        Row(title, f"{two:.2f} s", shown, one / two, 1.85, at_least=True),
        Row("... if both cores were always busy", f"{least:.2f} s", shown, one / least),
    ]


def _children_seconds() -> float:
    """CPU time of all processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _second_engine(folder: Path) -> Row:
    """The same renditions by the engine alone, in one process and in two, in turn: what a second core gives
    on this machine, where two cores may share caches, memory, or one core's units."""
    photograph = folder / "originals" / "00.jpg"
    times: dict[int, list[float]] = {1: [], 2: []}
    with render_worker() as first, render_worker() as second:
        workers = (first, second)
        for count in (2, 1) * _BATCH_ROUNDS:
            started = time.perf_counter()
            with ThreadPoolExecutor(count) as threads:
                list(threads.map(_render_batch, workers[:count], [photograph] * count, [count] * count))
            times[count].append(time.perf_counter() - started)
    one, two = median(times[1]), median(times[2])
    return Row("... the engine alone, two processes against one", f"{two:.1f} s", f"{one:.1f} s", one / two)


def _render_batch(worker: Worker, photograph: Path, count: int) -> None:
    """A part of the batch, of which there are ``count``."""
    for _ in range(_BATCH // count):
        worker.run("batch", photograph)
