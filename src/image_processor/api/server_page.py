"""Routes for the studio's page about the server: what it has done lately, and the settings in force."""

from __future__ import annotations

from typing import Self

from fastapi import APIRouter
from pydantic import Field

from image_processor.config.settings import SettingSource, sources
from image_processor.standalone.activity import Series
from image_processor.standalone.storage_report import StorageCount

from .dependencies import StandaloneContextOf
from .models import Model

router = APIRouter(tags=["server"])


class SeriesModel(Model):
    """Counts by name. Each list has a value for every period of `step` seconds, of which the first begins at
    `start` (Unix seconds) and the last is the current one. Names without counts are left out.

    `processed`, `refused`, `deleted`, `skipped`, `unchanged`: uploads by outcome; `refused:REASON` by reason;
    `renditions` and `format:FORMAT`: renditions made of uploads; `busy`: seconds that workers worked;
    `queue`: the most uploads that waited or were processed at a time; `hits`: responses with a stored
    rendition; `misses`: renditions made for a request; `saved`: bytes that one view of each processed image
    saves.
    """

    start: int = Field(examples=[1767225600])
    step: int = Field(examples=[60])
    counts: dict[str, list[float]] = Field(examples=[{"processed": [0, 3, 12], "hits": [0, 40, 180]}])

    @classmethod
    def of(cls, series: Series) -> Self:
        counts = {name: list(values) for name, values in sorted(series.counts.items())}
        return cls(start=series.start, step=series.step, counts=counts)


class FormatStorageModel(Model):
    """The stored renditions of one format."""

    format: str = Field(examples=["avif"])
    renditions: int
    bytes: int


class StorageModel(Model):
    """The stored renditions by format, largest first, as of `counted_at` (Unix seconds)."""

    formats: list[FormatStorageModel]
    counted_at: float

    @classmethod
    def of(cls, count: StorageCount) -> Self:
        formats = [
            FormatStorageModel(format=name, renditions=item.renditions, bytes=item.bytes)
            for name, item in sorted(count.formats.items(), key=lambda pair: -pair[1].bytes)
        ]
        return cls(formats=formats, counted_at=count.counted_at)


class ActivityModel(Model):
    """What the server has done since `since` (Unix seconds), at most in the last day. `storage` is null until
    the renditions have been counted, which begins with the first request."""

    since: float
    workers: int
    backlog: int = Field(description="Uploads that wait or are being processed.")
    hour: SeriesModel
    day: SeriesModel
    storage: StorageModel | None


class SettingModel(Model):
    """One setting. `value` is written as in the environment; that of a secret is not shown. `source` is where
    it comes from."""

    name: str = Field(examples=["IMAGE_PROCESSOR_WORKERS"])
    meaning: str
    value: str = Field(examples=["4"])
    source: SettingSource


class SettingsModel(Model):
    """The settings in force."""

    settings: list[SettingModel]


@router.head("/activity", include_in_schema=False)
@router.get("/activity")
def get_activity(context: StandaloneContextOf) -> ActivityModel:
    """Return what the server did in the last hour and the last day. Counts begin again with each start."""
    storage = context.storage()
    return ActivityModel(
        since=context.activity.started,
        workers=context.settings.worker_count,
        backlog=context.backlog(),
        hour=SeriesModel.of(context.activity.last_hour()),
        day=SeriesModel.of(context.activity.last_day()),
        storage=StorageModel.of(storage) if storage else None,
    )


@router.head("/settings", include_in_schema=False)
@router.get("/settings")
def get_settings(context: StandaloneContextOf) -> SettingsModel:
    """Return the settings in force, without secrets, and where each comes from."""
    return SettingsModel(
        settings=[
            SettingModel(name=item.name, meaning=item.meaning, value=item.value, source=item.source)
            for item in sources(context.settings_in_force)
        ]
    )
