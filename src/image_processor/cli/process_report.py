"""How processing one file ended, and what `process` prints of it as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from image_processor.domain.errors import ImageProcessorError
from image_processor.domain.models import Outcome, OutcomeStatus, Record, Rendition


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
