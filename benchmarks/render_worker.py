"""Our side of the engine benchmark: performs one task per line of stdin, answers with a line of JSON.

A task is {"task": ..., "path": ...}; with "into" the renditions are also written into that folder. One whose
name ends in `-plain` has no visual summary, one in `-by-hand` is done by libvips without the engine. The
answer holds seconds of CPU and wall time, the sizes of the renditions, and the peak of resident memory since
the process began.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from image_processor.config.recipe import DEFAULT_RECIPE, parse_recipe
from image_processor.domain.models import Limits
from image_processor.domain.transformation import Transformation, parse
from image_processor.engine.render import render

from .floor import render_by_hand

_SIZES = ("w=1920", "w=1280", "w=640", "w=320", "w=200,h=200")
_TASKS = {
    "five": tuple(parse(f"{size},fm=jpeg") for size in _SIZES),
    "five-webp": tuple(parse(f"{size},fm=webp") for size in _SIZES),
    "recipe": parse_recipe(DEFAULT_RECIPE).transformations_for("photo.jpg"),
    # The preset for fewer bytes of docs/recipes.md: at least as good as sharp's defaults for AVIF, which are
    # quality 50 of effort 4.
    "recipe-matched": tuple(
        parse(f"{size},{how}")
        for size in (*_SIZES[:-1], f"{_SIZES[-1]},g=attention")
        for how in ("fm=avif,q=57", "fm=jpeg,q=78,moz=1")
    ),
    "one": (parse("w=720,fm=jpeg"),),
    "batch": (parse("w=1280,fm=jpeg"),),
}
_PLAIN, _BY_HAND = "-plain", "-by-hand"


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        task = request["task"]
        transformations = _TASKS[task.removesuffix(_PLAIN).removesuffix(_BY_HAND)]
        photograph = Path(request["path"]).read_bytes()
        cpu, wall = time.process_time(), time.perf_counter()
        bodies = _render(task, photograph, transformations)
        answer = {
            "cpu": time.process_time() - cpu,
            "wall": time.perf_counter() - wall,
            "bytes": [len(body) for body in bodies],
            "peak_bytes": _peak_bytes(),
        }
        for number, body in enumerate(bodies if "into" in request else ()):
            name = f"{number}.{transformations[number].format}"
            Path(request["into"], name).write_bytes(body)
        print(json.dumps(answer), flush=True)


def _render(task: str, photograph: bytes, transformations: Sequence[Transformation]) -> Sequence[bytes]:
    if task.endswith(_BY_HAND):
        return render_by_hand(photograph, transformations)
    # An upload is rendered with its visual summary, a rendition by URL without.
    summary = len(transformations) > 1 and not task.endswith(_PLAIN)
    rendered = render(photograph, transformations, Limits(), summary=summary)
    return [rendition.body for rendition in rendered.renditions]


def _peak_bytes() -> int:
    # Not getrusage: on Linux, ru_maxrss starts at what the parent held when it started this process.
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
