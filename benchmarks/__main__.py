"""`make bench`: everything that has a bar, beside its peers. `make bench ARGS="engine memory"`: some parts.

Absolute times depend on the machine and its load. Judged are ratios of medians, from runs that alternate
between both sides. A part that fails is reported, and the others go on. At the end come one table of all rows
with their bars, and files in build/bench: results.json, which keeps the parts of earlier runs, and a plot for
each part. Exit code 1 if a bar is missed or a part failed.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from . import (
    cold_start,
    command_line,
    engine,
    large_library,
    latency,
    memory,
    million,
    records,
    studio,
    sweep,
    uploads,
)
from .delivery import comparison as delivery
from .table import HEADING, Row, missing

_HERE = Path(__file__).parent
_PLOTTING_PYTHON = _HERE.parent / ".venv-bench" / "bin" / "python"
_READ_PATH = ("fidelity", "hits", "misses", "first", "pages", "mixed", "ipx", "overload")

PARTS: Mapping[str, Callable[[], Sequence[Row]]] = MappingProxyType(
    {
        "engine": engine.rows,
        "memory": memory.rows,
        "uploads": uploads.rows,
        "latency": latency.rows,
        "command-line": command_line.rows,
        "records": records.rows,
        "million": million.rows,
        "sweep": sweep.rows,
        "large-library": large_library.rows,
        "studio": studio.rows,
        "cold-starts": cold_start.rows,
        **{name: partial(delivery.print_rows, [name]) for name in _READ_PATH},
    }
)

_ONLY_BY_NAME = frozenset({"million"})
"""Parts that take too long to run each time."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; by default all")
    parser.add_argument(
        "--into", type=Path, default=_HERE.parent / "build" / "bench", help="the folder of results"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"expected parts of {', '.join(PARTS)}, got {', '.join(sorted(unknown))}")
    measured: dict[str, Sequence[Row]] = {}
    for name in arguments.parts or [name for name in PARTS if name not in _ONLY_BY_NAME]:
        measured[name] = _run(name)
        _save(arguments.into, name, measured[name])
    _plot(arguments.into)
    all_rows = [row for rows in measured.values() for row in rows]
    print("\nSummary", HEADING, *all_rows, sep="\n")
    missed = [row for row in all_rows if not row.met]
    judged = sum(row.bar is not None for row in all_rows)
    print(f"{judged - len(missed)} of {judged} bars met")
    return 1 if missed else 0


def _run(name: str) -> Sequence[Row]:
    """The rows of a part. One that fails has a row that says so."""
    print(f"\n=== {name}", flush=True)
    started = time.perf_counter()
    try:
        rows = PARTS[name]() or [missing(name, "see above")]
    except Exception as error:  # noqa: BLE001 - reported here; the other parts go on
        traceback.print_exc()
        rows = [missing(name, f"{type(error).__name__}, see above")]
    print(*rows, f"=== {name}: {time.perf_counter() - started:.0f} s", sep="\n", flush=True)
    return rows


def _save(folder: Path, name: str, rows: Sequence[Row]) -> None:
    """Add the rows of a part to results.json."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "results.json"
    results: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"parts": {}}
    results["parts"][name] = {
        "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {platform.system()}",
        "rows": [_values(row) for row in rows],
    }
    file.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


def _values(row: Row) -> dict[str, Any]:
    return {**asdict(row), "value": row.value if math.isfinite(row.value) else None, "met": row.met}


def _plot(folder: Path) -> None:
    if not _PLOTTING_PYTHON.exists():
        print("*** NO PLOTS: there is no .venv-bench, which `make bench` installs. ***", file=sys.stderr)
        return
    command = [_PLOTTING_PYTHON, _HERE / "plots.py", folder / "results.json", folder]
    subprocess.run(command, check=False)


if __name__ == "__main__":
    sys.exit(main())
