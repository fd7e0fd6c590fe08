"""Counts of the last hour and the last day: what is counted when, and what is forgotten."""

from __future__ import annotations

from datetime import UTC, datetime

from image_processor.domain.errors import Reason, Unavailable
from image_processor.domain.models import ImageMetadata, Outcome, OutcomeStatus, Record, Rendition, Status
from image_processor.domain.ports import Entry
from image_processor.standalone.activity import DAY_PERIODS, HOUR_PERIODS, Activity, saved_bytes
from image_processor.standalone.storage_report import (
    FRESH_SECONDS,
    FormatStorage,
    StorageReport,
    count_storage,
)
from support.waiting import wait_for

NOON = 1_767_268_800.0
TIME = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


def metadata(format_: str, width: int, size: int) -> ImageMetadata:
    return ImageMetadata(width, width, format_, 1, False, size, "")


def record(status: Status, reason: Reason | None = None, *renditions: ImageMetadata) -> Record:
    return Record(
        id="id",
        bucket="uploads",
        key="a.jpg",
        status=status,
        reason=reason,
        created_at=TIME,
        updated_at=TIME,
        revision=1,
        original=metadata("jpeg", 4000, 1000),
        renditions=tuple(Rendition(f"a.jpg/{n}", "", item, "v") for n, item in enumerate(renditions)),
    )


def test_a_clock_that_is_set_back_loses_no_count_and_breaks_no_series() -> None:
    clock = Clock()
    activity = Activity(clock)
    activity.count("hits")
    activity.record_maximum("queue", 3)
    clock.now -= 7200
    activity.count("hits", 4)
    for series in (activity.last_hour(), activity.last_day()):
        assert sum(series.counts["hits"]) == 5
        assert max(series.counts["queue"]) == 3
    clock.now += 7200 + 61
    activity.count("hits", 2)
    assert list(activity.last_hour().counts["hits"])[-2:] == [5, 2]


def test_counts_belong_to_their_period_and_leave_with_it() -> None:
    clock = Clock()
    activity = Activity(clock)
    activity.count("hits")
    clock.now += 61
    activity.count("hits", 4)
    hour, day = activity.last_hour(), activity.last_day()
    assert list(hour.counts["hits"]) == [0] * (HOUR_PERIODS - 2) + [1, 4]
    assert list(day.counts["hits"]) == [0] * (DAY_PERIODS - 1) + [5]
    assert hour.start + HOUR_PERIODS * hour.step == NOON + 120
    clock.now = NOON + 3600
    assert list(activity.last_hour().counts["hits"]) == [4.0] + [0] * (HOUR_PERIODS - 1)
    clock.now += 60
    assert activity.last_hour().counts == {}
    clock.now = NOON + 2 * 86_400
    assert activity.last_day().counts == {}


def test_a_busy_week_takes_the_memory_of_a_day() -> None:
    clock = Clock()
    activity = Activity(clock)
    clock.now += 600
    for _ in range(7 * 24 * 12):
        clock.now += 300
        activity.count("hits")
    assert len(activity._minutes) <= 24 * 60
    assert sum(activity.last_day().counts["hits"]) == 24 * 12
    assert activity.totals() == {"hits": 7 * 24 * 12}


def test_the_highest_value_of_a_period_is_kept() -> None:
    activity = Activity(Clock())
    for value in (3, 7, 2):
        activity.record_maximum("queue", value)
    assert activity.last_hour().counts["queue"][-1] == 7
    activity._clock.now += 60
    activity.record_maximum("queue", 5)
    assert list(activity.last_hour().counts["queue"][-2:]) == [7, 5]
    assert activity.last_day().counts["queue"][-1] == 7


def test_outcomes_are_counted_with_what_they_made() -> None:
    activity = Activity(Clock())
    assert activity.seconds_per_rendition() is None
    made = [metadata("avif", 640, 300), metadata("jpeg", 640, 400), metadata("avif", 320, 90)]
    done = record(Status.PROCESSED, None, *made)
    activity.count_outcome(Outcome("a.jpg", OutcomeStatus.PROCESSED, done), 6.0)
    refused = record(Status.REFUSED, Reason.NOT_AN_IMAGE)
    activity.count_outcome(Outcome("b.jpg", OutcomeStatus.REFUSED, refused), 1.0)
    activity.count_outcome(Outcome("a.jpg", OutcomeStatus.DELETED), 0.0)
    counts = {name: values[-1] for name, values in activity.last_hour().counts.items()}
    assert counts == {
        "busy": 7, "processed": 1, "refused": 1, "refused:not-an-image": 1, "deleted": 1,
        "renditions": 3, "format:avif": 2, "format:jpeg": 1, "saved": 700,
    }  # fmt: skip
    assert activity.seconds_per_rendition() == 2.0


def test_a_rendition_larger_than_its_original_saves_nothing() -> None:
    assert saved_bytes(record(Status.PROCESSED, None, metadata("png", 640, 5000))) == 0
    assert saved_bytes(record(Status.PROCESSED)) == 0


def entry(key: str, size: int) -> Entry:
    return Entry(key, size, "v", TIME)


STORED = [
    entry("a.jpg/w=10,fm=jpeg.jpg", 5),
    entry("a.jpg/w=10,fm=avif.avif", 3),
    entry("a.jpg/~w=11,fm=jpeg.jpg", 7),
    entry("a.jpg/notes.txt", 100),
]


def test_renditions_are_counted_by_format() -> None:
    assert count_storage(STORED, lambda: False) == {"jpeg": FormatStorage(2, 12), "avif": FormatStorage(1, 3)}
    assert count_storage(STORED * 1000, lambda: True) is None


def test_the_report_is_made_when_asked_for_and_again_when_it_is_old() -> None:
    clock, listed = Clock(), []
    stored = list(STORED)

    def entries() -> list[Entry]:
        listed.append(clock.now)
        if len(listed) == 1:
            raise Unavailable("no disk")
        return stored

    report = StorageReport(entries, clock)
    assert report.latest() is None
    count = wait_for(report.latest, "the count after a failure")
    assert count.formats["jpeg"] == FormatStorage(2, 12)
    stored.clear()
    clock.now += FRESH_SECONDS - 1
    assert report.latest() == count
    clock.now += 2
    wait_for(lambda: report.latest().formats == {}, "the next count")  # type: ignore[union-attr]
    assert len(listed) == 3
    report.stop()
    clock.now += 2 * FRESH_SECONDS
    report.latest()
    assert len(listed) == 3
