"""If most originals disappear at once, nothing is deleted until a person accepts it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_processor.config.recipe import parse_recipe
from image_processor.domain.models import MessageKind, OutboxMessage, OutcomeStatus, UploadKind
from image_processor.ingest import merging_reconcile, reconcile
from image_processor.ingest.deletion_guard import MIN_KEYS, NO_LIMIT, DeletionGuard
from image_processor.ingest.drift import Drift
from image_processor.ingest.reconcile_run import Checkpoint, run
from support.ingest import BUCKET, IngestFixture, upload
from support.memory_catalog import MemoryCatalog

COUNT = 120


@pytest.fixture(scope="module")
def filled():
    ingest = IngestFixture(catalog=MemoryCatalog())
    for number in range(COUNT):
        ingest.put(f"{number:03}.jpg", b"%d" % number)
        ingest.processor().process(upload(f"{number:03}.jpg"))
    return ingest


@pytest.fixture
def ingest(filled):
    """A copy of a library of so many originals."""
    ingest = IngestFixture(catalog=MemoryCatalog())
    for store, copy in ((filled.uploads, ingest.uploads), (filled.processed, ingest.processed)):
        copy._objects, copy._sorted_keys = dict(store._objects), list(store._sorted_keys)
    ingest.catalog._rows = {id_: dataclasses.replace(row) for id_, row in filled.catalog._rows.items()}
    return ingest


def lose(ingest, count):
    for number in range(count):
        ingest.uploads.delete(f"{number:03}.jpg")


def sweep(ingest):
    """One reconcile, with everything that it finds applied. Returns the findings."""
    findings = list(ingest.reconciler().findings())
    for finding in findings:
        if finding.upload is not None:
            ingest.processor().process(finding.upload)
        ingest.reconciler().delete_orphan(finding)
    return findings


@pytest.mark.parametrize("gone", [COUNT // 2 + 1, COUNT])
def test_deletions_wait_until_they_are_accepted(ingest, gone):
    lose(ingest, gone)
    before = ingest.processed.bodies()
    findings = sweep(ingest)
    assert ingest.processed.bodies() == before
    assert [finding.drift for finding in findings] == [Drift.HELD] * gone
    assert f"{gone} of {COUNT} originals are gone" in findings[0].detail
    assert "--accept-deletions" in findings[0].detail
    ingest.deletion_limit = NO_LIMIT
    sweep(ingest)
    ingest.assert_converged()


def test_half_of_the_originals_may_go_and_others_may_follow(ingest):
    lose(ingest, COUNT // 2)
    assert {finding.drift for finding in sweep(ingest)} == {Drift.ORPHANED}
    ingest.assert_converged()
    lose(ingest, COUNT)  # of the 60 that are left
    sweep(ingest)
    ingest.assert_converged()


def test_originals_that_come_back_end_it(ingest):
    bodies = ingest.uploads.bodies()
    lose(ingest, COUNT)
    sweep(ingest)
    versions = {key: stored.entry.version for key, stored in ingest.uploads._objects.items()}
    assert not versions
    for key, body in bodies.items():
        ingest.put(key, body)
    sweep(ingest)
    ingest.assert_converged()


def test_renditions_without_records_wait_too(ingest):
    """The catalog was lost, too: only the renditions tell what there was."""
    ingest.catalog = MemoryCatalog()
    lose(ingest, COUNT)
    before = ingest.processed.bodies()
    assert {finding.drift for finding in sweep(ingest)} == {Drift.HELD}
    assert ingest.processed.bodies() == before


def test_an_event_of_one_deletion_is_honoured(ingest):
    lose(ingest, COUNT)
    outcome = ingest.processor().process(upload("000.jpg", kind=UploadKind.DELETED))
    assert outcome.status is OutcomeStatus.DELETED
    assert not any(key.startswith("000.jpg/") for key in ingest.processed.bodies())


def test_a_changed_recipe_deletes_as_before(ingest):
    ingest.recipe = parse_recipe('[presets.a]\nwidth = 1\n[[rules]]\nmatch = "0.jpg"\npresets = ["a"]')
    sweep(ingest)
    assert ingest.processed.bodies() == {}


def test_a_run_that_is_continued_remembers_what_is_gone(ingest, monkeypatch):
    monkeypatch.setattr(reconcile, "_PAGE", 50)
    monkeypatch.setattr("image_processor.ingest.deletion_guard.MIN_KEYS", 60)
    lose(ingest, COUNT)
    checkpoint, sent = Checkpoint(BUCKET, ingest.now), []
    while True:  # one page each time, as a function that is stopped
        step = next(run(ingest.reconciler(), checkpoint, sent.extend), None)
        if step is None:
            break
        checkpoint = step[1]
    assert checkpoint.guard.gone >= COUNT
    assert len(sent) == 50  # the first page alone is no library of over 60 originals


@given(checked=st.integers(0, 10**6), gone=st.integers(0, 10**6), limit=st.integers(1, 99))
def test_the_guard_holds_above_the_limit_only(checked, gone, limit):
    gone = min(gone, checked)
    expected = checked > MIN_KEYS and gone / checked > limit / 100
    if checked and abs(gone / checked - limit / 100) > 1e-9:
        assert DeletionGuard().after(checked, gone).holds(limit) == expected
    assert not DeletionGuard(checked, gone).holds(NO_LIMIT)


@pytest.mark.parametrize(("gone", "drifts"), [(60, {Drift.ORPHANED}), (61, {Drift.HELD})])
def test_one_machine_counts_what_is_gone_before_it_deletes(ingest, monkeypatch, gone, drifts):
    """With pages of 10, so that the first ones are of originals that are all gone."""
    monkeypatch.setattr(merging_reconcile, "_PAGE", 10)
    lose(ingest, gone)
    findings = list(ingest.reconciler().findings())
    assert {finding.drift for finding in findings} == drifts
    assert len(findings) == gone


def test_only_originals_that_are_gone_count(ingest):
    """Not those whose messages wait, as all do while a receiver is down."""
    for number in range(COUNT):
        key = f"{number:03}.jpg"
        lease = ingest.catalog.acquire(upload(key), owner="a", now=ingest.now, duration=timedelta(seconds=60))
        message = OutboxMessage(f"m{number}", MessageKind.EVENT, key, ingest.now, "{}")
        ingest.catalog.complete(lease, lease.record, [message])
    lose(ingest, 1)
    found = [finding for page in ingest.reconciler().pages() for finding in page.findings]
    drifts = Counter(finding.drift for finding in found)
    assert drifts[Drift.ORPHANED] > 0
    assert (drifts[Drift.UNSENT], drifts[Drift.HELD]) == (COUNT - 1, 0)
