"""What `process` prints: a line or JSON for each file, and a table at the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct, to_builtins
from msgspec.structs import replace
from rich.table import Table

from image_processor.domain.errors import ImageProcessorError
from image_processor.domain.models import Outcome, OutcomeStatus, Record, Rendition

from .console import open_console
from .output import format_bytes, printable

_MAX_ROWS = 40


class FileResult(Struct, frozen=True):
    """How processing one file ended: with an outcome, or with an error that a retry may overcome. One that
    ``is_current`` was not processed, because its renditions are there."""

    key: str
    outcome: Outcome | None
    error: ImageProcessorError | None = None
    is_current: bool = False

    @property
    def status(self) -> str:
        if self.is_current:
            return OutcomeStatus.SKIPPED
        return self.outcome.status if self.outcome else "failed"

    @property
    def reason(self) -> str | None:
        return self._record.reason if self._record else None

    @property
    def message(self) -> str | None:
        if self.is_current:
            return "its renditions exist and are not older than it"
        return self.outcome.detail if self.outcome else str(self.error)

    @property
    def size(self) -> int | None:
        """Bytes of the original; None if it was not read to its end."""
        return self._record.original.bytes if self._record and self._record.original else None

    @property
    def renditions(self) -> tuple[Rendition, ...]:
        return self._record.renditions if self._record else ()

    def with_renditions(self, renditions: Sequence[Rendition]) -> FileResult:
        """The result with renditions that have other names now."""
        if self.outcome is None or self.outcome.record is None:
            return self
        record = replace(self.outcome.record, renditions=tuple(renditions))
        return replace(self, outcome=replace(self.outcome, record=record))

    @property
    def _record(self) -> Record | None:
        return self.outcome.record if self.outcome else None


def json_fields(result: FileResult) -> dict[str, object]:
    renditions = [
        {
            "key": rendition.key,
            "transformation": rendition.transformation,
            **to_builtins(rendition.metadata),
        }
        for rendition in result.renditions
    ]
    return {
        "original": result.key,
        "status": result.status,
        "reason": result.reason,
        "message": result.message,
        "bytes": result.size,
        "renditions": renditions,
    }


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
