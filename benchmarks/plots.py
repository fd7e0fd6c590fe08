"""Draws what `make bench` has measured. A program of .venv-bench:

    .venv-bench/bin/python benchmarks/plots.py RESULTS.json FOLDER

For each part an SVG: how far each measurement is from its bar. It has no background, and its grey is readable
on white and on black.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

_GREY, _MET, _MISSED = "#808080", "#2a9d5c", "#d1495b"
_WIDTH, _ROW_HEIGHT, _FRAME_HEIGHT = 9.0, 0.34, 0.9
_LARGEST = 8.0
"""The longest bar: what is further from its bar is written beside it."""

mpl.use("svg")
mpl.rcParams.update(
    {
        "svg.hashsalt": "image-processor",  # equal results are equal files
        "svg.fonttype": "none",
        "font.size": 9,
        "text.color": _GREY,
        "axes.labelcolor": _GREY,
        "axes.edgecolor": _GREY,
        "xtick.color": _GREY,
        "ytick.color": _GREY,
    }
)


def main(results: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part, measured in json.loads(results.read_text())["parts"].items():
        rows = [row for row in measured["rows"] if row["bar"] and _margin(row) is not None]
        if rows:
            _draw(part, rows, folder / f"{part}.svg")


def _margin(row: dict[str, Any]) -> float | None:
    """How many times better than its bar a measurement is; below 1 it misses the bar."""
    value, bar = row["value"], row["bar"]
    if value is None or not math.isfinite(value) or value <= 0 or bar <= 0:
        return None
    margin: float = value / bar if row["at_least"] else bar / value
    return margin


def _draw(part: str, rows: list[dict[str, Any]], file: Path) -> None:
    figure, axes = plt.subplots(figsize=(_WIDTH, _FRAME_HEIGHT + _ROW_HEIGHT * len(rows)))
    for at, row in enumerate(reversed(rows)):
        margin = _margin(row)
        assert margin is not None
        axes.barh(at, min(margin, _LARGEST), color=_MET if row["met"] else _MISSED, height=0.62)
        sign = "≥" if row["at_least"] else "≤"
        label = f"{row['value']:.2f}{row['unit']} ({sign} {row['bar']:g})"
        beside = 1.0 if 0.7 < margin < 1 else min(margin, _LARGEST)  # not across the line at 1
        axes.text(beside + 0.05, at, label, va="center")
    axes.set_yticks(range(len(rows)), [row["name"].removeprefix("... ") for row in reversed(rows)])
    axes.axvline(1, color=_GREY, linewidth=1)
    axes.set_xlim(0, _LARGEST + 1.6)
    axes.set_xlabel(f"times better than the bar (1: just met), {part}")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, transparent=True, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
