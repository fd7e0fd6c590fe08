"""Deletions that come together are judged together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from image_processor.domain.models import Upload, UploadKind
from image_processor.standalone import deletion_burst
from image_processor.standalone.deletion_burst import QUIET_SECONDS, DeletionBurst
from support.memory_catalog import MemoryCatalog

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Scene:
    """A burst over a catalog of so many records, with a clock that the test sets."""

    def __init__(self, records):
        self.catalog = MemoryCatalog()
        for number in range(records):
            self.catalog.acquire(deletion(number), owner="test", now=NOW, duration=timedelta(seconds=1))
        self.now, self.submitted, self.gaps = 0.0, [], 0
        self.burst = DeletionBurst(self.catalog, 50, self.submitted.append, self.gap, lambda: self.now)

    def gap(self):
        self.gaps += 1

    def delete(self, *numbers, pause=0.0):
        for number in numbers:
            self.now += pause
            self.burst.add(deletion(number))
            self.burst.settle()

    def wait(self, seconds=QUIET_SECONDS):
        self.now += seconds
        self.burst.settle()


def deletion(number):
    return Upload("uploads", f"{number}.jpg", UploadKind.DELETED)


def test_one_deletion_is_reported_once_it_is_quiet():
    scene = Scene(200)
    scene.delete(1)
    assert scene.submitted == []
    scene.wait()
    assert (scene.submitted, scene.gaps) == ([deletion(1)], 0)


@pytest.mark.parametrize("pause", [0.0, 0.1])
def test_most_originals_at_once_are_left_to_reconciliation(pause):
    scene = Scene(200)
    scene.delete(*range(200), pause=pause)
    scene.wait()
    assert len(scene.submitted) <= 50  # of a slow burst, those before it was one
    assert scene.gaps == 1
    if not pause:
        assert scene.submitted == []


@pytest.mark.parametrize(("records", "deleted"), [(200, 100), (100, 100), (1000, 400)])
def test_half_of_the_originals_and_small_libraries_may_go(records, deleted):
    scene = Scene(records)
    scene.delete(*range(deleted))
    scene.wait()
    assert (len(scene.submitted), scene.gaps) == (deleted, 0)


def test_files_without_records_do_not_count():
    scene = Scene(200)
    scene.delete(*range(150, 600))
    scene.wait()
    assert (len(scene.submitted), scene.gaps) == (450, 0)


def test_a_few_deletions_that_never_end_do_not_wait_for_ever():
    scene = Scene(1000)
    scene.delete(*range(15), pause=0.2)
    assert 10 <= len(scene.submitted) < 15


def test_a_burst_that_memory_should_not_hold_is_left_to_reconciliation(monkeypatch):
    monkeypatch.setattr(deletion_burst, "_MAX_PENDING", 60)
    scene = Scene(1000)
    scene.delete(*range(61))
    scene.wait()
    assert (scene.submitted, scene.gaps) == ([], 1)
