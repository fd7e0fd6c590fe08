"""The table that `process` prints at the end. A module of its own, because rich takes long to import."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from image_processor.domain.models import Rendition

from .console import open_console
from .output import format_bytes, printable
from .process_report import FileResult

_MAX_ROWS = 40


def print_summary(results: Sequence[FileResult], out: Path) -> None:
    """One row per image: the bytes of the original, and of its largest rendition."""
    done = [result for result in results if result.renditions]
    console = open_console()
    if done:
        console.print(_summary_table(done))
    statuses = [result.status for result in results]
    counts = ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))
    console.print(f"{counts}; renditions are in {out}", highlight=False, soft_wrap=True)


def _summary_table(done: Sequence[FileResult]) -> Table:
    table = Table("Original", "Bytes", "Renditions", "Largest", "Its bytes", "Saved", box=None)
    for result in done[:_MAX_ROWS]:
        largest = _largest(result)
        table.add_row(
            printable(result.key),
            format_bytes(result.size or 0),
            str(len(result.renditions)),
            f"{largest.metadata.width} x {largest.metadata.height} {largest.metadata.format}",
            format_bytes(largest.metadata.bytes),
            _saved(result.size or 0, largest.metadata.bytes),
        )
    if len(done) > _MAX_ROWS:
        table.add_row(f"... and {len(done) - _MAX_ROWS} more", "", "", "", "", "")
    if len(done) > 1:
        before = sum(result.size or 0 for result in done)
        after = sum(_largest(result).metadata.bytes for result in done)
        count = str(sum(len(result.renditions) for result in done))
        row = ("all", format_bytes(before), count, "", format_bytes(after), _saved(before, after))
        table.add_row(*row, style="bold")
    return table


def _largest(result: FileResult) -> Rendition:
    """The rendition with the most pixels; of several, the one with the fewest bytes."""
    return max(result.renditions, key=lambda r: (r.metadata.width * r.metadata.height, -r.metadata.bytes))


def _saved(before: int, after: int) -> str:
    return f"{100 - 100 * after / before:.0f} %" if before else ""
