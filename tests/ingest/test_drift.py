"""The drift of one key, by its plan, original, record and stored renditions: every case is a row."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from image_processor.domain.errors import Reason, Refused, Unreadable
from image_processor.domain.keys import image_id
from image_processor.domain.models import IccPolicy, ImageMetadata, Limits, Plan, Record, Rendition, Status
from image_processor.domain.ports import Attributes, Entry, RecordState
from image_processor.domain.transformation import parse
from image_processor.ingest.drift import Drift, ExpectedFingerprints, Inspector, detect_drift, is_current
from image_processor.ingest.plan import (
    processed_fingerprint,
    refusal_fingerprint,
    uncorrected_fingerprints,
    uncorrected_refusal,
)
from image_processor.renditions.originals import OriginalState
from support.ingest import OTHER_RECIPE
from support.memory_store import MemoryStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = Limits()
NAME = "w=9,fm=png.png"
LAZY = "a.jpg/w=8,fm=png.png"
PLAN = Plan("a.jpg", (parse("w=9,fm=png"),), "f", cache_control="no-store", lazy={LAZY: parse("w=8,fm=png")})
ORIGINAL = OriginalState("v1")
GONE = OriginalState("v1", Unreadable("denied", "v1"))
UNKNOWN = OriginalState(None, Unreadable("denied"))
LINK = OriginalState(None, Refused(Reason.NOT_AN_IMAGE, "a link"))


def entry(name: str = NAME, version: str = "r1") -> Entry:
    return Entry(f"a.jpg/{name}", 1, version, NOW)


def record(status: Status = Status.PROCESSED, **fields: Any) -> Record:
    rendition = Rendition(f"a.jpg/{NAME}", "w=9,fm=png", ImageMetadata(9, 9, "png", 1, False, 1, ""), "r1")
    processed = status is Status.PROCESSED
    known = {
        "version": "v1",
        "fingerprint": processed_fingerprint(PLAN) if processed else refusal_fingerprint(PLAN, LIMITS),
        "renditions": (rendition,) if processed else (),
    }
    return Record("id", "uploads", "a.jpg", NOW, NOW, status, **(known | fields))


def is_current_in_a_listing(before: Record) -> bool:
    """What a search says without a look at the whole record."""
    original = before.original
    state = RecordState(
        *(before.key, before.status, before.version, before.fingerprint, before.reason),
        {rendition.key: rendition.version for rendition in before.renditions},
        *((original.format, original.alpha) if original else ()),
    )
    return is_current(ExpectedFingerprints.of(PLAN, LIMITS), "v1", state, state.renditions)


REFUSED = record(Status.REFUSED)
ON_DEMAND = entry(f"~{NAME}")


@pytest.mark.parametrize("fingerprint", ["f", *uncorrected_fingerprints(PLAN)])
@pytest.mark.parametrize(
    ("format_", "alpha", "drift"),
    [
        ("jpeg", False, None),
        ("png", True, None),
        ("webp", False, None),
        ("webp", True, Drift.STALE),
        ("avif", False, Drift.STALE),
        ("heic", False, Drift.STALE),
        ("gif", False, Drift.STALE),
        ("tiff", False, Drift.STALE),
        ("svg", True, Drift.STALE),
    ],
)
def test_an_upgrade_makes_only_what_it_corrects(
    fingerprint: str,
    format_: str,
    alpha: bool,  # noqa: FBT001 - a parameter of the test
    drift: Drift | None,
) -> None:
    metadata = ImageMetadata(9, 9, format_, 1, alpha, 1, "")
    before = record(fingerprint=fingerprint, original=metadata)
    assert detect_drift(PLAN, LIMITS, ORIGINAL, before, [entry()]) is drift
    assert detect_drift(PLAN, LIMITS, ORIGINAL, record(original=metadata), [entry()]) is None
    # Version 0.1 did not tell the header, which is read then.
    assert is_current_in_a_listing(before) is (drift is None and fingerprint != PLAN.fingerprint)
    assert is_current_in_a_listing(record(original=metadata))


@pytest.mark.parametrize(
    ("reason", "drift"),
    [
        (Reason.TRUNCATED, Drift.STALE),
        (Reason.CORRUPT, Drift.STALE),
        (Reason.TOO_MANY_PIXELS, Drift.STALE),
        (Reason.EMPTY, None),
        (Reason.TOO_MANY_BYTES, None),
        (Reason.TOO_SLOW, None),
    ],
)
def test_an_upgrade_tries_refused_files_again_that_it_may_read(reason: Reason, drift: Drift | None) -> None:
    fingerprint = uncorrected_refusal(PLAN, LIMITS)
    before = record(Status.REFUSED, fingerprint=fingerprint, reason=reason)
    assert detect_drift(PLAN, LIMITS, ORIGINAL, before, []) is drift
    assert detect_drift(PLAN, LIMITS, ORIGINAL, record(Status.REFUSED, reason=reason), []) is None
    assert is_current_in_a_listing(before) is (drift is None)
    assert is_current_in_a_listing(record(Status.REFUSED, reason=reason))


@pytest.mark.parametrize(
    ("original", "recorded", "stored", "drift"),
    [
        (ORIGINAL, record(), [entry()], None),
        (ORIGINAL, record(fingerprint="f"), [entry()], None),
        (ORIGINAL, record(), [entry(), ON_DEMAND, entry("w=8,fm=png.png")], None),
        (ORIGINAL, REFUSED, [], None),
        (ORIGINAL, None, [], Drift.MISSING),
        (ORIGINAL, None, [entry()], Drift.MISSING),
        (ORIGINAL, record(Status.PROCESSING), [], Drift.UNFINISHED),
        (GONE, record(Status.PROCESSING), [], Drift.UNFINISHED),
        (OriginalState("v2"), record(), [entry()], Drift.CHANGED),
        (OriginalState("v2", Unreadable("denied", "v2")), record(), [entry()], Drift.CHANGED),
        (LINK, record(), [entry()], Drift.CHANGED),
        (GONE, record(), [entry()], Drift.UNREADABLE),
        (UNKNOWN, record(), [entry()], Drift.UNREADABLE),
        (ORIGINAL, record(fingerprint="g"), [entry()], Drift.STALE),
        (ORIGINAL, record(Status.REFUSED, fingerprint="f"), [], Drift.STALE),
        (ORIGINAL, record(Status.REFUSED, fingerprint=processed_fingerprint(PLAN)), [], Drift.STALE),
        (ORIGINAL, record(fingerprint=refusal_fingerprint(PLAN, LIMITS)), [entry()], Drift.STALE),
        (ORIGINAL, record(), [], Drift.DAMAGED),
        (ORIGINAL, record(), [entry(version="r2")], Drift.DAMAGED),
        (ORIGINAL, record(), [entry(), entry("w=7,fm=png.png")], Drift.DAMAGED),
        (ORIGINAL, REFUSED, [ON_DEMAND], Drift.DAMAGED),
        (ORIGINAL, REFUSED, [entry("w=8,fm=png.png")], Drift.DAMAGED),
        (None, None, [], None),
        (None, record(), [], Drift.ORPHANED),
        (None, None, [entry()], Drift.ORPHANED),
        (None, None, [ON_DEMAND], Drift.ORPHANED),
    ],
)
def test_a_difference_is_named(
    original: OriginalState | None, recorded: Record | None, stored: list[Entry], drift: Drift | None
) -> None:
    assert detect_drift(PLAN, LIMITS, original, recorded, stored) is drift


@pytest.mark.parametrize(
    ("recorded", "stored", "drift"),
    [
        (None, [], None),
        (None, [ON_DEMAND], None),
        (None, [entry()], Drift.ORPHANED),
        (record(), [], Drift.ORPHANED),
    ],
)
def test_a_skipped_key_keeps_renditions_on_demand_only(
    recorded: Record | None, stored: list[Entry], drift: Drift | None
) -> None:
    plan = Plan("a.jpg", skip="no rule of the recipe matches it")
    assert detect_drift(plan, LIMITS, ORIGINAL, recorded, stored) is drift


def test_an_on_demand_name_in_the_record_is_declared() -> None:
    """A private preset's rendition has such a name, and it must be there."""
    private = Rendition(ON_DEMAND.key, "w=9,fm=png", ImageMetadata(9, 9, "png", 1, False, 1, ""), "r1")
    known = record(renditions=(private,))
    assert detect_drift(PLAN, LIMITS, ORIGINAL, known, [ON_DEMAND]) is None
    assert detect_drift(PLAN, LIMITS, ORIGINAL, known, []) is Drift.DAMAGED


