"""Our side of the engine benchmark: performs one task per line of stdin, answers with a line of JSON.

A task is {"task": "five" | "one", "path": ...}. The answer holds seconds of CPU and wall time, the
sizes of the renditions, and the peak of resident memory since the process began.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from image_processor.domain.models import Limits
from image_processor.domain.transformation import Transformation
from image_processor.engine.render import render

_FIVE = (
    *(Transformation(width=width) for width in (1920, 1280, 640, 320)),
    Transformation(width=200, height=200),
)
_ONE = (Transformation(width=720),)


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        photograph = Path(request["path"]).read_bytes()
        cpu, wall = time.process_time(), time.perf_counter()
        # An upload is rendered with its visual summary, a rendition by URL without.
        if request["task"] == "five":
            rendered = render(photograph, _FIVE, Limits())
        else:
            rendered = render(photograph, _ONE, Limits(), summary=False)
        answer = {
            "cpu": time.process_time() - cpu,
            "wall": time.perf_counter() - wall,
            "bytes": [len(rendition.body) for rendition in rendered.renditions],
            "peak_bytes": _peak_bytes(),
        }
        print(json.dumps(answer), flush=True)


def _peak_bytes() -> int:
    # Not getrusage: on Linux, ru_maxrss starts at what the parent held when it started this process.
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