class OneRecord:
    """A catalog that knows one record."""

    def __init__(self, known: Record | None) -> None:
        self.known = known

    def get(self, id_: str) -> Record | None:
        return self.known if id_ == image_id("uploads", "a.jpg") else None


def inspector(header: str, known: Record | None) -> Inspector:
    """For an original `a.jpg` with one stored rendition that has ``header``."""
    uploads, processed = MemoryStore(), MemoryStore()
    uploads.put("a.jpg", b"cat", Attributes())
    if known is not None:
        processed.put("a.jpg/w=30,fm=png.png", b"", Attributes(cache_control=header))
    catalog: Any = OneRecord(known)
    limits, icc = Limits(), IccPolicy.STRIP
    return Inspector("uploads", uploads, processed, catalog, OTHER_RECIPE, limits, icc, "no-store")


@pytest.mark.parametrize(
    ("header", "old", "drift"),
    [
        ("no-store", True, None),
        ("max-age=9", True, Drift.STALE),
        ("max-age=9", False, None),
    ],
    ids=["same", "other", "other, and the record tells the header"],
)
def test_the_header_of_a_record_of_version_0_2_is_looked_up(
    header: str,
    old: bool,  # noqa: FBT001
    drift: Drift | None,
) -> None:
    plan = inspector(header, None).plan("a.jpg")
    metadata = ImageMetadata(9, 9, "png", 1, False, 1, "")
    rendition = Rendition("a.jpg/w=30,fm=png.png", "w=30,fm=png", metadata, "v1")
    fingerprint = plan.fingerprint if old else processed_fingerprint(plan)
    known = record(fingerprint=fingerprint, renditions=(rendition,))
    state = inspector(header, known).inspect("a.jpg")
    assert (state.original, state.record, state.drift) == (ORIGINAL, known, drift)


def test_a_record_without_renditions_has_no_header() -> None:
    plan = inspector("", None).plan("a.jpg")
    found = inspector("", None).find_drift_among(
        plan, ORIGINAL, record(fingerprint=plan.fingerprint, renditions=()), []
    )
    assert found is None
